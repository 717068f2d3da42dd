"""The base class of worlds, with a world whose state counts the seconds."""

import numpy as np
import pytest
import torch

from hindsight.dynamics.world import DAY, World
from hindsight.settings.download import Synthetic

BEGINS = np.array(["2000-01-03", "2000-02-01T06"], "datetime64[ns]")


class Clock(World):
    """State: the time, the seconds integrated, and the number of the segment."""

    def disturbance(self, segment):
        return torch.tensor([0.0, 0.0, segment], dtype=torch.float64)

    def advance(self, states, time, interval):
        return torch.stack([time + interval, states[:, 1] + interval, states[:, 2]], 1)

    def weather(self, states):
        return {"x": states.numpy()}


def make(**settings):
    return Clock(Synthetic(**{"spin_up_days": 2, "step_hours": 3} | settings))


def test_a_spin_up_ends_where_the_segments_begin():
    progress = []
    found = make().spin_up(BEGINS, progress.append)
    assert found.tolist() == [[2 * DAY, 2 * DAY, 0], [31.25 * DAY, 2 * DAY, 1]] and progress == [1, 2]
    assert make(spin_up_days=0).spin_up(BEGINS)[:, 1].tolist() == [0, 0]


def test_frames_are_the_states_at_their_times_and_can_continue_from_any():
    made, progress = make(), []
    start = made.spin_up(BEGINS)
    after, found = made.frames(start, BEGINS, 0, 8, progress.append)
    seconds = np.array([2 * DAY, 31.25 * DAY])[:, None] + np.arange(8) * 3 * 3600
    np.testing.assert_allclose(found["x"][..., 0], seconds)
    assert progress == [2] * 7 + [3] and (after[:, 1] == 3 * DAY).all()
    middle, first = made.frames(start, BEGINS, 0, 5)
    end, rest = made.frames(middle, BEGINS, 5, 3)
    assert torch.equal(end, after)
    np.testing.assert_array_equal(np.concatenate([first["x"], rest["x"]], 1), found["x"])


def test_random_numbers_are_a_function_of_the_seed_and_the_segment():
    draw = lambda seed, segment: tuple(make(seed=seed).draws(segment).standard_normal(3))
    assert draw(1, 0) == draw(1, 0) and len({draw(1, 0), draw(1, 1), draw(2, 0)}) == 3


def test_a_world_whose_variables_are_not_its_state_says_so():
    with pytest.raises(NotImplementedError, match="Clock: its variables do not determine its state"):
        make().states({"x": np.zeros((1, 1, 3))})
