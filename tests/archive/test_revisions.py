"""Versions of shards: the first is no revision, other values are one with its reason, added members are none."""

import json

import numpy as np
import pytest

from hindsight.archive import revisions
from hindsight.settings.quality import Denial

DENIED = Denial(station="ES_1", start="2009-01-05", end="2009-01-09", reason="moved to another height")
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(10) * np.timedelta64(1, "D")


def marker(prior="p", observations="o", **checksums):
    blocks = [{"prior": prior, "observations": observations}]
    return {"hindsight": "0", "blocks": blocks, "objects": {"msl/c/0/0/0": "a", "mean/msl/c/0/0": "m"} | checksums}


def said(tmp_path):
    return [(one["shard"], one["why"]) for one in revisions.register(tmp_path)]


def test_the_same_values_are_one_version(tmp_path):
    assert revisions.record(tmp_path / "s.json", marker(), TIMES, [])
    before = (tmp_path / "s.json").read_bytes()
    assert revisions.read(tmp_path / "s.json")[0]["when"] is None  # as in any other run of the same inputs
    assert not revisions.record(tmp_path / "s.json", marker(), TIMES, [])
    assert (tmp_path / "s.json").read_bytes() == before and said(tmp_path) == []


def test_other_values_are_a_revision_with_its_reason_and_checksums(tmp_path):
    denials = revisions.concerning([DENIED], TIMES)
    revisions.record(tmp_path / "s.json", marker(), TIMES, [])
    revisions.record(tmp_path / "s.json", marker(**{"msl/c/0/0/0": "b"}), TIMES, denials)
    revisions.record(tmp_path / "s.json", marker(**{"msl/c/0/0/0": "c"}), TIMES, denials)
    revisions.record(tmp_path / "t.json", marker(), TIMES, denials)
    newest, first = revisions.register(tmp_path)
    assert first["why"] == ["denied: station ES_1, 2009-01-05T00:00:00 to 2009-01-09T23:59:59: moved to another height"]
    assert first["objects"] == {"msl/c/0/0/0": {"before": "a", "after": "b"}} and first["shard"] == "s"
    assert newest["why"] == ["made again from other analyses"]
    assert newest["frames"] == ["2009-01-01T12:00", "2009-01-10T12:00"]


@pytest.mark.parametrize(("changed", "why"), [
    ({"prior": "q"}, ["sampled from another prior"]),
    ({"observations": "r"}, ["made from other observations"]),  # as when the source was corrected
    ({"prior": "q", "observations": "r"}, ["sampled from another prior", "made from other observations"])])  # fmt: skip
def test_without_a_denial_the_reason_is_what_the_shard_was_made_from(tmp_path, changed, why):
    revisions.record(tmp_path / "s.json", marker(), TIMES, [])
    revisions.record(tmp_path / "s.json", marker(**{"msl/c/0/0/0": "b"}, **changed), TIMES, [])
    assert said(tmp_path) == [("s", why)]


def test_members_that_are_added_are_no_revision(tmp_path):
    revisions.record(tmp_path / "s.json", marker(), TIMES, [])
    more = marker(**{"msl/c/1/0/0": "n", "mean/msl/c/0/0": "other"})
    assert not revisions.record(tmp_path / "s.json", more, TIMES, []) and said(tmp_path) == []
    assert revisions.record(tmp_path / "s.json", marker(**{"msl/c/1/0/0": "o"}), TIMES, [])  # they count from then on


@pytest.mark.parametrize(("period", "meets"), [
    ({}, True), ({"end": "2009-01-01"}, True), ({"start": "2009-01-11"}, False), ({"end": "2008-12-31"}, False),
    ({"start": "2009-01-10T12:00"}, True)])  # fmt: skip
def test_denials_concern_the_shards_that_their_period_meets(period, meets):
    found = revisions.concerning([Denial(station="*", reason="drift", **period)], TIMES)
    assert bool(found) == meets and json.dumps(found)
