"""Sampling steps: from one noise level of each frame to the next. A sampling step is one module of this package.

`reanalyse.sampler.step: ddim` names the module `ddim`. Its function `build` takes, as keyword parameters, the settings
of `reanalyse.sampler` that the step uses, and returns a `Step`.

Every step takes a denoiser, guided or not, and levels a (`above`) and b (`below`) of each frame; with x_a = x_0 + a e,

    x_b = x* + (d/a) (x_a - x*) + u e,    d^2 + u^2 = b^2,

where x* stands for the clean frames and u is the share of the noise that is drawn anew. The usual steps put the *mean*
E[x_0 | x_a, y] where a *sample* of x_0 belongs; with few steps the spread of their ensemble is too small.
"""

from abc import ABC, abstractmethod
from importlib import import_module

import torch

from hindsight.diffusion.guidance import Denoiser, White


class Step(ABC):
    """A step from the levels `above` (T,) to the levels `below` (T,); it leaves frames whose level does not fall."""

    @abstractmethod
    def __call__(
        self, x: torch.Tensor, above: torch.Tensor, below: torch.Tensor, denoiser: Denoiser, white: White
    ) -> torch.Tensor:
        """From noisy frames (E, T, D) to less noisy ones."""

    def begin(self, *memory: torch.Tensor) -> None:  # noqa: B027 (most steps remember nothing)
        """Begin a cycle without memory, or resume one with the `memory` that it had."""

    @property
    def memory(self) -> tuple[torch.Tensor, ...]:
        """Tensors that the step remembers of the earlier steps of this cycle."""
        return ()


def build(name: str, **settings: float) -> Step:
    """The sampling step called `name`, with its settings."""
    return import_module(f"{__name__}.{name}").build(**settings)


def advance(
    x: torch.Tensor,
    clean: torch.Tensor,
    kept: torch.Tensor,
    fresh: torch.Tensor,
    above: torch.Tensor,
    below: torch.Tensor,
    white: White,
) -> torch.Tensor:
    """x* + `kept` (x - x*) + `fresh` e for frames whose level falls; `kept` and `fresh` (T,)."""
    falls = below < above
    kept, fresh = (torch.where(falls, share, 0.0) for share in (kept, fresh))  # at level 0 they are 0 / 0
    moved = clean + kept[:, None] * (x - clean)
    if bool((fresh > 0).any()):
        moved = moved + fresh[:, None] * white("step")
    return torch.where(falls[:, None], moved, x)
