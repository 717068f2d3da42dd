"""Stretches with a watch beside them."""

import time

import pytest

from hindsight.reanalyse import timing
from hindsight.reanalyse.assimilation import Task
from tests.reanalyse import worlds

PAUSE = 0.02


@pytest.fixture(scope="module")
def prior():
    return worlds.busy()


def timed(prior, frames=6, members=(0, 1), **about):
    task = Task(worlds.times(0, frames), worlds.table(), list(members), 1)
    return timing.analyse(prior, task, worlds.settings(**about))


def test_fields_are_those_of_a_job_and_the_prior_is_left_as_it_was(prior):
    plain = worlds.analysed(prior, worlds.settings(), worlds.table(), 6, members=(0, 1))
    found = timed(prior)
    assert found.fields.tobytes() == plain.fields.tobytes()
    assert found.work.evaluations == plain.cost.evaluations and found.work.updates == 6 * 3 * 2
    assert "denoise_stretch" not in vars(prior)


def test_a_slow_network_is_told_from_slow_guidance(prior, monkeypatch):
    """Three steps, each a call of the network: its pauses are the network's, those elsewhere are not."""
    before, denoise, seen = timed(prior), type(prior).denoise_stretch, timing.shard.observation_tensors.from_table
    with monkeypatch.context() as patch:
        patch.setattr(type(prior), "denoise_stretch", lambda *a: time.sleep(10 * PAUSE) or denoise(*a))
        slow = timed(prior)
    assert slow.network - before.network > 30 * PAUSE * 0.9 and slow.rest < 20 * PAUSE + before.rest
    with monkeypatch.context() as patch:
        patch.setattr(timing.shard.observation_tensors, "from_table", lambda *a: time.sleep(30 * PAUSE) or seen(*a))
        slow = timed(prior)
    assert slow.rest - before.rest > 30 * PAUSE * 0.8 and slow.network < 20 * PAUSE + before.network


def test_attempts_that_diverged_are_part_of_the_work(prior):
    """The second attempt has twice the steps: three rows and six, where one of the three was seen."""
    denoise, calls = prior.denoise_stretch, []

    def astray(*about):
        calls.append(1)
        return denoise(*about) * (float("nan") if len(calls) == 1 else 1.0)

    prior.denoise_stretch = astray
    try:
        found = timed(prior)
    finally:
        vars(prior).pop("denoise_stretch", None)
    plain = timed(prior)
    assert found.work.evaluations == plain.work.evaluations * (1 / 3 + 2)
    assert found.work.updates == pytest.approx(plain.work.updates * (1 / 3 + 2))


@pytest.mark.parametrize(
    ("about", "members", "whole", "frames"),
    [
        ({"batch": 4}, 4, 999, timing.LEAST),
        ({"batch": 32, "stride": 4}, 2, 999, 4 + 4 * 15),  # 16 windows of 2 members are a batch
        ({"batch": 32, "stride": 4}, 2, 40, 40),
        ({"batch": 4, "frames": 128}, 4, 999, 128),
        ({"batch": 4, "regime": "nowcast", "context": 16}, 4, 999, 32),
    ],
)
def test_a_stretch_fills_a_batch_and_a_streams_context(about, members, whole, frames):
    assert timing.length(worlds.settings(**about), 4, members, whole) == frames


@pytest.mark.parametrize(("short", "whole"), [(24, 24), (24, 30), (24, 60), (36, 280)])
def test_every_stretch_lies_within_the_job(short, whole):
    parts = timing.stretches(short, whole)
    assert len(parts) >= 2 and parts[0] == (0, short)
    assert all(0 <= first and first + frames <= whole for first, frames in parts)
    assert parts[1][1] == max(frames for _, frames in parts) == min(2 * short, whole)


@pytest.mark.parametrize(("seconds", "count"), [(1000.0, 4), (119.0, 3), (72.0, 2), (71.0, 1), (23.0, 0), (0.0, 0)])
def test_stretches_are_timed_as_far_as_they_can_be_afforded(seconds, count):
    parts = timing.stretches(24, 280)
    assert [frames for _, frames in parts] == [24, 48, 24, 24]
    assert timing.affordable(parts, seconds, 1.0) == parts[:count]


def test_the_peak_is_what_was_in_memory_and_stays():
    before = timing.peak()
    more = bytearray(2 * before)
    more[::4096] = b"x" * len(more[::4096])
    del more
    assert 2.5 * before < timing.peak() < 3.5 * before


def test_starting_a_job_takes_time():
    """Importing torch takes a while, but not a minute."""
    assert 0.2 < timing.start_seconds() < 60
    result, seconds = timing.timed_call(lambda: time.sleep(PAUSE) or 3)
    assert result == 3 and seconds >= PAUSE
