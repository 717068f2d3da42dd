"""Windows to learn from."""

import numpy as np
import pytest
import torch

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.settings import Preprocess, Train
from hindsight.train import prior, windows
from hindsight.train.windows import Windows
from tests.preprocess.worlds import fields_of, preprocessed
from tests.train import helpers

TIMES = np.datetime64("2000-01-01T12", "ns") + np.arange(20) * np.timedelta64(1, "D")
VALUES = np.arange(20 * 6, dtype=np.float32).reshape(20, 1, 2, 3)


def of(window, split="training", segment=None, count=20):
    return helpers.of(TIMES[:count], VALUES[:count], window, split, segment)


def test_a_window_is_consecutive_frames_with_their_dates():
    windows = of(5)
    fields, conditions = windows.take([3, 15])
    assert len(windows) == 16
    assert torch.equal(fields[1, :, 0], torch.arange(15, 20) * 6.0)
    assert torch.equal(conditions[0], windows.conditions[3:8])


def test_all_windows_are_equally_likely():
    fields, _ = of(5).draw(8000, torch.Generator().manual_seed(0))
    counts = torch.bincount((fields[:, 0, 0] / 6).long(), minlength=16)
    assert len(counts) == 16 and abs(counts / 500 - 1).max() < 0.25


def test_each_epoch_has_every_window_once_in_another_order():
    windows = of(5)
    epochs = [windows.shuffled(7, 16 * k, 16) for k in range(3)]
    assert all(sorted(epoch) == list(range(16)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[2] != windows.shuffled(8, 32, 16) != epochs[0]


def test_the_shuffled_order_can_start_anywhere():
    whole = of(5).shuffled(7, 0, 100)
    for first in (0, 3, 16, 31, 50):
        assert of(5).shuffled(7, first, 40) == whole[first : first + 40]


def test_no_window_spans_a_gap():
    windows = of(5, segment=np.repeat([1, 2, 3], [7, 6, 7]))
    assert windows.starts.tolist() == [0, 1, 2, 7, 8, 13, 14, 15]
    fields, _ = windows.take(range(len(windows)))
    segment = np.digitize(fields[..., 0].numpy() / 6, [7, 13])
    assert (segment == segment[:, :1]).all()


def test_prefetched_windows_are_those_requested():
    """Whatever was prefetched; and an error is raised when its windows are taken, not before."""
    read = []
    windows = Windows(TIMES, lambda first, last: read.append(first) or VALUES[first:last].reshape(-1, 6), 5, "training")
    windows.prefetch([3, 15])
    for numbers in ([3, 15], [15, 3], [4]):
        expected = of(5).take(numbers)
        assert all(torch.equal(a, b) for a, b in zip(windows.take(numbers), expected))
    assert read == [3, 15, 15, 3, 4]
    broken = Windows(TIMES, lambda first, last: 1 / 0, 5, "training")
    broken.prefetch([0])
    with pytest.raises(ZeroDivisionError):
        broken.take([0])


def test_no_window_has_a_masked_frame():
    segment = np.repeat([0, -1, 2, -1, 4], [6, 1, 4, 2, 7])
    windows = of(5, segment=segment)
    assert windows.starts.tolist() == [0, 1, 13, 14, 15] and len(windows) == 5
    assert sorted(windows.shuffled(0, 0, 5)) == [0, 1, 2, 3, 4]


def test_periods_without_a_window_are_refused():
    with pytest.raises(UserError, match="validation period has 20 frames, fewer than a window"):
        of(21, "validation")
    with pytest.raises(UserError, match="validation period has no frame; move or lengthen domain.validation"):
        of(5, "validation", count=0)
    says = "no segment of the training period is as long as a window"
    with pytest.raises(
        UserError, match=rf"{says} \(train.window = 8\): the longest has 6, and 0 of 20 frames are masked"
    ):
        of(8, segment=np.arange(20) // 6)
    with pytest.raises(
        UserError, match=f"{says}.*the longest has 3, and 17 of 20 .*shorten the window or move domain.train"
    ):
        of(4, segment=np.where(np.arange(20) < 3, 0, -1))
    with pytest.raises(UserError, match="the longest has 0, and 20 of 20 frames are masked"):
        of(4, segment=np.full(20, -1))


def settings(basis):
    return Train.model_validate({"linear_prior": {"basis": basis}})


def test_for_waves_fields_are_weighted_by_area(source, domain, tmp_path):
    """By the square root of the area of each latitude; not for empirical modes."""
    files = preprocessed(fields_of(source, domain), domain, tmp_path)
    grid = Grid.of(store.read(files[0]))
    plain, weighed = (windows.scaling_for(settings(basis), grid, *files[1:]) for basis in ("empirical", "waves"))
    edges = np.deg2rad(np.arange(39.0, 52, 2))
    area = np.diff(np.sin(edges))
    expected = np.sqrt(area / area.mean())[:, None]
    one, other = (Frames(files[0], domain.train, seen)(0, 366).reshape(-1, 2, 6, 8) for seen in (plain, weighed))
    np.testing.assert_allclose(other, one * expected, rtol=1e-5, atol=1e-6)
    assert weighed.measure.shape == (6, 8) and (weighed.measure**2).mean() == pytest.approx(1)
    fields = store.read(files[0])["fields"][:366]
    np.testing.assert_allclose(weighed.restore(other, fields["time"].values), fields, rtol=1e-6)
    assert plain.measure == 1.0


def test_windows_respect_masked_frames_and_gaps_of_the_store(source, domain, tmp_path):
    fields = fields_of(source, domain)
    known = ~np.isin(np.arange(fields.sizes["time"]), [100, 366 + 10])
    fields = fields.assign(available=("time", known)).assign_attrs(segment_starts=["2001-01-05T12:00:00"])
    fields["fields"][~known] = np.nan
    files = preprocessed(fields, domain, tmp_path, settings=Preprocess(annual_harmonics=0))
    chosen = settings("empirical").model_copy(update={"window": 8})
    seen = windows.scaling_for(chosen, Grid.of(fields), *files[1:])
    found = prior.windows(domain, chosen, "validation", files[0], seen)
    assert found.starts.tolist() == [*range(11, 24)]  # days 0-3, 4-9 and 11-30 are whole, the first two too short
    assert found.take(range(len(found)))[0].isfinite().all()
