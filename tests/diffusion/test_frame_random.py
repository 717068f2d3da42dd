"""Noise depends on the frame and not on the job."""

import numpy as np
import torch

from hindsight.diffusion import frame_random


def test_two_jobs_draw_the_same_noise_for_the_frame_they_share():
    here = frame_random.normal(7, [0, 1, 2], range(10, 20), 3, "state", 50)
    there = frame_random.normal(7, [2, 1], range(15, 30), 3, "state", 50)
    assert torch.equal(here[1, 5:], there[1, :5]) and torch.equal(here[2, 5:], there[0, :5])


def test_every_key_has_its_own_noise():
    base = (7, 1, 12, 3, "state")
    others = [
        (8, 1, 12, 3, "state"),
        (7, 2, 12, 3, "state"),
        (7, 1, 13, 3, "state"),
        (7, 1, 12, 4, "state"),
        (7, 1, 12, 3, "step"),
    ]
    draw = lambda s, m, f, k, p: frame_random.normal(s, [m], [f], k, p, 2000)[0, 0].numpy()
    for other in others:
        assert abs(np.corrcoef(draw(*base), draw(*other))[0, 1]) < 0.1


def test_noise_is_standard_normal():
    values = frame_random.normal(0, range(20), range(20), 0, "start", 500).flatten().numpy()
    assert abs(values.mean()) < 0.01 and abs(values.std() - 1) < 0.01
    assert abs((values**4).mean() - 3) < 0.1


def test_each_frame_may_have_its_own_step():
    together = frame_random.normal(7, [0, 1], [10, 11, 12], [5, 2**41, 3], "carry", 20)
    for t, (frame, step) in enumerate([(10, 5), (11, 2**41), (12, 3)]):
        assert torch.equal(together[:, t], frame_random.normal(7, [0, 1], [frame], step, "carry", 20)[:, 0])


def test_fewer_numbers_are_the_first_of_more():
    """So padding, which depends on other frames, changes no number of a frame."""
    few, many = (frame_random.normal(7, [3], [10], 1, "observation", size) for size in (5, 9))
    assert torch.equal(few[..., :5], many[..., :5])


def test_a_number_for_all_members_is_uniform_with_a_key_of_its_own():
    keys = [(s, f, k, p) for s in (1, 2) for f in range(40) for k in range(20) for p in ("select", "step")]
    values = np.array([frame_random.uniform(*key) for key in keys])
    assert len(set(values)) == len(keys) and values.min() >= 0 and values.max() < 1
    assert abs(values.mean() - 0.5) < 0.03 and abs(values.var() - 1 / 12) < 0.01
    assert frame_random.uniform(*keys[5]) == values[5]


def test_the_values_never_change_between_versions():
    """An archive extended next year must draw what it drew this year."""
    np.testing.assert_allclose(frame_random.normal(1, [0], [40000], 2, "step", 3)[0, 0].numpy(), GOLDEN, atol=1e-6)
    assert frame_random.uniform(1, 40000, 2, "select") == 0.26259261155218294


GOLDEN = [-0.189935, 0.784372, 0.450317]


def test_antithetic_members_have_opposite_numbers_in_pairs_and_the_first_of_each_its_own():
    of = lambda members, antithetic: frame_random.normal(3, members, [5, 6], 2, "step", 7, antithetic)
    plain, pairs = of([0, 1, 2, 3], False), of([0, 1, 2, 3], True)
    assert torch.equal(pairs[1::2], -pairs[::2]) and torch.equal(pairs[::2], plain[::2])
    assert torch.equal(of([3], True), pairs[3:])  # whichever other members a job has
    keys = torch.arange(6).reshape(2, 3)
    seen = lambda members: frame_random.for_observations(3, members, keys, 2, "observation", True)
    assert torch.equal(seen([0, 1])[1], -seen([0, 1])[0]) and torch.equal(seen([5]), -seen([4]))
