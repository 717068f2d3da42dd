"""Checkpoints of a shard."""

import errno
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from hindsight import signals
from hindsight.diffusion.guidance.unguided import Cost
from hindsight.diffusion.sampler import State
from hindsight.reanalyse import checkpoint
from hindsight.reanalyse.checkpoint import Checkpoint
from tests.reanalyse import worlds

RECIPE = ["settings", 1, [0, 1]]


class Killed(Exception):
    """Stands for kill -9 in the middle of a step."""


def under_way():
    state = State(torch.randn(2, 5, 3), np.array([0.0, 0.0, 0.5, np.inf, np.inf]), finished=2, cycle=7)
    return state, torch.randn(2, 5, 3), Cost(11, 22, 33, 4, 5.5)


def forbidden(monkeypatch, path):
    """Deny reading a file, also for root."""
    plain = Path.open

    def refuse(self, *given, **more):
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return plain(self, *given, **more)

    monkeypatch.setattr(Path, "open", refuse)


def fresh():
    return State(torch.zeros(2, 5, 3), np.full(5, np.inf)), Cost()


def test_a_checkpoint_restores_the_state(tmp_path):
    state, analysed, cost = under_way()
    Checkpoint(tmp_path / "s", RECIPE, seconds=0).save(state, analysed, 1, cost)
    found, counted = fresh()
    kept = Checkpoint(tmp_path / "s", RECIPE).load(found, 1, counted)
    assert torch.equal(kept, analysed) and torch.equal(found.fields, state.fields)
    np.testing.assert_array_equal(found.level, state.level)
    assert (found.finished, found.cycle, counted) == (2, 7, Cost(11, 22, 33, 4, 5.5))


@pytest.mark.parametrize("cycle", [0, 7])
@pytest.mark.parametrize("remembered", [0, 3])
def test_inside_a_cycle_its_frames_and_the_memory_of_the_step_come_back(tmp_path, cycle, remembered):
    state, analysed, cost = under_way()
    levels = torch.rand(2, 2)
    state.cycle, state.row, state.partial = cycle, 3, torch.randn(2, 2, 3)
    state.memory = (torch.randn(2, 2, 3), *levels)[:remembered]
    Checkpoint(tmp_path / "s", RECIPE, seconds=0).save(state, analysed, 0, cost)
    found, counted = fresh()
    kept = Checkpoint(tmp_path / "s", RECIPE).load(found, 0, counted)
    assert (found.cycle, found.row, counted) == (cycle, 3, cost) and torch.equal(found.partial, state.partial)
    assert len(found.memory) == remembered and all(map(torch.equal, found.memory, state.memory))
    if cycle:
        assert torch.equal(kept, analysed) and torch.equal(found.fields, state.fields)
    else:  # there was nothing yet
        assert kept.shape == analysed.shape and np.isinf(found.level).all() and found.fields.abs().max() == 0


def test_writing_takes_a_tenth_of_the_time_at_most(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])

    def slow(path, write_to):
        writes.append(clock[0])
        clock[0] += 50.0

    writes, keep = [], Checkpoint(tmp_path / "s", RECIPE)
    monkeypatch.setattr(checkpoint, "replace", slow)
    for _ in range(2000):
        clock[0] += 1.0
        keep.save(*under_way()[:2], 0, Cost())
    assert writes[:2] == [20.0, 570.0] and len(writes) * 50 <= 0.1 * clock[0] + 50


def untouched(kept, attempt=0):
    found, counted = fresh()
    return (
        kept.load(found, attempt, counted) is None
        and found.fields.abs().max() == 0
        and np.isinf(found.level).all()
        and (found.finished, found.cycle, counted) == (0, 0, Cost())
    )


def test_a_checkpoint_of_another_recipe_or_attempt_is_ignored(tmp_path):
    assert untouched(Checkpoint(tmp_path / "s", RECIPE))
    Checkpoint(tmp_path / "s", RECIPE, seconds=0).save(*under_way()[:2], 0, Cost())
    assert not untouched(Checkpoint(tmp_path / "s", RECIPE))
    assert untouched(Checkpoint(tmp_path / "s", RECIPE), attempt=1)
    for other in (["settings", 2, [0, 1]], ["settings", 1, [1, 0]], []):
        assert untouched(Checkpoint(tmp_path / "s", other))


