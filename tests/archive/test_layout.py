"""The archive's layout, and how it grows."""

import json

import numpy as np
import pytest
import xarray as xr

from hindsight.archive import layout
from hindsight.errors import UserError
from hindsight.settings import Reanalyse


def test_an_object_is_a_shard_of_frames_and_a_block_of_members(small):
    metadata = json.loads((small.archive / "z500/zarr.json").read_text())
    assert metadata["shape"] == [4, 25, 5, 6]
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [2, 10, 5, 6]
    assert metadata["codecs"][0]["configuration"]["chunk_shape"] == [1, 5, 5, 6]
    mean = json.loads((small.archive / "mean/z500/zarr.json").read_text())
    assert mean["chunk_grid"]["configuration"]["chunk_shape"] == [10, 5, 6]


@pytest.mark.parametrize(
    ("shape", "most", "tile", "whole"),
    [((21, 24), 16, (11, 12), (22, 24)), ((1, 40), 16, (1, 14), (1, 42)), ((32, 64), 16, (16, 16), (32, 64)),
     ((5, 6), 1000, (5, 6), (5, 6)), ((3, 3), 1, (1, 1), (3, 3))],
)  # fmt: skip
def test_tiles_are_even_and_pad_little(shape, most, tile, whole):
    assert layout.tiles(shape, most) == (tile, whole)


def test_a_repeated_layout_changes_no_file(small):
    before, marker = small.objects(), small.layout.read_text()
    small.layout.unlink()
    small.lay_out()
    assert small.objects() == before and small.layout.read_text() == marker


def test_a_longer_period_and_more_members_touch_no_object_that_is_there(small, monkeypatch):
    before, truth = small.objects(), small.truth()
    old = xr.open_zarr(small.archive).load()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1769904000")
    small.end, small.members = "2009-02-19T12:00", 6
    small.lay_out()
    after = small.objects()
    data = [name for name in before if "/c/" in name and name.split("/c/")[0].split("/")[-1] in ("z500", "msl")]
    assert len(data) == 24 and all(after[name] == before[name] for name in data)
    grown = xr.open_zarr(small.archive)
    assert dict(grown.sizes) == {"realization": 6, "time": 50, "latitude": 5, "longitude": 6}
    assert grown.attrs["time_coverage_end"] == "2009-02-19T12:00:00Z"
    assert (
        grown.attrs["history"].splitlines()[1].startswith("2026-02-01 extended to 2009-02-19T12:00:00 and to 6 members")
    )
    assert grown.attrs["date_created"] == "2026-01-01" and grown.attrs["date_modified"] == "2026-02-01"
    assert grown.attrs["recipe_digest"] == old.attrs["recipe_digest"] and grown.attrs["id"] == old.attrs["id"]
    xr.testing.assert_equal(grown[["z500", "msl"]].isel(realization=slice(4), time=slice(25)).load(), old)
    assert np.isnan(grown["z500"].isel(time=slice(30, None))).all()  # not yet written
    for number in range(len(small.cuts)):
        small.write(number)
    small.check()
    again = small.objects()
    kept = [name for name in data if name.startswith(("z500", "msl")) and "/2/0/0" not in name]
    assert len(kept) == 8 and all(again[name] == before[name] for name in kept)  # the last one had half its frames
    found = xr.open_zarr(small.archive)["msl"].values
    assert np.abs(found - small.truth()[:, :, 1]).max() < 0.51  # half a Pa, and what float32 leaves
    assert np.abs(found[:4, :25] - truth[:, :, 1]).max() < 0.51


def test_growing_keeps_the_bits_of_the_first_layout(small):
    bits = json.loads(small.layout.read_text())["bits"]
    small.values = lambda shard, member: 1e-3 * np.ones((shard.frames, 2, 5, 6)) * member + 5e4  # would need all bits
    small.end = "2009-01-30T12:00"
    small.lay_out()
    assert json.loads(small.layout.read_text())["bits"] == bits


def other_steps(small):
    small.reanalyse = Reanalyse(steps=10)


def other_prior(small):
    small.said["prior"] = "cd" * 32


def fewer_members(small):
    small.members = 2


def shorter(small):
    small.end = "2009-01-20T12:00"


def finer(small):
    small.archive_settings["spread_share"] = 0.001


