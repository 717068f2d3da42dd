"""Writing shards."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr

from hindsight.archive import write
from hindsight.errors import UserError
from hindsight.settings import Ensemble, Observe


def test_what_was_written_is_read_within_the_rounding(small):
    archive, truth = xr.open_zarr(small.archive), small.truth()
    for k, name in enumerate(["z500", "msl"]):
        assert np.abs(archive[name].values - truth[:, :, k]).max() < 0.02 * truth[:, :, k].std(0).mean()
    mean, spread = (xr.open_zarr(small.archive, group=g)["z500"].values for g in ("mean", "spread"))
    np.testing.assert_allclose(mean, truth[:, :, 0].mean(0), atol=1.0)
    np.testing.assert_allclose(spread, truth[:, :, 0].std(0, ddof=1), atol=0.01)


def test_the_loss_in_the_markers_is_that_of_the_archive(small):
    archive, truth = xr.open_zarr(small.archive)["z500"].values, small.truth()[:, :, 0]
    error, spread = archive - truth, np.sqrt(truth.var(0, ddof=1).mean())
    found = json.loads(small.result.read_text())["rounding_error"]["z500"]
    assert found["rms"] == pytest.approx(np.sqrt((error**2).mean()) / spread, rel=0.01)
    assert found["worst"] == pytest.approx(np.abs(error).max() / spread, rel=0.01)
    assert found["worst"] < 0.011  # a share of 0.01 was allowed


def test_a_marker_lists_every_object_and_no_other(small):
    objects = {name for marker in small.markers for name in json.loads(marker.read_text())["objects"]}
    files = [
        name for name in small.objects() if "/c/" in name and name.split("/c/")[0].split("/")[-1] in ("z500", "msl")
    ]
    assert objects == set(files) and len(objects) == 3 * 2 * 4


def test_a_marker_has_the_provenance_of_every_block(small):
    marker = json.loads(small.markers[1].read_text())
    assert (marker["shard"], marker["first"], marker["frames"]) == ("20090111T12", 10, 10)
    assert marker["stretch"] == "20090111T12_14" and marker["not_finite"] == 0
    assert [block["members"] for block in marker["blocks"]] == ["0-1", "2-3"]
    assert marker["blocks"][1]["observations"] == f"{1:064d}" and marker["blocks"][0]["prior"] == "ab" * 32


def test_the_bytes_equal_those_that_zarr_writes(small):
    before = small.objects()
    for group in ("", "mean", "spread"):
        array = zarr.open_array(small.archive / group / "msl", mode="r+")
        array[:] = array[:]
    assert {name: item[0] for name, item in small.objects().items()} == {name: item[0] for name, item in before.items()}


def test_writing_a_shard_again_changes_no_file(small):
    before, marker = small.objects(), small.markers[1].read_bytes()
    small.markers[1].unlink()
    small.write(1)
    assert small.objects() == before and small.markers[1].read_bytes() == marker


def test_other_values_replace_complete_objects(small):
    before = small.objects()
    small.values = lambda shard, member: 50000.0 + np.full((shard.frames, 2, 5, 6), 10.0 * member)
    small.write(1)
    changed = {name for name, item in small.objects().items() if item != before[name]}
    assert len(changed) == 8 and all("/1/0/0" in name for name in changed)


def test_files_of_another_shard_are_refused(small):
    third, before = small.paths(small.cuts[2]), small.objects()
    with pytest.raises(
        UserError, match=r"20090121T12-0.nc holds 5 frames from 2009-01-21T12:00, expected 10 from 2009-01-01"
    ):
        run(small, third)
    assert small.objects() == before


def test_all_errors_of_the_files_are_reported_at_once(small):
    before = small.objects()
    small.said["prior"], small.block = "cd" * 32, 4
    small.paths(small.cuts[0])
    small.block = 2
    (small.folder / "analyses/20090101T12-1.nc").unlink()
    with pytest.raises(UserError, match="prior: abab.* in the archive, cdcd.* now"):
        run(small, [small.folder / "analyses/20090101T12-0.nc"])
    small.said["prior"] = "ab" * 32
    paths = small.paths(small.cuts[0])
    with pytest.raises(UserError, match="the files hold members 2, 3, expected 0 to 3"):
        run(small, paths[1:])
    assert small.objects() == before


def run(small, paths):
    write.run(small.domain, small.product, Observe(), layout=small.layout, analyses=paths,
              archive=small.archive, marker=small.markers[0])  # fmt: skip


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_file_that_is_cut_off_is_refused(small, share):
    paths, before = small.paths(small.cuts[0]), small.objects()
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"cannot read .*20090101T12-1.nc .*delete it and run snakemake again"):
        run(small, paths)
    paths[1].unlink()
    with pytest.raises(UserError, match="cannot read the analysis"):
        run(small, paths)
    assert small.objects() == before


def test_values_that_are_not_finite_raise_an_error(small):
    paths, before = small.paths(small.cuts[0]), small.objects()
    dataset = xr.load_dataset(paths[0])
    dataset["analysis"][0, 3, 0, 2, 2] = np.nan
    dataset.to_netcdf(paths[0])
    with pytest.raises(UserError, match="20090101T12-0.nc: 1 values of z500 are not finite"):
        run(small, paths)
    assert small.objects() == before


def test_members_of_different_stretches_are_refused(small):
    paths = small.paths(small.cuts[0])
    xr.load_dataset(paths[0]).assign_attrs(stretch="20090101T12_10").to_netcdf(paths[0])
    with pytest.raises(UserError, match="sampled with different halos"):
        run(small, paths)


def test_the_spread_of_antithetic_members_is_that_of_their_pairs():
    """Two members on either side of a mean without sampling error: half their difference, not sqrt(2) times it."""
    values = np.array([3.0, 1.0, 4.0, 0.0])[:, None, None, None]
    product = lambda antithetic: Ensemble(members=4, antithetic=antithetic)
    spread = lambda antithetic: float(write.of_group(values, "spread", product(antithetic)).item())
    assert spread(True) == pytest.approx(np.sqrt((1 + 4) / 2)) and spread(False) == pytest.approx(np.sqrt(10 / 3))
    assert write.of_group(values, "mean", product(True)).item() == 2
