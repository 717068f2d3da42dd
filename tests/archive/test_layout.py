"""The archive's layout."""

import json

import numpy as np
import xarray as xr

from hindsight.archive import layout
from hindsight.settings import Archive


def test_every_array_is_chunked_for_maps_and_gathered_by_shard(small):
    metadata = json.loads((small["archive"] / "z500/zarr.json").read_text())
    assert metadata["shape"] == [4, 25, 5, 6]
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [4, 10, 5, 6]
    assert metadata["codecs"][0]["configuration"]["chunk_shape"] == [1, 5, 5, 6]


def test_attributes_say_what_it_is(small):
    archive = xr.open_zarr(small["archive"])
    for name in ("title", "summary", "source", "license", "history", "date_created", "id", "Conventions"):
        assert name in archive.attrs
    assert archive["z500"].attrs["standard_name"] == "geopotential" and float(archive["level_500"]) == 500
    assert archive["z500"].encoding["coordinates"] == "level_500" and "coordinates" not in archive["msl"].encoding
    mean = xr.open_zarr(small["archive"], group="mean")
    assert mean["msl"].attrs["cell_methods"] == "realization: mean" and "realization" not in mean.dims


def test_bits_keep_the_rounding_below_the_share_of_the_spread(small):
    sample = xr.open_dataset(small["paths"]["20090101T12"])
    bits = layout.bits(sample, 0.01)
    for k, name in enumerate(["z500", "msl"]):
        spread = [80, 60][k]
        exponent = np.floor(np.log2([54300, 101300][k]))
        assert 2 ** (exponent - bits[name] - 1) <= 0.0105 * spread < 2 ** (exponent - bits[name] + 0.1)


def test_the_same_recipe_leaves_the_data_and_another_starts_anew(small):
    run = lambda **settings: layout.run(
        small["domain"],
        small["product"],
        Archive(title="Small", chunk_frames=5, **settings),
        first=[small["paths"]["20090101T12"]],
        fields=small["fields"],
        archive=small["archive"],
        marker=small["layout"],
    )
    before = small["layout"].read_text()
    run()
    assert small["layout"].read_text() == before and np.isfinite(xr.open_zarr(small["archive"])["z500"]).all()
    run(summary="other")
    assert small["layout"].read_text() != before and not np.isfinite(xr.open_zarr(small["archive"])["z500"]).any()
