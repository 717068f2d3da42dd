"""The sampler's own habits; that it is exact stands in test_exact_smoother.py."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import noise, sampler
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.plan import noise_plan
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, observe
from tests.oracles import linear_gaussian as oracle


def test_the_usual_step_would_be_too_sure_of_itself():
    """What the covariance-aware step is for: without the draw of xi and eps, one step leaves no spread at all."""
    process, seen = oracle.process(SIZE), observe([2, 7])
    guidance = Analytic(process, seen, tolerance=1e-6)
    zero = lambda row, purpose, size=SIZE: torch.zeros(50, FRAMES, size)
    draw = lambda denoised, posterior, row: guidance.update(denoised, posterior)
    sample = sampler.sample(
        process, lambda x, p: p.mean(x), draw, noise_plan(FRAMES, 1, 0), noise.levels(1, 0.05, 10.0, 7.0), zero
    )
    assert sample.std(0).max() < 1e-6


def test_a_sample_that_diverges_is_never_returned():
    process = oracle.process(SIZE)
    with pytest.raises(FloatingPointError, match="diverged"):
        sampler.sample(
            process,
            lambda x, p: x * torch.nan,
            lambda d, p, row: d,
            noise_plan(FRAMES, 2, 0),
            noise.levels(2, 0.05, 10.0, 7.0),
            lambda row, purpose: torch.zeros(2, FRAMES, SIZE),
        )


def test_frames_whose_level_does_not_fall_stay_as_they_are():
    process = oracle.process(SIZE)
    plan = np.array([[2, 2], [1, 2], [1, 1], [0, 0]])
    seen = []
    white = lambda row, purpose: torch.ones(1, 2, SIZE)

    def denoise(x, posterior):
        seen.append(x.clone())
        return x * 0

    sampler.sample(process, denoise, lambda d, p, row: d, plan, np.array([0.0, 1.0, 2.0]), white)
    assert torch.equal(seen[0][:, 1], seen[1][:, 1])  # frame 1 waited in the first step
    assert not torch.equal(seen[0][:, 0], seen[1][:, 0])
