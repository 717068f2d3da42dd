"""Steering: the frames whose noise is in its range are shifted, by the directions of their own prior."""

import pytest
import torch

from hindsight import steering
from hindsight.errors import UserError
from hindsight.settings.steering import Steering as Settings
from tests.train.test_responses import busy

CHOSEN = Settings(strength=2.0, below=3.0, above=0.02)


def directions(prior):
    return {name: torch.ones(8) for name in prior.network.taps}  # of the width of that network


def test_frames_are_steered_while_their_noise_is_in_the_range():
    level = torch.tensor([[0.0, 0.01, 0.02, 0.5, 2.9, 3.1, 80.0]])
    shifts = steering.Steering({"a": torch.tensor([1.0, -0.5])}, CHOSEN).shifts(level.log())
    steered = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(shifts["a"], 2 * steered[None, :, None] * torch.tensor([1.0, -0.5]))


@torch.no_grad()
def test_the_network_sees_the_shifts_and_nothing_where_no_frame_is_in_the_range():
    prior = busy()
    noisy, conditions = torch.randn(2, 4, 16), torch.zeros(2, 4, 4)
    at = lambda level: prior.denoise(noisy, torch.full((2, 4), level), conditions)
    inside, outside = at(0.3), at(5.0)
    prior.steering = steering.Steering(directions(prior), CHOSEN)
    assert torch.equal(at(5.0), outside) and not torch.equal(at(0.3), inside)
    prior.steering = steering.Steering(directions(prior), CHOSEN.model_copy(update={"strength": 0.0}))
    assert torch.equal(at(0.3), inside)


def test_directions_are_read_for_the_prior_that_they_were_made_from(tmp_path):
    path = tmp_path / "steering.safetensors"
    steering.save({"a": torch.arange(3.0)}, "one", path)
    assert torch.equal(steering.load(path, "one", CHOSEN).directions["a"], torch.arange(3.0))
    with pytest.raises(UserError, match="another prior; audit this one"):
        steering.load(path, "other", CHOSEN)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot read the directions"):
        steering.load(path, "one", CHOSEN)


def test_levels_without_a_range_are_refused():
    with pytest.raises(ValueError, match="no noise level is below 0.01 and above 0.02"):
        Settings(below=0.01)
