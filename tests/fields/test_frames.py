"""Frames read chunk by chunk."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.frames import Frames
from hindsight.fields.scaling import Scaling
from tests.preprocess.worlds import fields_of, preprocessed, stored

EVERY = [(0, 3), (5, 16), (2, 4), (0, 31), (30, 31)]


@pytest.fixture
def files(source, domain, tmp_path):
    return preprocessed(fields_of(source, domain), domain, tmp_path)


def expected(files, period):
    """Normalised departures of a period (T, D), all of them at once."""
    fields, scaling = store.read(files[0])["fields"].sel(time=slice(period.start, period.end)), Scaling.read(*files[1:])
    values = (fields.values - scaling.climatology(fields["time"].values)) / scaling.spread[:, None, None]
    return fields["time"].values, values.reshape(len(values), -1)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_departures_are_those_of_the_period(files, domain, split):
    frames, (times, values) = (
        Frames(files[0], domain.splits[split], Scaling.read(*files[1:])),
        expected(files, domain.splits[split]),
    )
    np.testing.assert_array_equal(frames.times, times)
    found = frames(0, len(times))
    assert found.dtype == np.float32 and frames.shape == (2, 6, 8) and frames.grid.shape == (6, 8)
    np.testing.assert_allclose(found, values, atol=1e-5)
    if split == "train":
        np.testing.assert_allclose((found.reshape(-1, 2, 48) ** 2).mean((0, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize("shard", [None, 21], ids=["chunks", "shards"])
@pytest.mark.parametrize("memory", [0.0, 1e-6, 0.02, 100.0], ids=["none", "a chunk", "some", "all"])
def test_frames_do_not_depend_on_the_size_of_the_cache(files, domain, memory, shard, tmp_path):
    """The store has chunks of 7 frames here, and reads cross them."""
    stored(store.read(files[0]), tmp_path / "cut.zarr", 7, shard)
    scaling, (_, values) = Scaling.read(*files[1:]), expected(files, domain.validation)
    frames = Frames(tmp_path / "cut.zarr", domain.validation, scaling, memory)
    for first, last in EVERY:
        np.testing.assert_allclose(frames(first, last), values[first:last], atol=1e-5)
        again = Frames(files[0], domain.validation, scaling, 100.0)(first, last)
        np.testing.assert_array_equal(frames(first, last), again)  # whatever is kept, and however it is stored
    held = sum(chunk.nbytes for chunk in frames._cache.values())
    assert held <= max(memory * 1e6, 7 * 96 * 4)


def test_a_cached_chunk_is_read_once_and_none_outside_the_period(files, domain, tmp_path, monkeypatch):
    stored(store.read(files[0]), tmp_path / "cut.zarr", 7)
    frames, read = Frames(tmp_path / "cut.zarr", domain.validation, Scaling.read(*files[1:]), 100.0), []
    whole = frames._array
    monkeypatch.setattr(
        frames, "_array", type("Watched", (), {"__getitem__": lambda _, s: read.append(s) or whole[s]})()
    )
    frames(0, 5)  # to the end of a chunk
    assert [s.start for s in read] == [364]
    for first, last in EVERY:
        frames(first, last)
    assert len(read) == len({s.start for s in read}) and frames.first == 366
    assert {s.start for s in read} == {7 * k for k in range(366 // 7, 396 // 7 + 1)}


def test_blocks_are_whole_chunks_and_cover_the_period_once(files, domain, tmp_path):
    whole = store.read(files[0]).load()
    known = np.ones(whole.sizes["time"], bool)
    known[366 + 5 : 366 + 12] = known[366 + 20] = False
    stored(whole.assign(available=("time", known)), tmp_path / "cut.zarr", 7)
    frames = Frames(tmp_path / "cut.zarr", domain.validation, Scaling.read(*files[1:]))
    blocks = frames.blocks(overlap=1)
    covered = [t for _, a, b in blocks for t in range(a, b)]
    assert covered == [t for t in range(31) if not 5 <= t < 12]  # a chunk of which nothing is known is not read
    assert all(start == max(a - 1, 0) and (b + 366) // 7 - (a + 366) // 7 <= 1 for start, a, b in blocks)
    assert [a for _, a, _ in frames.blocks()] == [start for start, *_ in frames.blocks()]


def test_masked_frames_and_breaks_divide_the_period_into_segments(files, domain, tmp_path):
    whole = store.read(files[0]).load()
    known = np.arange(whole.sizes["time"]) != 370
    whole = whole.assign(available=("time", known)).assign_attrs(segment_starts=["2001-01-20T12:00:00"])
    stored(whole, tmp_path / "cut.zarr", 7)
    scaling = Scaling.read(*files[1:])
    frames = Frames(tmp_path / "cut.zarr", domain.validation, scaling)
    segment = frames.segment
    assert segment[4] == -1 and (segment[:4] == segment[0]).all() and (segment[5:19] == segment[5]).all()
    assert len({segment[0], segment[5], segment[19]}) == 3 and (segment[19:] == segment[19]).all()
    assert (Frames(files[0], domain.validation, scaling).segment == 0).all()
    assert calendar.window_starts(segment, 31).size == 0


def test_a_period_that_the_store_lacks_is_refused(files, domain):
    with pytest.raises(UserError, match="has no frame from 2030-01-01"):
        Frames(
            files[0],
            domain.train.model_validate({"start": "2030-01-01", "end": "2030-02-01"}),
            Scaling.read(*files[1:]),
        )
