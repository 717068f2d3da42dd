"""From a denoiser and observations to a denoiser: one module a method.

A guided denoiser is a denoiser, so that every sampler walks with every guidance. What a method needs of the
observations is `Observations`, whatever made them.
"""

from collections.abc import Callable
from typing import Protocol

import torch

White = Callable[..., torch.Tensor]  # (purpose, size=D, or keys (T, N)) -> white noise (E, T, size or N)


def moving(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """Frames whose level falls (T,); all of them where none does, as in a correction at a level."""
    falls = below < above
    return falls | ~falls.any()


class Denoiser(Protocol):
    """What is known of clean frames, given noisy ones and perhaps observations; levels (T,) are shared by members."""

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy (E, T, D)] at the levels `above`, on the way to `below`; right where the level falls."""

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """A sample of the clean frames."""

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """A sample of the clean frames by the closed form alone, where some levels may be infinite."""


class Observations(Protocol):
    """What a guidance has to know of the observations of a stretch of frames: N at most in each of T, padded.

    `value` and `error` (T, N) are normalised; `present` (T, N) is 1 where there is an observation. `key` (T, N) is what
    the perturbation of each belongs to; none: its place.
    """

    value: torch.Tensor
    error: torch.Tensor
    present: torch.Tensor
    key: torch.Tensor | None

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """H x: (E, T, D) to (E, T, N), zero in the padding."""

    def adjoint(self, values: torch.Tensor, size: int) -> torch.Tensor:
        """H^T y: (E, T, N) to (E, T, size)."""

    def squared(self) -> torch.Tensor:
        """|h|^2, the squared length of each row of H; (T, N)."""

    def places(self, frame: int) -> bytes:
        """A key that is the same for frames observed at the same places with the same errors."""

    def rows(self, frame: int, size: int) -> torch.Tensor:
        """H of one frame as a matrix (N, size)."""
