"""One store from its pieces."""

from contextlib import suppress

import numpy as np
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.preprocess import join
from hindsight.preprocess.regrid import encoding
from hindsight.settings.preprocess import Regrid
from tests.test_partials import killed_at_rename

SMALL = Regrid(chunk_frames=32, file_frames=64, piece_frames=128)


@pytest.fixture
def whole(domain):
    """What the pieces are cut from: every frame from the first split to the last."""
    times = join.intervals.time_axis(domain)
    generator = np.random.default_rng(2)
    coords = {"time": times, "channel": ["z500", "t850"], "latitude": [0.0, 1.0], "longitude": [0.0, 1.0, 2.0]}
    values = generator.standard_normal((len(times), 2, 2, 3)).astype("float32")
    known = np.arange(len(times)) != 70
    return xr.Dataset(
        {"fields": (tuple(coords), values), "available": ("time", known)}, coords=coords, attrs={"units": "x"}
    )


def pieces(whole, folder, settings=SMALL):
    found = []
    for piece in range(0, whole.sizes["time"], settings.piece_frames):
        part = whole.isel(time=slice(piece, piece + settings.piece_frames))
        store.write(part.chunk({"time": settings.file_frames}), folder / f"{piece}.zarr", encoding(part, settings))
        found.append(folder / f"{piece}.zarr/zarr.json")
    return found


def test_joined_pieces_are_the_whole(whole, domain, tmp_path):
    join.run(domain, pieces=pieces(whole, tmp_path), fields=tmp_path / "fields.zarr/zarr.json")
    found = store.read(tmp_path / "fields.zarr")
    np.testing.assert_array_equal(found["fields"].values, whole["fields"].values)
    np.testing.assert_array_equal(found["available"].values, whole["available"].values)
    np.testing.assert_array_equal(found["time"].values, whole["time"].values)
    assert found.attrs["units"] == "x"


def test_frames_between_pieces_are_not_available(whole, domain, tmp_path):
    made = pieces(whole, tmp_path)
    join.run(domain, pieces=[made[0], *made[2:]], fields=tmp_path / "fields.zarr/zarr.json")
    found = store.read(tmp_path / "fields.zarr")
    inside = slice(128, 256)
    assert not found["available"][inside].any() and bool(found["fields"][inside].isnull().all())
    np.testing.assert_array_equal(found["fields"][256:].values, whole["fields"][256:].values)


def test_adding_a_year_rewrites_no_existing_piece(whole, domain, tmp_path):
    made = pieces(whole, tmp_path)
    short = domain.model_validate(
        domain.model_dump() | {"test": {"start": "2001-02-01T12:00", "end": "2001-02-02T12:00"}}
    )
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}
    join.run(short, pieces=made, fields=tmp_path / "fields.zarr/zarr.json")
    first = store.read(tmp_path / "fields.zarr").attrs["digest"]
    join.run(domain, pieces=made, fields=tmp_path / "fields.zarr/zarr.json")
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files} == before
    assert store.read(tmp_path / "fields.zarr").attrs["digest"] != first


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_job_killed_anywhere_leaves_the_old_or_the_new_store(whole, domain, tmp_path, monkeypatch, number):
    made, fields = pieces(whole, tmp_path), tmp_path / "fields.zarr/zarr.json"
    join.run(domain, pieces=made[:1], fields=fields)
    before = store.read(fields).attrs["digest"]
    with monkeypatch.context() as patch, suppress(OSError):
        killed_at_rename(patch, number)
        join.run(domain, pieces=made, fields=fields)
    assert (store.read(fields).attrs["digest"] == before) == (number < 3)
    join.run(domain, pieces=made, fields=fields)
    np.testing.assert_array_equal(store.read(fields)["fields"].values, whole["fields"].values)
    assert [path.name for path in tmp_path.glob("fields*")] == ["fields.zarr"]


def test_pieces_that_do_not_fit_together_are_refused(whole, domain, tmp_path):
    made = pieces(whole, tmp_path)
    other = whole.assign_coords(latitude=[5.0, 6.0]).isel(time=slice(128, 256))
    store.write(other.chunk({"time": 64}), tmp_path / "128.zarr", encoding(other, SMALL))
    with pytest.raises(UserError, match="different channels, points or masked points"):
        join.run(domain, pieces=made, fields=tmp_path / "fields.zarr/zarr.json")
    coarse = Regrid(chunk_frames=64, file_frames=64, piece_frames=128)
    part = whole.isel(time=slice(128, 256))
    store.write(part.chunk({"time": 64}), tmp_path / "128.zarr", encoding(part, coarse))
    with pytest.raises(UserError, match="files of other sizes"):
        join.run(domain, pieces=made, fields=tmp_path / "fields.zarr/zarr.json")
    assert not (tmp_path / "fields.zarr").exists()


def test_the_mask_of_points_is_that_of_all_pieces(whole, domain, tmp_path):
    covered = ("latitude", "longitude"), np.array([[True, False, True], [True, True, True]])
    made = pieces(whole.assign_coords(covered=covered), tmp_path)
    join.run(domain, pieces=made, fields=tmp_path / "fields.zarr/zarr.json")
    np.testing.assert_array_equal(Grid.of(store.read(tmp_path / "fields.zarr")).covered, covered[1])
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="different channels, points or masked points"):
        join.run(
            domain, pieces=[made[0], *pieces(whole, tmp_path / "other")[1:]], fields=tmp_path / "fields.zarr/zarr.json"
        )
