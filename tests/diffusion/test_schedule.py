"""Noise schedules and cycles."""

import itertools

import numpy as np
import pytest

from hindsight.diffusion import noise, schedule
from hindsight.diffusion.schedule import noise_schedule


@pytest.mark.parametrize("delay", [0, 1, 3, 4])
def test_levels_fall_from_noise_to_clean_and_never_rise(delay):
    levels = noise_schedule(frames=5, steps=4, delay=delay)
    assert (levels[0] == 4).all() and (levels[-1] == 0).all()
    assert (np.diff(levels, axis=0) <= 0).all()


def test_batch_keeps_all_frames_at_one_level():
    levels = noise_schedule(frames=5, steps=4, delay=0)
    assert (levels == levels[:, :1]).all()


def test_a_nowcast_denoises_one_frame_at_a_time():
    levels = noise_schedule(frames=5, steps=4, delay=4)
    assert (((levels > 0) & (levels < 4)).sum(axis=1) <= 1).all()


def test_fixed_lag_is_the_published_pyramid():
    """Golden rows worked out from the published formula: H = 5, ST = 3, us = 1."""
    expected = ["33333", "23333", "12333", "01233", "00123", "00012", "00001", "00000"]
    assert ["".join(map(str, row)) for row in noise_schedule(5, 3, 1)] == expected


@pytest.mark.parametrize(
    ("frames", "steps", "delay", "expected"),
    [
        (4, 4, 0.5, ["4444", "3344", "2233", "1122", "0011", "0000"]),
        (3, 3, 3, ["333", "233", "133", "033", "023", "013", "003", "002", "001", "000"]),  # autoregressive
        (3, 2, 0, ["222", "111", "000"]),  # full_sequence
    ],
)
def test_the_published_scheduling_matrices(frames, steps, delay, expected):
    """Golden rows worked out from the published formula; `delay` is their uncertainty scale."""
    assert ["".join(map(str, row)) for row in noise_schedule(frames, steps, delay)] == expected


def test_a_pyramid_two_steps_apart():
    """H = 4, ST = 4, us = 2: 11 rows, row 5 = [0 1 3 4]."""
    found = noise_schedule(4, 4, 2)
    assert len(found) == 11 and found[5].tolist() == [0, 1, 3, 4]


def test_a_delay_longer_than_all_steps_is_refused():
    with pytest.raises(ValueError, match="delay"):
        noise_schedule(5, 4, 5)


def as_text(cycles):
    """Each cycle as text: first frame, rows, earlier cycles of each frame, and number of finished frames."""
    text = lambda row: "".join(map(str, np.asarray(row, int)))
    return [f"{c.first}: {' '.join(map(text, c.rows))} | {text(c.noise_number)} | {c.finished}" for c in cycles]


COUNTS = np.arange(5)  # noise levels that equal their index


def test_golden_rows_of_batch_with_passes():
    assert as_text(schedule.batch(3, COUNTS)) == ["0: 444 333 222 111 000 | 000 | 3"]
    found = schedule.rejuvenated(3, COUNTS, passes=2, sigma=2)
    assert as_text(found) == [
        "0: 444 333 222 111 000 | 000 | 0",
        "0: 222 111 000 | 111 | 0",
        "0: 222 111 000 | 222 | 3",
    ]
    assert [cycle.weigh for cycle in found] == ["after", "after", "never"]
    assert as_text(schedule.rejuvenated(3, COUNTS, passes=0, sigma=2)) == as_text(schedule.batch(3, COUNTS))
    assert schedule.rejuvenated(3, COUNTS, passes=0, sigma=2)[0].weigh == "never"


def test_a_pass_begins_at_its_own_level_between_the_others():
    first, second = schedule.rejuvenated(2, np.array([0, 0.1, 1.0, 10.0]), passes=1, sigma=0.5)
    np.testing.assert_allclose(second.rows[:, 0], [0.5, 0.1, 0])


def test_golden_rows_of_a_staircase():
    assert as_text(schedule.staircase(4, COUNTS, lag=1, context=3)) == [
        "0: 4 3 2 | 0 | 0",
        "0: 24 13 02 | 10 | 1",
        "0: 024 013 002 | 210 | 2",
        "1: 024 013 002 001 000 | 210 | 4",
    ]


def test_golden_rows_of_a_staircase_where_the_steps_are_no_multiple_of_the_lag():
    """Four steps in three rounds: one, one and two; the last round of a frame always has a step."""
    assert as_text(schedule.staircase(4, COUNTS, lag=2, context=2)) == [
        "0: 4 3 | 0 | 0",
        "0: 34 23 | 10 | 0",
        "0: 234 123 023 | 210 | 1",
        "1: 234 123 023 012 002 001 000 | 210 | 4",
    ]
    assert as_text(schedule.staircase(3, np.arange(2), lag=2, context=3))[:2] == ["0: 1 | 0 | 0", "0: 11 | 10 | 0"]


