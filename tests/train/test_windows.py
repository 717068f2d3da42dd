"""Windows to learn from."""

import numpy as np
import pytest
import torch

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.preprocess import canonical, climatology, statistics
from hindsight.settings import Preprocess, Train
from hindsight.train import windows
from hindsight.train.windows import Frames
from tests.train import helpers

TIMES = np.datetime64("2000-01-01T12", "ns") + np.arange(20) * np.timedelta64(1, "D")
VALUES = np.arange(20 * 6, dtype=np.float32).reshape(20, 1, 2, 3)


def of(window, split="training", joints=(), count=20):
    return helpers.of(TIMES[:count], VALUES[:count], window, split, joints)


def test_a_window_is_consecutive_frames_with_their_dates():
    windows = of(5)
    fields, told = windows.at([3, 15])
    assert len(windows) == 16
    assert torch.equal(fields[1, :, 0], torch.arange(15, 20) * 6.0)
    assert torch.equal(told[0], windows.conditions[3:8])


def test_every_window_is_drawn_alike():
    fields, _ = of(5).draw(8000, torch.Generator().manual_seed(0))
    counts = torch.bincount((fields[:, 0, 0] / 6).long(), minlength=16)
    assert len(counts) == 16 and abs(counts / 500 - 1).max() < 0.25


def test_an_epoch_has_every_window_once_in_an_order_of_its_own():
    windows = of(5)
    epochs = [windows.order(7, 16 * k, 16) for k in range(3)]
    assert all(sorted(epoch) == list(range(16)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[2] != windows.order(8, 32, 16) != epochs[0]


def test_the_order_can_be_entered_anywhere():
    whole = of(5).order(7, 0, 100)
    for first in (0, 3, 16, 31, 50):
        assert of(5).order(7, first, 40) == whole[first : first + 40]


def test_no_window_reaches_across_a_joint():
    windows = of(5, joints=[TIMES[0], TIMES[7], TIMES[13]])
    assert windows.starts.tolist() == [0, 1, 2, 7, 8, 13, 14, 15]
    fields, _ = windows.at(range(len(windows)))
    stretch = np.digitize(fields[..., 0].numpy() / 6, [7, 13])
    assert (stretch == stretch[:, :1]).all()


def test_periods_without_a_window_are_refused():
    with pytest.raises(UserError, match="validation period has 20 frames, fewer than a window"):
        of(21, "validation")
    with pytest.raises(UserError, match="validation period has no frame; move or lengthen domain.validation"):
        of(5, "validation", count=0)
    with pytest.raises(UserError, match="every stretch of the training period is shorter than a window"):
        of(8, joints=TIMES[::6])


@pytest.fixture
def files(source, domain, tmp_path):
    """What `preprocess` leaves of the tiny world: fields, climatology, statistics."""
    found = tmp_path / "fields.zarr/zarr.json", tmp_path / "climatology.nc", tmp_path / "statistics.nc"
    store.write(canonical.canonical(source, domain, "x"), found[0])
    climatology.run(domain, Preprocess(annual_harmonics=1), fields=found[0], climatology=found[1])
    statistics.run(domain, fields=found[0], climatology=found[1], statistics=found[2])
    return found


def settings(basis):
    return Train.model_validate({"colour": {"basis": basis}})


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_departures_are_of_the_split_asked_for(files, domain, split):
    times, grid, values = windows.departures(domain, settings("empirical"), split, *files)
    period = domain.splits[split]
    assert times[0] == np.datetime64(period.start) and times[-1] == np.datetime64(period.end)
    assert values.shape == (len(times), 2, 6, 8) and values.dtype == np.float32 and grid.shape == (6, 8)
    fields = store.read(files[0])["fields"].sel(time=times).values
    plain = Scaling.read(*files[1:])
    expected = (fields - plain.climatology(times)) / plain.spread[:, None, None]
    np.testing.assert_allclose(values, expected, atol=1e-5)
    if split == "train":
        np.testing.assert_allclose((values**2).mean((0, 2, 3)), 1, rtol=1e-5)


def test_waves_are_learnt_from_fields_weighed_by_area(files, domain):
    """Every latitude by the square root of its area, and by nothing where modes are of a region."""
    _, grid, plain = windows.departures(domain, settings("empirical"), "train", *files)
    times, _, weighed = windows.departures(domain, settings("waves"), "train", *files)
    edges = np.deg2rad(np.arange(39.0, 52, 2))
    area = np.diff(np.sin(edges))
    expected = plain * np.sqrt(area / area.mean())[:, None]
    np.testing.assert_allclose(weighed, expected, rtol=1e-5, atol=1e-6)
    seen = windows.scaling(settings("waves"), grid, *files[1:])
    assert seen.measure.shape == (6, 8) and (seen.measure**2).mean() == pytest.approx(1)
    np.testing.assert_allclose(seen.restore(weighed, times), store.read(files[0])["fields"].sel(time=times), rtol=1e-6)
    assert windows.scaling(settings("empirical"), Grid(*[np.arange(3.0)] * 2), *files[1:]).measure == 1.0


@pytest.mark.parametrize("memory", [1e-6, 0.02, 100.0], ids=["a chunk", "some", "all"])
def test_frames_are_those_of_the_split_however_few_are_kept(files, domain, memory):
    """The store has chunks of 7 frames here, and reads cross them."""
    chunked = files[0].parent.with_name("chunked.zarr") / "zarr.json"
    whole = store.read(files[0]).chunk(time=7)
    whole["fields"].encoding = {}
    store.write(whole, chunked)
    times, grid, values = windows.departures(domain, settings("empirical"), "validation", *files)
    seen = windows.scaling(settings("empirical"), grid, *files[1:])
    frames = Frames(chunked, domain.validation, seen, memory)
    np.testing.assert_array_equal(frames.times, times)
    for first, last in [(0, 3), (5, 16), (2, 4), (0, len(times)), (len(times) - 1, len(times))]:
        np.testing.assert_array_equal(frames(first, last), values[first:last].reshape(last - first, -1))
    held = sum(chunk.nbytes for chunk in frames._kept.values())
    assert held <= max(memory * 1e6, 7 * values[0].nbytes)


def test_the_joints_of_a_source_reach_the_windows(files, domain):
    joined = store.read(files[0])
    joined.attrs["stretch_starts"] = ["2000-01-05T00:00:00"]
    where = files[0].parent.with_name("joined.zarr") / "zarr.json"
    store.write(joined, where)
    frames = Frames(where, domain.train, windows.scaling(settings("empirical"), Grid.of(joined), *files[1:]), 1.0)
    assert frames.joints.tolist() == np.array(["2000-01-05"], "datetime64[ns]").tolist()