@pytest.mark.parametrize("left", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_ignored(tmp_path, left):
    Checkpoint(tmp_path / "s", RECIPE, seconds=0).save(*under_way()[:2], 0, Cost())
    whole = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(whole[: int(left * len(whole))])
    assert untouched(Checkpoint(tmp_path / "s", RECIPE))


def test_it_is_written_no_more_often_than_requested_and_removed_in_the_end(tmp_path):
    slow = Checkpoint(tmp_path / "s", RECIPE, seconds=1000)
    slow.save(*under_way()[:2], 0, Cost())
    assert not (tmp_path / "s").exists()
    slow.remove()  # there is nothing to remove
    quick = Checkpoint(tmp_path / "s", RECIPE, seconds=0)
    quick.save(*under_way()[:2], 0, Cost())
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    quick.remove()
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def prior():
    return worlds.busy()


SLIDING = {"regime": "sliding", "lag_hours": 24, "window": {"hop_hours": 48, "effective": 0.7}}
REGIMES = {
    "batch": {"steps": 9},
    "batch, second order": {"steps": 9, "guidance": {"method": "diagonal"}, "sampler": {"step": "second_order"}},
    "batch, corrected": {"steps": 9, "sampler": {"corrections": 2}},
    "passes": {"steps": 4, "selection": {"passes": 2}},
    "nowcast": {"regime": "nowcast"},
    "fixed past": {"regime": "fixed_lag", "lag_hours": 48, "past": "fixed"},
    "sliding": SLIDING,
    "particle filter": {"regime": "particle_filter", "lag_hours": 24, "window": {"effective": 0.4}},
    "second order": {"regime": "nowcast", "guidance": {"method": "diagonal"}, "sampler": {"step": "second_order"}},
}


@pytest.mark.parametrize("regime", REGIMES)
def test_killed_again_and_again_and_resumed_it_gives_the_same_bytes(prior, tmp_path, regime):
    chosen, seen = worlds.settings(**REGIMES[regime]), worlds.table()
    whole = worlds.analysed(prior, chosen, seen, 7)

    def job(kill_at=None):
        def watch(done):
            rows_done.append(done)
            if done == kill_at:
                raise Killed

        rows_done = []
        keep = Checkpoint(tmp_path / "s", RECIPE, seconds=0)
        return worlds.analysed(prior, chosen, seen, 7, progress=watch, checkpoint=keep), rows_done

    for row in (2, 5, 8):  # in the first cycle, and later
        with pytest.raises(Killed):
            job(row)
    found, rows_done = job()
    assert rows_done[0] == 8, "it did not begin with the row that was under way"
    assert found.fields.tobytes() == whole.fields.tobytes() and found.cost == whole.cost
    again, rows_done = job()  # all is done, and the analysis was not yet written
    assert rows_done == [] and again.fields.tobytes() == whole.fields.tobytes() and again.cost == whole.cost


@pytest.mark.parametrize("regime", REGIMES)
def test_after_a_signal_it_saves_and_resumes_to_the_same_bytes(prior, tmp_path, regime):
    chosen, seen = worlds.settings(**REGIMES[regime]), worlds.table()
    whole = worlds.analysed(prior, chosen, seen, 7)

    def job(ask_at=None):
        watch = lambda done: signal.raise_signal(signal.SIGTERM) if done == ask_at else None
        keep = Checkpoint(tmp_path / "s", RECIPE, seconds=1000)  # it would not write otherwise
        with signals.handling("checkpoint"):
            return worlds.analysed(prior, chosen, seen, 7, progress=watch, checkpoint=keep)

    for row in (2, 5, 8):
        with pytest.raises(signals.Stopped, match=r"after (step \d of )?cycle \d+; saved"):
            job(row)
    found = job()
    assert found.fields.tobytes() == whole.fields.tobytes() and found.cost == whole.cost


def test_a_file_that_cannot_be_read_raises_an_error(tmp_path, monkeypatch):
    """It may hold days of work and only belong to another user."""
    Checkpoint(tmp_path / "s", RECIPE, seconds=0).save(*under_way()[:2], 0, Cost())
    forbidden(monkeypatch, tmp_path / "s")
    with pytest.raises(PermissionError):
        untouched(Checkpoint(tmp_path / "s", RECIPE))


def test_an_attempt_that_was_killed_is_not_mixed_with_the_one_before(prior, tmp_path):
    """The first attempt diverges late, the second is killed: the next job ends where an undisturbed one does."""
    chosen, seen, plain = worlds.settings(regime="nowcast"), worlds.table(), type(prior).denoise_stretch

    def job(keep, kill_at=None):
        calls = []

        def denoise(noisy, *more):
            calls.append(1)
            return plain(prior, noisy, *more) * (float("nan") if len(calls) == 8 else 1.0)

        def watch(done):
            if done == kill_at:
                raise Killed

        prior.denoise_stretch = denoise
        try:
            return worlds.analysed(prior, chosen, seen, 6, progress=watch, checkpoint=keep)
        finally:
            del prior.denoise_stretch

    whole = job(None)
    assert whole.retries == 1
    fresh_checkpoint = lambda: Checkpoint(tmp_path / "s", RECIPE, seconds=0)
    with pytest.raises(Killed):
        job(fresh_checkpoint(), kill_at=9)  # the first attempt came to seven
    found = job(fresh_checkpoint())
    assert found.retries == 1 and found.fields.tobytes() == whole.fields.tobytes()
