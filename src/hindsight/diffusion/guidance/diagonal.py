"""A gain without covariances, for dense observations: an observation moves only the values that it measures.

    E[x_0 | x_sigma, y] = D + V H^T (V |h|^2 + R)^-1 (y - H D),

V gamma times the error variance of the linear prior at the frame's level, the mean over all values, |h|^2 the squared
weights of an observation. Exact, with gamma 1, where values are independent, of equal variance and observed at most
once; values between sparse observations do not move. It needs no backward pass through the network and solves no
system.
"""

import torch

from hindsight.diffusion.denoiser import error_scale
from hindsight.diffusion.guidance import Observations, Setup, linearise
from hindsight.diffusion.guidance.unguided import Unguided


class Diagonal:
    """Posterior means with a diagonal gain.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        gamma: factor of the error variance.
    """

    def __init__(self, prior: Unguided, observations: Observations, gamma: float = 1.0) -> None:
        self.prior, self.observations, self.gamma = prior, observations, gamma
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        clean, level = self.prior.mean(noisy, above, below), above.clamp(min=self.prior.fixed_sigma)[None]
        obs = linearise(self.observations, clean, self.prior.process, level)
        variance = self.gamma * error_scale(self.prior.process, level)[0].square()[:, None]
        innovation = obs.value * obs.present - obs.forward(clean)
        gain = variance / (variance * obs.squared() + obs.error.square()).clamp(min=1e-12)
        return clean + obs.adjoint(gain * innovation, clean.shape[-1])


def build(setup: Setup, gamma: float = 1.0) -> Diagonal:
    """The guidance with `gamma`."""
    return Diagonal(setup.prior, setup.observations, gamma)
