"""Writing shards."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.archive import write
from hindsight.errors import UserError


def test_what_was_written_is_read_within_the_rounding(small):
    archive = xr.open_zarr(small["archive"])
    values = np.concatenate(list(small["values"].values()), 1)
    for k, name in enumerate(["z500", "msl"]):
        assert np.abs(archive[name].values - values[:, :, k]).max() < 0.02 * values[:, :, k].std(0).mean()
    mean, spread = (xr.open_zarr(small["archive"], group=g)["z500"].values for g in ("mean", "spread"))
    np.testing.assert_allclose(mean, values[:, :, 0].mean(0), atol=1.0)
    np.testing.assert_allclose(spread, values[:, :, 0].std(0, ddof=1), atol=0.01)


def test_a_marker_knows_every_object_and_there_are_no_others(small):
    objects = {name for marker in small["markers"] for name in json.loads(marker.read_text())["objects"]}
    found = {
        str(p.relative_to(small["archive"]))
        for p in small["archive"].rglob("c/*/**/*")
        if p.is_file() and any(part in ("z500", "msl") for part in p.parts)
    }
    assert objects == found and len(objects) == 3 * 2 * 3


def test_the_same_shard_gives_the_same_bytes(small):
    before = {m: m.read_bytes() for m in small["markers"]}
    marker = small["markers"][1]
    write.run(
        small["domain"],
        small["product"],
        layout=small["layout"],
        analyses=[small["paths"][marker.stem]],
        archive=small["archive"],
        marker=marker,
    )
    assert marker.read_bytes() == before[marker]


def test_an_analysis_of_another_shard_is_refused(small):
    with pytest.raises(UserError, match="needs 4 of 10"):
        write.run(
            small["domain"],
            small["product"],
            layout=small["layout"],
            analyses=[small["paths"]["20090121T12"]],
            archive=small["archive"],
            marker=small["markers"][0],
        )


@pytest.mark.parametrize("bits", [1, 7, 15, 22])
def test_rounding_is_to_the_nearest_with_so_many_bits(bits):
    x = np.random.default_rng(0).uniform(1000, 100000, 2000).astype("float32")
    found = write.round_to(x, bits)
    ulp = 2.0 ** (np.floor(np.log2(x)) - bits)
    assert (np.abs(found - x) <= ulp / 2 * (1 + 1e-6)).all()
    assert (found.view(np.uint32) & np.uint32((1 << (23 - bits)) - 1) == 0).all()
    np.testing.assert_array_equal(write.round_to(x, 23), x)


def test_halfway_goes_to_even_so_that_rounding_has_no_drift():
    x = np.array([1 + 2**-22, 1 + 3 * 2**-22], "float32")  # each halfway between neighbours of 21 bits
    np.testing.assert_array_equal(write.round_to(x, 21), np.array([1, 1 + 2**-20], "float32"))
