"""Diffusion posterior sampling (Chung et al. 2023, arXiv:2209.14687, algorithm 1).

After a step to the level b the sample moves by -zeta / ||y - H D|| grad ||y - H D||^2, the norm over all that one
member is compared with. Their process keeps the variance, ours lets it explode: with x' = x / sqrt(1 + sigma^2),
the move is sqrt((1 + a^2)(1 + b^2)) times as far. Kept for comparison: `zeta` has to be found by trial.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.guidance import Observations, moving
from hindsight.diffusion.guidance.unguided import Unguided


class Dps:
    """Denoised estimates shifted so that a deterministic step ends where the method's step ends.

    Args:
        prior: unguided.
        observed: observations of its frames.
        zeta: length of the step.
    """

    def __init__(self, prior: Unguided, observed: Observations, zeta: float = 1.0) -> None:
        self.prior, self.observed, self.zeta = prior, observed, zeta
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """The shifted estimate (E, T, D)."""
        seen, active = self.observed, moving(above, below)[:, None]

        def guided(clean: torch.Tensor, back: Callable, members: slice) -> torch.Tensor:
            gap = (seen.value * seen.present - seen.forward(clean)) * active
            norm = gap.square().sum((1, 2), keepdim=True).sqrt().clamp(min=1e-12)
            downhill = back(seen.adjoint(2 * gap, clean.shape[-1])) / norm
            return clean + self.zeta * after_the_step(above, below) * downhill

        return self.prior.pulled(noisy, above, below, guided)


def after_the_step(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """What a move after a deterministic step, down a gradient with kept variance, is as a shift of D; (T, 1)."""
    move = ((1 + above.square()) * (1 + below.square())).sqrt()
    share = 1 - below / above  # of D in the step's result
    return torch.where(below < above, move / share.clamp(min=1e-6), 0.0)[:, None]
