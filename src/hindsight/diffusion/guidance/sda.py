"""Score-based data assimilation's Gaussian likelihood (Rozet and Louppe 2023, arXiv:2306.10574, equation 11).

p(y | x_sigma) is taken as N(y; H D(x_sigma), R + gamma sigma^2 I), so that

    E[x_0 | x_sigma, y] = D + sigma^2 J^T H^T (R + gamma sigma^2)^-1 (y - H D),

one backward pass through the network. `gamma` takes the place of the posterior covariance.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.guidance import Observations, Setup, falling, linearise
from hindsight.diffusion.guidance.unguided import Unguided


class Sda:
    """Posterior means with one variance for all observations.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        gamma: posterior variance of an observed value, in units of sigma^2.
    """

    def __init__(self, prior: Unguided, observations: Observations, gamma: float = 0.03) -> None:
        self.prior, self.observations, self.gamma = prior, observations, gamma
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        square, active = above.square()[:, None], falling(above, below)[:, None]

        def guided(clean: torch.Tensor, back: Callable, members: slice) -> torch.Tensor:
            obs = linearise(self.observations, clean, self.prior.process, above)
            innovation = (obs.value * obs.present - obs.forward(clean)) * active
            pull = obs.adjoint(
                innovation / (obs.error.square() + self.gamma * square).clamp(min=1e-12), clean.shape[-1]
            )
            return clean + square * back(pull)

        return self.prior.with_jacobian(noisy, above, below, guided)


def build(setup: Setup, gamma: float = 0.03) -> Sda:
    """The guidance with `gamma`."""
    return Sda(setup.prior, setup.observations, gamma)
