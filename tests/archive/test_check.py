"""The check of the archive."""

import csv
import json

import numpy as np
import pytest
import xarray as xr
import zarr

from hindsight.archive import objects
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from tests.archive.conftest import Small


def faults(small, markers=None) -> list[str]:
    """What the check finds wrong, a line each."""
    with pytest.raises(UserError) as found:
        small.check(markers)
    head, *lines = str(found.value).split("\n  ")
    assert head.startswith(f"the archive {small.archive} has errors (run the commands below") and head.endswith("):")
    return lines


def test_a_complete_archive_passes_and_its_size_is_reported(small):
    found = json.loads(small.result.read_text())
    assert found["complete"] and (found["shards"], found["frames"], found["members"], found["objects"]) == (
        3,
        25,
        4,
        24,
    )
    assert found["bytes"] == sum(len(content) for content, *_ in small.objects().values())


@pytest.mark.parametrize("at", [0, 7, -5, -1])
def test_a_flipped_byte_is_found_with_the_command_that_repairs_it(small, at):
    victim = small.archive / "spread/msl/c/1/0/0"
    spoilt = bytearray(victim.read_bytes())
    spoilt[at] ^= 1
    victim.write_bytes(spoilt)
    assert faults(small) == [f"{victim} is damaged; snakemake --forcerun {small.markers[1]}"]
    small.write(1)
    small.check()


@pytest.mark.parametrize("name", ["zarr.json", "mean/zarr.json", "z500/zarr.json", "time/c/0", "spread/latitude/c/0"])
def test_a_flipped_bit_of_the_metadata_is_found(small, name):
    spoilt = bytearray((small.archive / name).read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    (small.archive / name).write_bytes(spoilt)
    assert f"{small.archive / name} is damaged; snakemake --forcerun layout" in faults(small)


def test_all_errors_are_reported_at_once(small):
    (small.archive / "z500/c/0/2/0/0").unlink()
    (small.archive / "mean/msl/c/0/0/0").write_bytes(b"")
    small.markers[1].write_text("{")
    lines = faults(small)
    assert lines == [
        f"{small.markers[1]} is not a complete marker; snakemake --forcerun {small.markers[1]}",
        f"{small.archive}/mean/msl/c/0/0/0 is damaged; snakemake --forcerun {small.markers[0]}",
        f"{small.archive}/z500/c/0/2/0/0 is missing; snakemake --forcerun {small.markers[2]}",
    ]


def test_a_shard_without_a_marker_is_named_with_the_command_that_makes_it(small):
    lines = faults(small, [small.markers[0], small.markers[2]])
    assert lines == [f"shard 20090111T12 is missing; snakemake {small.markers[1]}"]


def spoil(small, group, value, at=(5, 2, 2)):
    """Write a value as if it belonged there: the marker knows its checksum."""
    array = zarr.open_array(small.archive / group / "z500", mode="r+")
    array[at] = value
    marker = json.loads(small.markers[0].read_text())
    name = f"{group}/z500/c/0/0/0"
    marker["objects"][name] = objects.sha256(small.archive / name)
    small.markers[0].write_text(json.dumps(marker))


@pytest.mark.parametrize(
    ("group", "value", "says"),
    [
        ("mean", np.nan, "z500 has 1 values that are not finite in the shard of frames 0 to 9"),
        ("mean", np.inf, "z500 has 1 values that are not finite in the shard of frames 0 to 9"),
        ("mean", 7e5, "to 700000 m2 s-2, outside -10000 to 600000, in the shard of frames 0 to 9"),
        ("spread", -1.0, "z500 reaches from -1 to"),
    ],
)
def test_physically_impossible_values_are_found(small, group, value, says):
    spoil(small, group, value)
    (line,) = faults(small)
    assert says in line and line.startswith(f"{small.archive}/{group}/z500/c/0/0/0: ")


def test_a_wrong_time_axis_and_wrong_units_are_found(small):
    axis = zarr.open_array(small.archive / "spread/time", mode="r+")
    axis[:] = axis[:] + 6
    path = small.archive / "z500/zarr.json"
    path.write_text(path.read_text().replace("m2 s-2", "m"))
    lines = "\n".join(faults(small))
    assert f"{small.archive}/spread/time: the time axis is not that of the test period (25 frames every 24 h" in lines
    assert f"{small.archive}/z500 has units 'm', not 'm2 s-2'" in lines


def test_another_recipe_and_an_unlisted_object_are_found(small):
    marker = json.loads(small.markers[0].read_text())
    stray = small.archive / "z500/c/0/7/0/0"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"x")
    assert faults(small) == [f"{stray} belongs to no shard; delete it"]
    stray.rename(stray.with_name("0.7.node2.partial"))  # what a lost node left half made: a rerun elsewhere goes on
    size = json.loads(small.result.read_text())["bytes"]
    small.check()
    assert json.loads(small.result.read_text())["bytes"] == size
    small.markers[0].write_text(json.dumps(marker | {"recipe": "other"}))
    assert faults(small) == [
        f"{small.markers[0]} was written for another recipe than that of the layout; "
        f"snakemake --forcerun {small.markers[0]}"
    ]


def test_a_missing_archive_is_a_clear_error(small):
    small.archive.rename(small.folder / "away")
    assert f"there is no archive {small.archive}; snakemake --forcerun layout" in faults(small)


def test_an_object_missing_from_a_marker_is_found(small):
    marker = json.loads(small.markers[2].read_text())
    del marker["objects"]["msl/c/1/2/0/0"]
    small.markers[2].write_text(json.dumps(marker))
    lines = faults(small)
    assert f"{small.markers[2]} does not list msl/c/1/2/0/0; snakemake --forcerun {small.markers[2]}" in lines


def test_the_table_has_a_row_for_every_shard_and_block(small):
    with small.provenance.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["shard"], row["members"]) for row in rows] == [
        (shard.name, members) for shard in small.cuts for members in ("0-1", "2-3")
    ]
    assert rows[3]["sha256"] == objects.sha256(small.paths(small.cuts[1])[1]) and rows[0]["stretch"] == "20090101T12_14"


@pytest.fixture
def covered(tmp_path):
    """An archive of fields that lack two points."""
    where = np.ones((5, 6), bool)
    where[0, :2] = False
    made = Small(tmp_path, grid=Grid(np.arange(40.0, 45), np.arange(-3.0, 3), where))
    made.make()
    return made


def test_points_that_are_not_covered_have_no_values_in_any_group(covered):
    where = covered.grid.covered
    for group, truth in (
        ("", covered.truth()),
        ("mean", covered.truth().mean(0)),
        ("spread", covered.truth().std(0, ddof=1)),
    ):
        found = xr.open_zarr(covered.archive, group=group or None)
        np.testing.assert_array_equal(found["covered"].values.astype(bool), where)
        values = found["z500"].values
        assert np.array_equal(np.isfinite(values), np.broadcast_to(where, values.shape))
        np.testing.assert_allclose(values[..., where], truth[..., 0, :, :][..., where], rtol=1e-3, atol=3)
    assert (
        json.loads(covered.result.read_text())["complete"] and "covered" in found["z500"].attrs["ancillary_variables"]
    )


def test_a_value_where_there_is_none_and_none_where_there_is_one_are_found(covered):
    spoil(covered, "mean", 54000.0, at=(5, 0, 0))
    (line,) = faults(covered)
    assert "z500 has 1 values that are not finite, or that are finite at points without a source, in the shard" in line
    spoil(covered, "mean", np.nan, at=(5, 2, 2))
    assert "z500 has 2 values" in faults(covered)[0]
