"""Stores as preprocessing makes them, for tests of what comes after it."""

import numpy as np
import xarray as xr

from hindsight.fields import store
from hindsight.preprocess import climatology, moments, statistics
from hindsight.settings import Preprocess

YEAR = Preprocess(annual_harmonics=1)


def fields_of(source, domain):
    """A tiny source as the pipeline's fields: float32, latitudes from the south, kelvins."""
    channels = [{"z500": source["z"], "t850": source["t"] + 273.15}[name] for name in domain.channels]
    fields = xr.concat(channels, "channel").rename(lat="latitude", lon="longitude").sortby("latitude")
    fields = fields.assign_coords(channel=np.array(domain.channels, object)).astype("float32")
    fields = fields.transpose("time", "channel", "latitude", "longitude")
    return fields.drop_attrs().rename("fields").to_dataset()


def stored(dataset, path, chunk=64, shard=None):
    """Write fields in chunks of so many frames, in shards of so many where that is asked."""
    fields, rest = dataset["fields"], dataset["fields"].shape[1:]
    encoding = {"chunks": (chunk, *rest)} | ({"shards": (shard, *rest)} if shard else {})
    dataset = dataset.chunk(time=shard or chunk)
    for variable in dataset.variables.values():
        variable.encoding = {}
    assert fields.dtype == np.float32
    store.write(dataset, path, {"fields": encoding})


def preprocessed(dataset, training, folder, settings=YEAR, **cut):
    """What `preprocess` leaves of fields in a folder: fields, climatology, statistics."""
    found = folder / "fields.zarr/zarr.json", folder / "climatology.nc", folder / "statistics.nc"
    stored(dataset, found[0], **cut)
    moments.run(training, settings, piece=found[0], moments=folder / "moments.nc")
    climatology.run(training, settings, moments=[folder / "moments.nc"], climatology=found[1])
    statistics.run(training, moments=[folder / "moments.nc"], statistics=found[2])
    return found
