"""The check of the archive."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr

from hindsight.archive import check
from hindsight.errors import UserError


def run(small, markers=None):
    check.run(
        small["domain"],
        small["product"],
        layout=small["layout"],
        markers=markers or small["markers"],
        archive=small["archive"],
        result=small["layout"].with_name("check.json"),
    )
    return json.loads(small["layout"].with_name("check.json").read_text())


def test_a_whole_archive_passes(small):
    found = run(small)
    assert found["whole"] and found["shards"] == 3 and found["objects"] == 18


def test_a_flipped_byte_is_found_with_the_command_that_mends_it(small):
    victim = small["archive"] / "spread/msl/c/1/0/0"
    spoilt = bytearray(victim.read_bytes())
    spoilt[7] ^= 1
    victim.write_bytes(spoilt)
    with pytest.raises(UserError, match=r"spread/msl/c/1/0/0 is damaged; snakemake --forcerun .*20090111T12.json"):
        run(small)


def test_a_missing_object_and_a_missing_shard_are_named(small):
    (small["archive"] / "z500/c/0/2/0/0").unlink()
    with pytest.raises(UserError, match="z500/c/0/2/0/0 is missing"):
        run(small)
    with pytest.raises(UserError, match="shard 20090111T12 is missing"):
        run(small, [small["markers"][0], small["markers"][2]])


def test_nan_and_a_wrong_time_axis_are_found(small):
    array = zarr.open_array(small["archive"] / "mean/z500", mode="r+")
    array[5, 2, 2] = np.nan
    assert any(
        "1 values that are not finite" in line
        for line in check.unlike_layout(small["archive"], small["domain"], small["product"])
    )
    shifted = zarr.open_array(small["archive"] / "spread/time", mode="r+")
    shifted[:] = shifted[:] + 6
    assert any("time axis" in line for line in check.unlike_layout(small["archive"], small["domain"], small["product"]))


def test_another_recipe_is_found(small):
    marker = json.loads(small["markers"][0].read_text())
    small["markers"][0].write_text(json.dumps(marker | {"recipe": "other"}))
    with pytest.raises(UserError, match="another recipe"):
        run(small)
    assert xr.open_zarr(small["archive"]).attrs["recipe"]
