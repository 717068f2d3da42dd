"""DDIM (Song et al. 2021, arXiv:2010.02502): deterministic for `eta` 0, ancestral for 1; x* is the guided mean."""

from dataclasses import dataclass

import torch

from hindsight.diffusion.guidance import Denoiser, White
from hindsight.diffusion.steps import Step, advance


@dataclass
class Ddim(Step):
    """One evaluation a step."""

    eta: float = 1.0

    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """From noisy frames (E, T, D) to less noisy ones."""
        clean = denoiser.mean(x, above, below)
        fresh = self.eta * below * (1 - (below / above).square()).clamp(min=0).sqrt()
        kept = (below.square() - fresh.square()).clamp(min=0).sqrt() / above
        return advance(x, clean, kept, fresh, above, below, white)


def build(eta: float = 1.0) -> Ddim:
    """The step with `eta`, from 0 (deterministic) to 1 (ancestral)."""
    return Ddim(eta)
