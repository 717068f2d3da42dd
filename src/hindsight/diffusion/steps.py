"""Steps from one noise level of each frame to the next: the samplers.

All take a denoiser, guided or not, and levels a (`above`) and b (`below`) of each frame; with x_a = x_0 + a e,

    x_b = x* + (d/a) (x_a - x*) + u e,    d^2 + u^2 = b^2,

where x* stands for the clean frames and u is how much of the noise is drawn anew. The usual steps put the *mean*
E[x_0 | x_a, y] where a *sample* of x_0 belongs; with few steps their ensemble is too sure of itself.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch

from hindsight.diffusion.guidance import Denoiser, White


class Step(ABC):
    """A way down from the levels `above` (T,) to the levels `below` (T,); frames whose level does not fall stay."""

    @abstractmethod
    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """From noisy frames (E, T, D) to less noisy ones."""

    def begin(self, *memory: torch.Tensor) -> None:  # noqa: B027 (most steps remember nothing)
        """A cycle begins, with no memory of another one, or goes on with the `memory` that it was left with."""

    @property
    def memory(self) -> tuple[torch.Tensor, ...]:
        """What is remembered of the steps of this cycle."""
        return ()


@dataclass
class Covariance(Step):
    """The covariance-aware step: x* is a draw from the distribution of the clean frames given the noisy ones and y.

    For a linear-Gaussian prior it is exact at any number of steps, one included. Its denoiser has to be able to draw.
    """

    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """One evaluation and one draw."""
        clean = denoiser.draw(x, above, below, white)
        ratio = (below / above).square()
        fresh = below * (1 - ratio).clamp(min=0).sqrt()
        return _moved(x, clean, ratio, fresh, above, below, white)


@dataclass
class Ddim(Step):
    """DDIM (Song et al. 2021, arXiv:2010.02502): deterministic for `eta` 0, ancestral for 1, x* the guided mean."""

    eta: float = 1.0

    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """One evaluation."""
        clean = denoiser.mean(x, above, below)
        fresh = self.eta * below * (1 - (below / above).square()).clamp(min=0).sqrt()
        kept = (below.square() - fresh.square()).clamp(min=0).sqrt() / above
        return _moved(x, clean, kept, fresh, above, below, white)


@dataclass
class SecondOrder(Step):
    """Two-step solver of the probability-flow equation, second order at one evaluation a step.

    DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2) with each frame's own levels: the denoised estimate
    is extrapolated in log sigma from the last two. A frame's first step, and its last, are of first order.
    """

    _before: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = field(default=None, repr=False)

    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """One evaluation."""
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
        """What came before is of another cycle."""
        self._before = memory or None

    @property
    def memory(self) -> tuple[torch.Tensor, ...]:
        """The last estimate, and the levels that it was made between."""
        return self._before or ()


def langevin(
    x: torch.Tensor, level: torch.Tensor, moving: torch.Tensor, denoiser: Denoiser, white: White, size: float
) -> torch.Tensor:
    """One Langevin correction at the levels (T,), which leaves the distribution as it is up to terms in size^2.

    x + g/2 score + sqrt(g) e with g = size * sigma^2 and score = (E[x_0 | x, y] - x) / sigma^2 (Song et al. 2021,
    arXiv:2011.13456, algorithm 4, with a step of each frame's own).
    """
    clean = denoiser.mean(x, level, level)
    moved = x + size / 2 * (clean - x) + size**0.5 * level[:, None] * white("correction")
    return torch.where((moving & (level > 0))[:, None], moved, x)


def _moved(
    x: torch.Tensor,
    clean: torch.Tensor,
    kept: torch.Tensor,
    fresh: torch.Tensor,
    above: torch.Tensor,
    below: torch.Tensor,
    white: White,
) -> torch.Tensor:
    moved = clean + kept[:, None] * (x - clean)
    if bool((fresh > 0).any()):
        moved = moved + fresh[:, None] * white("step")
    return torch.where((below < above)[:, None], moved, x)
