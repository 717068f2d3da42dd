"""How long periods are cut into the intervals that jobs work on."""

import numpy as np
import pytest

from hindsight import settings
from hindsight.errors import UserError
from hindsight.fields import intervals
from hindsight.settings import Domain, Download

PERIODS = [{"start": "2000-01-01", "end": "2000-12-31T18:00"}, {"start": "2001-01-01", "end": "2001-03-01T00:00"}]


def asked(**changes):
    given = {"source": "bucket", "bucket": {"url": "gs://a/b.zarr"}, "periods": PERIODS, "step_hours": 6}
    return Download.model_validate(given | changes)


def together(found):
    return np.concatenate([interval.times for interval in found])


def test_parts_hold_every_frame_once_and_touching_periods_are_one():
    found = intervals.parts(asked(part_frames=100))
    times = together(found)
    np.testing.assert_array_equal(times, np.arange("2000-01-01", "2001-03-01T01", 6, dtype="datetime64[h]"))
    assert {interval.frames for interval in found[:-1]} == {100} and found[-1].frames == len(times) % 100


def test_parts_are_cut_at_multiples_from_the_epoch_so_that_no_chunk_is_in_two():
    found = intervals.parts(asked(part_frames=100, epoch="1959-01-01"))
    numbers = [(interval.start - np.datetime64("1959-01-01")) // np.timedelta64(6, "h") for interval in found]
    assert all(number % 100 == 0 for number in numbers[1:])
    assert len(together(found)) == len(together(intervals.parts(asked(part_frames=100))))


def test_a_longer_period_adds_parts_and_keeps_the_others():
    longer = [*PERIODS, {"start": "2001-03-01T06:00", "end": "2002-01-01"}]
    old, new = (intervals.parts(asked(part_frames=100, periods=periods)) for periods in (PERIODS, longer))
    assert {c.name for c in old[:-1]} <= {c.name for c in new} and len(new) > len(old)


def test_a_gap_between_periods_is_not_downloaded():
    apart = [PERIODS[0], {"start": "2005-01-01", "end": "2005-01-31"}]
    times = together(intervals.parts(asked(periods=apart)))
    assert not ((times > np.datetime64("2001-01-01")) & (times < np.datetime64("2005-01-01"))).any()


@pytest.mark.parametrize("start", ["0900-01-01T00", "1959-12-31T18", "12000-02-29T06"])
def test_a_name_gives_its_interval(start):
    interval = intervals.Interval(np.datetime64(start, "h"), 7, 6)
    assert intervals.parse(interval.name, 6) == interval


@pytest.mark.parametrize("name", ["", "2000", "20000101T00", "20000101T00_x", "20001301T00_4"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(UserError, match="is not an interval of time"):
        intervals.parse(name, 6)


def test_pieces_cover_the_splits_and_leave_out_those_that_overlap_no_split():
    domain = Domain.model_validate(
        {
            "step_hours": 24,
            "train": {"start": "2000-01-01", "end": "2000-12-31"},
            "validation": {"start": "2005-01-01", "end": "2005-01-31"},
            "test": {"start": "2006-01-01T12:00", "end": "2006-12-31"},
        }
    )
    regrid = settings.Preprocess(piece_frames=128, file_frames=64, chunk_frames=32)
    found = intervals.pieces(domain, regrid)
    axis, times = intervals.time_axis(domain), together(found)
    assert axis[0] == np.datetime64("2000-01-01T12") and axis[-1] == np.datetime64("2006-12-31T12")
    for split in domain.splits.values():
        inside = axis[(axis >= np.datetime64(split.start)) & (axis <= np.datetime64(split.end))]
        assert np.isin(inside, times).all()
    assert not ((times > np.datetime64("2001-06-01")) & (times < np.datetime64("2004-06-01"))).any()
    assert all((interval.start - found[0].start) / np.timedelta64(24 * 128, "h") % 1 == 0 for interval in found)
    without = intervals.pieces(domain, regrid, settings.Comparison(against="none").splits(domain).values())
    assert 0 < len(without) < len(found) and set(without) < set(found) and without[-1].start < np.datetime64("2005-02")