OTHERS = [
    (other_steps, r"\n  reanalyse.steps: 8 in the archive, 10 now\n"),
    (other_prior, r"\n  prior: abababababab… in the archive, cdcdcdcdcdcd… now\n"),
    (fewer_members, r"\n  product.members: 4 in the archive, 2 now, which would shorten the archive\n"),
    (shorter, r"\n  domain.test.end: 2009-01-25T12:00:00 in the archive, 2009-01-20T12:00:00 now, which would shorten"),
    (finer, r"\n  archive.spread_share: 0.01 in the archive, 0.001 now\n"),
]


@pytest.mark.parametrize(("change", "says"), OTHERS)
def test_another_recipe_is_refused_and_the_archive_stays_as_it_was(small, change, says):
    before = small.objects()
    change(small)
    with pytest.raises(UserError, match=says) as refused:
        small.lay_out()
    assert "name another run with `run:`" in str(refused.value) and "archive.replace: true" in str(refused.value)
    assert small.objects() == before


def test_another_recipe_replaces_the_archive_if_the_settings_say_so(small):
    other_steps(small)
    small.archive_settings["replace"] = True
    small.lay_out()
    assert not np.isfinite(xr.open_zarr(small.archive)["z500"]).any()
    assert not list(small.archive.parent.glob("*.replaced"))
    for number in range(3):
        small.write(number)
    small.check()
    before = small.objects()
    small.lay_out()  # and the same recipe is left as it is
    assert small.objects() == before


def test_other_descriptions_rewrite_only_metadata(small):
    before = small.objects()
    small.archive_settings |= {"title": "Better", "creator_name": "A. Person"}
    small.lay_out()
    after = small.objects()
    changed = {name for name in after if after[name][0] != before[name][0]}
    assert changed == {"zarr.json", "mean/zarr.json", "spread/zarr.json"}
    attributes = xr.open_zarr(small.archive, group="mean").attrs
    assert attributes["title"] == "Ensemble mean of Better" and attributes["creator_name"] == "A. Person"
    assert "metadata changed" in attributes["history"] and "institution" not in attributes
    small.check()


def test_a_layout_killed_at_any_file_is_completed_by_the_next(small, monkeypatch):
    """Growth is put file by file; whatever was put, readers see the old archive or the new, and a rerun ends alike."""
    small.end = "2009-02-19T12:00"
    real, puts = layout.objects.put, []
    for allowed in (0, 1, 5, 9, 14, 17):
        puts.clear()

        def put(path, content, allowed=allowed):
            puts.append(path)
            if len(puts) > allowed:
                raise KeyboardInterrupt
            return real(path, content)

        monkeypatch.setattr(layout.objects, "put", put)
        with pytest.raises(KeyboardInterrupt):
            small.lay_out()
        opened = xr.open_zarr(small.archive).load()
        assert opened.sizes["time"] == 25 and np.isfinite(opened["z500"]).all()
    monkeypatch.setattr(layout.objects, "put", real)
    small.lay_out()
    assert xr.open_zarr(small.archive).sizes["time"] == 50
    assert len(xr.open_zarr(small.archive).attrs["history"].splitlines()) == 2


def test_damaged_metadata_are_repaired(small):
    for name in ("zarr.json", "z500/zarr.json", "mean/latitude/c/0"):
        (small.archive / name).write_bytes(b"{")
    with pytest.raises(UserError) as found:
        small.check()
    for name in ("zarr.json", "z500/zarr.json", "mean/latitude/c/0"):
        assert f"{small.archive / name} is damaged; snakemake --forcerun layout" in str(found.value)
    small.lay_out()
    small.check()
    assert np.isfinite(xr.open_zarr(small.archive)["z500"]).all()


def test_an_archive_that_begins_within_a_shard_is_refused(small):
    product = small.product.model_copy(update={"epoch": small.domain.test.start.replace(day=5)})
    with pytest.raises(UserError, match="first shard has 4 frames, not 10; product.epoch .* whole number of shards"):
        layout._whole_shards(small.domain, product)


def test_a_folder_that_cannot_be_written_is_a_clear_error(small, tmp_path, monkeypatch):
    """The superuser may write anywhere, so a file stands where the folder should be."""
    before = small.objects()
    (tmp_path / "blocked").write_text("")
    monkeypatch.setattr(type(small), "archive", tmp_path / "blocked/reanalysis.zarr")
    with pytest.raises(UserError, match=r"cannot write .*blocked.* \(Not a directory\); make the folder writable"):
        small.lay_out()
    monkeypatch.undo()
    assert small.objects() == before
