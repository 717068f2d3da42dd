"""Who can read the archive, and what a map and a time series cost."""

from collections import Counter

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from zarr.storage import LocalStore, WrapperStore

from hindsight.archive import netcdf
from hindsight.fields.grid import Grid
from hindsight.settings import Archive
from tests.archive.conftest import Small


@pytest.mark.parametrize("name", ["z500", "mean/msl", "spread/z500"])
def test_tensorstore_reads_the_same_values(small, name):
    tensorstore = pytest.importorskip("tensorstore", reason="no tensorstore here; pip install tensorstore")
    place = {"driver": "file", "path": str(small.archive / name)}
    found = tensorstore.open({"driver": "zarr3", "kvstore": place}).result()
    *group, short = name.split("/")
    ours = xr.open_zarr(small.archive, group=group[0] if group else None)[short]
    assert found.domain.labels == ours.dims
    np.testing.assert_array_equal(found.read().result(), ours.values)


def test_gdal_reads_maps_of_the_netcdf_copy_with_their_places(small):
    netcdf.run(Archive(netcdf="mean"), layout=small.layout, markers=small.markers, archive=small.archive,
               folder=small.folder, marker=small.folder / "netcdf.json")  # fmt: skip
    ours = xr.open_zarr(small.archive, group="mean")["z500"]
    with rasterio.open(f"netcdf:{small.folder / 'mean-2009.nc'}:z500") as file:
        assert (file.count, file.bounds) == (ours.sizes["time"], (-3.5, 39.5, 2.5, 44.5))
        np.testing.assert_array_equal(file.read(4), ours[3, ::-1].values)  # north is up
        assert file.index(-2.0, 43.0) == (1, 1)


def test_xarray_opens_it_without_a_warning(small, recwarn):
    for group in (None, "mean", "spread"):
        xr.open_zarr(small.archive, group=group).load()
    assert [str(w.message) for w in recwarn if "zarr" in str(w.message).lower()] == []


class Counting(WrapperStore):
    """A store that counts the bytes that are read of data, and how often."""

    def __init__(self, store: LocalStore, read: Counter):
        super().__init__(store)
        self.read = read

    def _with_store(self, store):
        return type(self)(store, self.read)

    async def get(self, key, prototype, byte_range=None):
        found = await super().get(key, prototype, byte_range)
        if found is not None and "/c/" in key:
            self.read["bytes"] += len(found)
            self.read["reads"] += 1
        return found


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A year of daily frames on 32 x 64 points, in shards of ten."""
    grid = Grid(np.linspace(-87, 87, 32), np.arange(0, 360, 5.625))
    small = Small(tmp_path_factory.mktemp("wide"), end="2009-04-10T12:00", members=2, grid=grid)
    small.make()
    return small


def reading(small, *selection) -> tuple[Counter, int]:
    """What reading a selection of the mean costs, and the bytes of the values that were asked for."""
    read = Counter()
    array = zarr.open_array(Counting(LocalStore(small.archive, read_only=True), read), path="mean/z500", mode="r")
    read.clear()
    return read, array[selection].nbytes


def test_a_map_and_a_time_series_read_a_bounded_multiple_of_what_they_need(wide):
    """Chunks of 5 frames x 16 x 16 points: a map may read 5 times as much, a series 256 times, indices apart."""
    frames = 100
    of_map, map_bytes = reading(wide, 3)
    assert of_map["bytes"] < 5 * map_bytes and of_map["reads"] <= 1 + 2 * 4  # an index, and a chunk a tile
    of_series, series_bytes = reading(wide, slice(None), 7, 9)
    assert series_bytes == 4 * frames and of_series["reads"] == frames / 10 + frames / 5
    assert of_series["bytes"] < 256 * series_bytes + frames / 10 * 16 * 17  # 16 bytes a chunk in each shard's index
    whole = sum(p.stat().st_size for p in (wide.archive / "mean/z500/c").rglob("*") if p.is_file())
    assert of_series["bytes"] < whole / 6  # in chunks of whole maps it would be all of it
    print({"map": of_map["bytes"] / map_bytes, "series": of_series["bytes"] / series_bytes, "whole": whole})
