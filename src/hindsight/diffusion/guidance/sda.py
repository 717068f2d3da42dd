"""Score-based data assimilation's Gaussian likelihood (Rozet and Louppe 2023, arXiv:2306.10574, equation 11).

p(y | x_sigma) is taken as N(y; H D(x_sigma), R + gamma sigma^2 I), so that

    E[x_0 | x_sigma, y] = D + sigma^2 J^T H^T (R + gamma sigma^2)^-1 (y - H D),

one pass back through the network. `gamma` stands for the posterior covariance that it does not know.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.guidance import Observations, moving
from hindsight.diffusion.guidance.unguided import Unguided


class Sda:
    """Posterior means with a covariance of one number.

    Args:
        prior: unguided.
        observed: observations of its frames.
        gamma: posterior variance of an observed value, in units of sigma^2.
    """

    def __init__(self, prior: Unguided, observed: Observations, gamma: float = 0.03) -> None:
        self.prior, self.observed, self.gamma = prior, observed, gamma
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        seen, square, active = self.observed, above.square()[:, None], moving(above, below)[:, None]

        def guided(clean: torch.Tensor, back: Callable, members: slice) -> torch.Tensor:
            gap = (seen.value * seen.present - seen.forward(clean)) * active
            pull = seen.adjoint(gap / (seen.error.square() + self.gamma * square).clamp(min=1e-12), clean.shape[-1])
            return clean + square * back(pull)

        return self.prior.pulled(noisy, above, below, guided)
