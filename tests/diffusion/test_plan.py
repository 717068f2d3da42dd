"""Inference plans."""

import numpy as np
import pytest

from hindsight.diffusion.plan import noise_plan


@pytest.mark.parametrize("delay", [0, 1, 3, 4])
def test_plan_goes_from_noise_to_clean_and_never_back(delay):
    plan = noise_plan(frames=5, steps=4, delay=delay)
    assert (plan[0] == 4).all() and (plan[-1] == 0).all()
    assert (np.diff(plan, axis=0) <= 0).all()


def test_batch_keeps_all_frames_at_one_level():
    plan = noise_plan(frames=5, steps=4, delay=0)
    assert (plan == plan[:, :1]).all()


def test_nowcast_has_one_frame_in_hand_at_a_time():
    plan = noise_plan(frames=5, steps=4, delay=4)
    assert (((plan > 0) & (plan < 4)).sum(axis=1) <= 1).all()


def test_fixed_lag_is_the_published_pyramid():
    """Golden rows of the design's methods.md, section 1.4: H = 5, ST = 3, us = 1."""
    expected = ["33333", "23333", "12333", "01233", "00123", "00012", "00001", "00000"]
    assert ["".join(map(str, row)) for row in noise_plan(5, 3, 1)] == expected


def test_a_delay_longer_than_a_walk_is_refused():
    with pytest.raises(ValueError, match="delay"):
        noise_plan(5, 4, 5)
