"""Two-step solver of the probability-flow equation, second order at one evaluation a step.

DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2) with each frame's own levels: it extrapolates the
denoised estimate in log sigma from the last two. A frame's first step, and its last, are of first order.
"""

from dataclasses import dataclass, field

import torch

from hindsight.diffusion.guidance import Denoiser, White
from hindsight.diffusion.steps import Step


@dataclass
class SecondOrder(Step):
    """One evaluation a step; it remembers the last estimate and the levels that it was made between."""

    _before: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = field(default=None, repr=False)

    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """From noisy frames (E, T, D) to less noisy ones."""
        clean = denoiser.mean(x, above, below)
        target = clean
        if self._before is not None:
            earlier, from_level, to_level = self._before
            here, there = (above / below).log(), (from_level / to_level).log()
            usable = (to_level == above) & (from_level > to_level) & (below > 0) & (below < above)
            share = torch.where(usable, here / (2 * there), 0.0)
            target = clean + share[:, None] * (clean - earlier)
        self._before = (clean, above, below)
        ratio = below / above
        return torch.where((below < above)[:, None], target + ratio[:, None] * (x - target), x)

    def begin(self, *memory: torch.Tensor) -> None:
        """Forget the last cycle."""
        self._before = memory or None

    @property
    def memory(self) -> tuple[torch.Tensor, ...]:
        """The last estimate and its two levels."""
        return self._before or ()


def build() -> SecondOrder:
    """The step; it has no settings."""
    return SecondOrder()
