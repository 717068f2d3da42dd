"""Observed values as noise levels of their own: exact where the estimate handles points exactly."""

import numpy as np
import torch

from hindsight.diffusion import schedule
from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.fused import Fused
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.steps.covariance import Covariance
from hindsight.operators.linear import LinearObservations
from tests.diffusion.guidance import scenes
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, exact, ladder, rows, sampled
from tests.oracles import linear_gaussian as oracle


def exactly(process, frames):
    """The ideal denoiser given points: all precisions add up, in one dense system."""
    inverse = np.linalg.inv(oracle.covariance(process, frames))

    def estimate(noisy, posterior, falling, points):
        square = posterior.sigma[0].double().numpy().repeat(process.size) ** 2
        precision = points.inverse_variance[0].flatten().double().numpy()
        pull = points.value[0].flatten().double().numpy() * precision
        inner = np.linalg.inv(inverse + np.diag(1 / square + precision))
        mean = (noisy.flatten(1).double().numpy() / square + pull) @ inner
        return torch.tensor(mean, dtype=torch.float32).view_as(noisy)

    return estimate


def fused(process, seen, frames, **more):
    value, precision = seen.on_values(process.size)
    prior = Unguided(process, exactly(process, frames))
    return Fused(prior, seen, tolerance=1e-6, points=Points(value[None], precision[None]), **more)


def test_the_mean_is_dense_conditioning_with_a_value_that_is_observed_twice():
    x, seen = scenes.noisy(), scenes.seen(grid=True)
    assert seen.point[0, 0, 0] == seen.point[0, 1, 0] and seen.error[0, 0] != seen.error[0, 1]
    expected, _ = scenes.conditioned(x, seen)
    guidance = fused(scenes.PROCESS, seen, scenes.FRAMES)
    scenes.agree(guidance.mean(x, scenes.ABOVE, scenes.BELOW), expected)
    analytic = Analytic(scenes.prior(), seen, tolerance=1e-6).mean(x, scenes.ABOVE, scenes.BELOW)
    scenes.agree(guidance.mean(x, scenes.ABOVE, scenes.BELOW), analytic.numpy())


def test_draws_depart_from_the_mean_by_the_posterior_covariance():
    seen, generator = scenes.seen(grid=True), torch.Generator().manual_seed(0)
    x = scenes.noisy()[:1].expand(20000, -1, -1)
    white = lambda purpose, size=scenes.SIZE: torch.randn(20000, scenes.FRAMES, size, generator=generator)
    found = fused(scenes.PROCESS, seen, scenes.FRAMES).draw(x, scenes.ABOVE, scenes.BELOW, white)
    found = found.flatten(1).double().numpy()
    (mean,), spread = scenes.conditioned(x[:1], seen)
    deviation = np.sqrt(np.diag(spread))
    assert np.abs((found.mean(0) - mean) / deviation).max() < 4.5 / np.sqrt(20000)
    scaled = np.outer(deviation, deviation)
    np.testing.assert_allclose(np.cov(found.T) / scaled, spread / scaled, atol=0.04)


def on_the_grid():
    """Three values in each frame but frame 3, one observed twice; unequal errors."""
    generator = np.random.default_rng(3)
    point, weight = torch.zeros(FRAMES, 4, 4, dtype=torch.long), torch.zeros(FRAMES, 4, 4)
    point[..., 0], weight[..., 0] = torch.tensor([2, 7, 2, 10]), 1.0
    present = torch.ones(FRAMES, 4)
    present[3] = 0
    error = torch.tensor(generator.uniform(0.1, 0.6, (FRAMES, 4)), dtype=torch.float32)
    value = torch.tensor(generator.standard_normal((FRAMES, 4)), dtype=torch.float32)
    return LinearObservations(point, weight, value, error, present)


def test_batch_is_the_exact_smoother_at_few_steps():
    process, seen = oracle.process(SIZE), on_the_grid()
    for count in (1, 3):
        sample = sampled(
            process,
            schedule.batch(FRAMES, ladder(count)),
            lambda view: fused(process, seen.frames(view), FRAMES),
            Covariance(),
        )
        exact(sample, *oracle.smoother(process, *rows(seen)))


def test_without_any_observation_it_draws_from_the_prior():
    seen = scenes.seen(grid=True).frames(slice(2, 3))
    tensors = seen.point, seen.weight, seen.value, seen.error, seen.present
    empty = LinearObservations(*(tensor[:, :0] for tensor in tensors))
    white = lambda purpose, size=scenes.SIZE: torch.ones(scenes.MEMBERS, 1, size)
    x, above, below = scenes.noisy()[:, 2:3], scenes.ABOVE[2:3], scenes.BELOW[2:3]
    expected = scenes.prior().draw(x, above, below, white)
    for nothing in (seen, empty):
        found = fused(scenes.PROCESS, nothing, 1).draw(x, above, below, white)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
