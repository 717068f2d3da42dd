"""Shards."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields import intervals, shards
from hindsight.settings import Domain, Product


def test_shards_cover_the_test_period_once():
    domain = Domain(test={"start": "2009-01-01T12:00", "end": "2010-12-31T12:00"})
    cut = shards.cut(domain, Product(shard_frames=100))
    times = np.concatenate([shard.times(24) for shard in cut])
    assert len(times) == 730 and (np.diff(times) == np.timedelta64(1, "D")).all()
    assert times[0] == np.datetime64("2009-01-01T12") and [s.frames for s in cut] == [100] * 7 + [30]


def test_a_longer_period_keeps_its_shards():
    start = {"start": "2009-01-01T12:00"}
    short = Domain(test=start | {"end": "2009-12-31T12:00"})
    longer = Domain(test=start | {"end": "2011-12-31T12:00"})
    product = Product(shard_frames=73)
    assert shards.cut(longer, product)[:5] == shards.cut(short, product)


DOMAIN = Domain(test={"start": "2009-01-01T12:00", "end": "2009-04-10T12:00"})  # 100 days


@pytest.mark.parametrize(
    ("number", "before", "after", "expected"),
    [
        (0, 10, 10, "20090101T12_50"),  # begins where the period does
        (1, 10, 10, "20090131T12_60"),
        (1, 10, 2, "20090131T12_52"),
        (1, 60, 0, "20090101T12_80"),
        (2, 1, 3, "20090321T12_21"),  # ends where the period does
    ],
)
def test_a_halo_ends_where_the_period_does(number, before, after, expected):
    one = shards.cut(DOMAIN, Product(shard_frames=40))[number]
    assert one.with_halo(before, after, DOMAIN).name == expected


def test_the_shards_that_hold_frames_of_an_interval_are_found():
    every = shards.cut(DOMAIN, Product(shard_frames=7))
    for day in range(95):
        for frames in (1, 2, 7, 8, 30):
            interval = intervals.Interval(np.datetime64("2009-01-01T12") + np.timedelta64(day, "D"), frames, 24)
            expected = [one for one in every if np.isin(one.times(24), interval.times).any()]
            assert shards.overlapping(every, interval) == expected


def test_an_unknown_shard_is_refused_with_those_that_exist():
    with pytest.raises(UserError, match="20090101T00"):
        shards.find("nonsense", Domain(), Product())


def test_shards_of_minutes_have_names_of_their_own_in_order():
    test = {"start": "2010-08-26T05:05", "end": "2010-08-26T07:35"}
    train = {"start": "2010-08-26", "end": "2010-08-26T04:00"}
    validation = {"start": "2010-08-26T04:05", "end": "2010-08-26T05:00"}
    domain = Domain(step_hours="5 min", train=train, validation=validation, test=test)
    found = shards.cut(domain, Product(shard_frames=10))
    assert [shard.frames for shard in found] == [10, 10, 10, 1]
    times = np.concatenate([shard.times(domain.step_hours) for shard in found])
    np.testing.assert_array_equal(times, np.arange("2010-08-26T05:05", "2010-08-26T07:40", 5, dtype="datetime64[m]"))
    names = [shard.name for shard in found]
    assert len(set(names)) == len(names) and sorted(names) == names
    stretch = found[1].with_halo(4, 4, domain)
    assert stretch.start == found[1].start - np.timedelta64(20, "m") and stretch.frames == found[1].frames + 8
    assert shards.overlapping(found, stretch) == found[:3]