def test_golden_rows_of_a_moving_window():
    assert as_text(schedule.moving_window(4, np.arange(3), lag=1, context=3)) == [
        "0: 22 11 00 | 10 | 1",
        "0: 222 111 000 | 210 | 2",
        "1: 222 111 000 | 210 | 4",
    ]


def test_golden_rows_of_a_moving_window_of_particles():
    """Frames carried over wait at their level; the last window moves by what is left of the stretch."""
    found = schedule.moving_window(6, COUNTS, lag=1, context=4, hop=3, carried=2, weigh="before")
    assert as_text(found) == [
        "0: 4444 3333 2222 1111 0000 | 3210 | 3",
        "2: 2244 2233 2222 1111 0000 | 3210 | 6",
    ]
    assert {cycle.weigh for cycle in found} == {"before"}


REGIMES = {"staircase": schedule.staircase, "moving": schedule.moving_window}
CASES = [
    (regime, frames, steps, lag, context, hop)
    for regime, frames, steps, lag, context in itertools.product(
        REGIMES, (1, 2, 5, 11), (1, 3, 4, 8), (0, 1, 2, 4), (1, 3, 6)
    )
    for hop in ((1, 2, 3) if regime == "moving" else (1,))
]


def case(regime, frames, steps, lag, context, hop):
    ladder = noise.levels(steps, 0.05, 10.0, 7.0)
    about = {"hop": hop, "carried": 0.5} if regime == "moving" else {}
    return REGIMES[regime](frames, ladder, lag, context, **about), ladder


@pytest.mark.parametrize("of", CASES, ids=str)
def test_every_frame_finishes_once_clean_and_in_view_with_the_observations_of_its_lag(of):
    regime, frames, steps, lag, context, hop = of
    cycles, _ = case(*of)
    before = 0
    for cycle in cycles:
        assert cycle.view.start <= before, "a frame left the view before it was finished"
        assert cycle.finished >= before
        for frame in range(before, cycle.finished):
            assert cycle.rows[-1, frame - cycle.first] == 0
            latest = min(frame + lag, frames - 1)
            assert latest <= cycle.view.stop - 1 <= min(latest + hop - 1, frames - 1)
        before = cycle.finished
    assert before == frames
    assert all(0 <= c.view.start < c.view.stop <= frames for c in cycles)
    assert max(len(c.noise_number) for c in cycles) <= max(context, lag + hop)


@pytest.mark.parametrize("of", CASES, ids=str)
def test_levels_never_rise_within_a_cycle_and_new_frames_enter_at_the_largest(of):
    cycles, ladder = case(*of)
    level, rounds = np.full(of[1], np.inf), {}
    for cycle in cycles:
        assert (np.diff(cycle.rows, axis=0) <= 0).all() and len(cycle.noise_number) == cycle.rows.shape[1]
        assert (np.diff(cycle.rows, axis=0) < 0).any(1).all(), "a row in which nothing moves costs an evaluation"
        new = np.isinf(level[cycle.view])
        assert (cycle.rows[0, new] == ladder[-1]).all()
        if of[0] == "staircase":  # what is finished stays, and the others go on where they were
            np.testing.assert_array_equal(cycle.rows[0, ~new], level[cycle.view][~new])
        else:
            assert (cycle.rows[0, ~new] == min(0.5, ladder[-1])).all()
        level[cycle.view] = cycle.rows[-1]
        for frame, age in zip(range(cycle.view.start, cycle.view.stop), cycle.noise_number):
            rounds.setdefault(frame, []).append(age)
    assert all(len(set(ages)) == len(ages) for ages in rounds.values()), "two rounds of a frame share random numbers"
    assert (level == 0).all()


@pytest.mark.parametrize("of", [(4, 0), (8, 1), (9, 2), (8, 3), (5, 4)])
def test_a_staircase_is_the_published_schedule_cut_into_cycles(of):
    """If the rounds share the steps evenly and no frame leaves the view."""
    steps, lag = of
    whole, found = noise_schedule(7, steps, steps // (lag + 1)), []
    for newest, cycle in enumerate(schedule.staircase(7, np.arange(steps + 1), lag, context=7)):
        waiting = np.full((len(cycle.rows), 6 - newest), steps)
        part = np.concatenate([cycle.rows, waiting], 1)
        found.append(part if newest == 0 else part[1:])
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_without_a_carried_level_every_window_begins_from_pure_noise():
    ladder = noise.levels(3, 0.05, 10.0, 7.0)
    assert all((cycle.rows[0] == ladder[-1]).all() for cycle in schedule.moving_window(9, ladder, 2, 5))
