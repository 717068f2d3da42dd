"""Diffusion posterior sampling (Chung et al. 2023, arXiv:2209.14687, algorithm 1).

After a step to the level b the sample moves by -zeta / ||y - H D|| grad ||y - H D||^2, the norm over all
observations of one member. Their noisy state x' = x / sqrt(1 + sigma^2) keeps its variance, ours does not;
so after a step from the level a the move is sqrt((1 + a^2)(1 + b^2)) times as far. The method is kept for comparison:
`zeta` has to be found by trial.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.guidance import Observations, Setup, falling, linearise
from hindsight.diffusion.guidance.unguided import Unguided


class Dps:
    """Denoised estimates, shifted so that a deterministic sampling step gives the result of the published step.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        zeta: length of the step.
    """

    def __init__(self, prior: Unguided, observations: Observations, zeta: float = 1.0) -> None:
        self.prior, self.observations, self.zeta = prior, observations, zeta
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """The shifted estimate (E, T, D)."""
        active = falling(above, below)[:, None]

        def guided(clean: torch.Tensor, back: Callable, members: slice) -> torch.Tensor:
            obs = linearise(self.observations, clean, self.prior.process, above)
            innovation = (obs.value * obs.present - obs.forward(clean)) * active
            norm = innovation.square().sum((1, 2), keepdim=True).sqrt().clamp(min=1e-12)
            descent = back(obs.adjoint(2 * innovation, clean.shape[-1])) / norm
            return clean + self.zeta * shift_factor(above, below) * descent

        return self.prior.with_jacobian(noisy, above, below, guided)


def build(setup: Setup, zeta: float = 1.0) -> Dps:
    """The guidance with `zeta`."""
    return Dps(setup.prior, setup.observations, zeta)


def shift_factor(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """Factor (T, 1) from a move after a deterministic variance-preserving step to the equivalent shift of D."""
    move = ((1 + above.square()) * (1 + below.square())).sqrt()
    share = 1 - below / above  # of D in the step's result
    return torch.where(below < above, move / share.clamp(min=1e-6), 0.0)[:, None]
