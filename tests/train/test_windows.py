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
from hindsight.train.windows import Windows

TIMES = np.datetime64("2000-01-01T12", "ns") + np.arange(20) * np.timedelta64(1, "D")
VALUES = np.arange(20 * 6, dtype=np.float32).reshape(20, 1, 2, 3)


def test_a_window_is_consecutive_frames_with_their_dates():
    windows = Windows(TIMES, VALUES, 5, "training")
    fields, told = windows.at(torch.tensor([3, 15]))
    assert len(windows) == 16
    assert torch.equal(fields[1, :, 0], torch.arange(15, 20) * 6.0)
    assert torch.equal(told[0], windows.conditions[3:8])


def test_every_window_is_drawn_alike():
    windows = Windows(TIMES, VALUES, 5, "training")
    fields, _ = windows.draw(8000, torch.Generator().manual_seed(0))
    counts = torch.bincount((fields[:, 0, 0] / 6).long(), minlength=16)
    assert len(counts) == 16 and abs(counts / 500 - 1).max() < 0.25


def test_a_period_shorter_than_a_window_is_refused():
    with pytest.raises(UserError, match="validation period has 20 frames, fewer than a window"):
        Windows(TIMES, VALUES, 21, "validation")


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
