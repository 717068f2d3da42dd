"""The covariance-aware step: x* is a draw from the distribution of the clean frames given the noisy ones and y.

For a linear-Gaussian prior it is exact at any number of steps, one included. It needs a guidance that can draw.
"""

from dataclasses import dataclass

import torch

from hindsight.diffusion.guidance import Denoiser, White
from hindsight.diffusion.steps import Step, advance


@dataclass
class Covariance(Step):
    """One evaluation and one draw a step."""

    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """From noisy frames (E, T, D) to less noisy ones."""
        clean = denoiser.draw(x, above, below, white)
        ratio = (below / above).square()
        fresh = below * (1 - ratio).clamp(min=0).sqrt()
        return advance(x, clean, ratio, fresh, above, below, white)


def build() -> Covariance:
    """The step; it has no settings."""
    return Covariance()
