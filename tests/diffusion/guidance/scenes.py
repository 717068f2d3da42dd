"""A small linear-Gaussian scene for every guidance, and the same as dense matrices."""

from dataclasses import replace

import numpy as np
import torch

from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.operators.linear import LinearObservations
from tests.oracles import linear_gaussian as oracle

FRAMES, SIZE, MEMBERS = 5, 8, 3
ABOVE = torch.tensor([0.3, 2.0, 0.8, 6.0, 1.0])  # unequal levels
BELOW = ABOVE * torch.tensor([0.5, 0.8, 0.1, 0.5, 0.9])
PROCESS = oracle.process(SIZE, coupled=3, seed=1)


def seen(grid=False):
    """Three places per frame, off the grid unless `grid`; errors unequal; frame 2 unobserved, frame 3 at one place."""
    generator = torch.Generator().manual_seed(4)
    point = torch.stack([torch.randperm(SIZE, generator=generator)[:4] for _ in range(3 * FRAMES)]).view(FRAMES, 3, 4)
    weight = torch.rand(FRAMES, 3, 4, generator=generator) + 0.1
    if grid:
        weight[..., 1:] = 0
        point[0, 1, 0] = point[0, 0, 0]  # seen twice
    present = torch.ones(FRAMES, 3)
    present[2], present[3, 1:] = 0, 0
    error = 0.1 + torch.rand(FRAMES, 3, generator=generator)
    blank = lambda x: torch.where(present > 0, x, 0.0)
    value = 2 * torch.randn(FRAMES, 3, generator=generator)
    return LinearObservations(point, weight * present[..., None], blank(value), blank(error), present)


def between():
    """Observations as in `seen` whose values lie in two or three frames; none reaches beyond the first or the last."""
    one, generator = seen(), torch.Generator().manual_seed(7)
    offset = torch.randint(-1, 2, one.point.shape, generator=generator)
    frame = torch.arange(FRAMES)[:, None, None]
    return replace(one, offset=(frame + offset).clamp(0, FRAMES - 1) - frame)


def noisy(seed=0):
    """Members that differ, each frame as large as its noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(MEMBERS, FRAMES, SIZE, generator=generator) * (1 + ABOVE.square()).sqrt()[:, None]


def linear(noisy, posterior, falling, points):
    """The ideal denoiser of the process."""
    return posterior.mean(noisy)


def crooked(noisy, posterior, falling, points):
    """A denoiser whose Jacobian is neither symmetric nor the same everywhere."""
    turn = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(9)) / SIZE**0.5
    mean = posterior.mean(noisy)
    return mean + torch.tanh(mean @ turn) + 0.3 * torch.tanh(mean.roll(1, 1))


def prior(estimate=linear, **more):
    """The process with an estimate."""
    return Unguided(PROCESS, estimate, **more)


def dense(observed, frames=None):
    """H (N, T * D), errors and values (N,) of the observations of some frames."""
    used = observed.present * (1 if frames is None else torch.tensor(frames, dtype=torch.float32)[:, None])
    operator = np.zeros((FRAMES, used.shape[1], FRAMES, SIZE))
    for t, n, k in np.ndindex(*observed.point.shape):
        other = t + (0 if observed.offset is None else int(observed.offset[t, n, k]))
        operator[t, n, other, observed.point[t, n, k]] += float(observed.weight[t, n, k])
    return operator.reshape(-1, FRAMES * SIZE)[used.flatten() > 0], *(
        x[used > 0].double().numpy() for x in (observed.error, observed.value)
    )


def squares(level=ABOVE):
    """sigma^2 of every value, (T * D,)."""
    return level.double().numpy().repeat(SIZE) ** 2


def posterior(level=ABOVE):
    """Gain and covariance of the clean frames given the noisy ones."""
    whole = oracle.covariance(PROCESS, FRAMES)
    gain = whole @ np.linalg.inv(whole + np.diag(squares(level)))
    return gain, whole - gain @ whole


def conditioned(x, observed, level=ABOVE, frames=None):
    """E[x_0 | x, y] of members (E, T * D), and its covariance."""
    gain, spread = posterior(level)
    operator, error, value = dense(observed, frames)
    means = []
    for member in x.double().numpy().reshape(len(x), -1):
        clean = gain @ member
        departure, left = oracle.condition(spread, operator, error, value - operator @ clean)
        means.append(clean + departure)
    return np.array(means), left


def jacobian(estimate, x, level=ABOVE):
    """J of one member (T, D) as a matrix (T * D, T * D), and the estimate (T * D,)."""
    of = prior(estimate)
    run = lambda v: of.mean(v.view(1, FRAMES, SIZE), level, level).flatten()
    return torch.autograd.functional.jacobian(run, x.flatten()).double().numpy(), run(x.flatten()).double().numpy()


def agree(found, expected, tolerance=2e-4):
    """Equal to within `tolerance` of the largest value."""
    expected = np.asarray(expected)
    scale = tolerance * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found.detach().double().numpy().reshape(expected.shape), expected, atol=scale, rtol=0)
