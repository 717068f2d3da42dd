"""A gain without covariances, for dense observations: each value is moved by the observations of itself.

    E[x_0 | x_sigma, y] = D + V H^T (V |h|^2 + R)^-1 (y - H D),

V the error variance of the closed form at the frame's level, |h|^2 the squared weights of an observation. Exact where
values are independent and observed at most once; with sparse observations it leaves what lies between untouched. No
pass goes back through the network and nothing is solved.
"""

import torch

from hindsight.diffusion.denoiser import scale
from hindsight.diffusion.guidance import Observations
from hindsight.diffusion.guidance.unguided import Unguided


class Diagonal:
    """Posterior means with a diagonal gain.

    Args:
        prior: unguided.
        observed: observations of its frames.
        gamma: factor of the error variance.
    """

    def __init__(self, prior: Unguided, observed: Observations, gamma: float = 1.0) -> None:
        self.prior, self.observed, self.gamma = prior, observed, gamma
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        clean, seen = self.prior.mean(noisy, above, below), self.observed
        level = above.clamp(min=self.prior.held)[None]
        variance = self.gamma * scale(self.prior.process, level)[0].square()[:, None]
        gap = seen.value * seen.present - seen.forward(clean)
        gain = variance / (variance * seen.squared() + seen.error.square()).clamp(min=1e-12)
        return clean + seen.adjoint(gain * gap, clean.shape[-1])
