"""Shards."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.fields import shards
from hindsight.settings import Domain, Product


def test_shards_cover_the_test_period_once():
    domain = Domain(test={"start": "2009-01-01T12:00", "end": "2010-12-31T12:00"})
    cut = shards.cut(domain, Product(shard_frames=100))
    times = np.concatenate([shard.times(24) for shard in cut])
    assert len(times) == 730 and (np.diff(times) == np.timedelta64(1, "D")).all()
    assert times[0] == np.datetime64("2009-01-01T12") and [s.frames for s in cut] == [100] * 7 + [30]


def test_a_longer_period_keeps_the_cuts_and_names():
    start = {"start": "2009-01-01T12:00"}
    short = Domain(test=start | {"end": "2009-12-31T12:00"})
    longer = Domain(test=start | {"end": "2011-12-31T12:00"})
    product = Product(shard_frames=73)
    assert shards.cut(longer, product)[:5] == shards.cut(short, product)


def test_a_halo_is_of_whole_frames_on_both_sides():
    shard = shards.Shard("x", np.datetime64("2009-01-10T12"), 3)
    assert len(shard.times(24, halo=2)) == 7
    assert shard.times(24, halo=2)[2] == np.datetime64("2009-01-10T12")


def test_an_unknown_shard_is_refused_with_those_that_exist():
    with pytest.raises(UserError, match="20090101T00"):
        shards.named("nonsense", Domain(), Product())
