"""From a denoised estimate and observations to a sample of the posterior: one module a method."""

from typing import Protocol

import torch


class Observations(Protocol):
    """What a guidance has to know of the observations of a stretch of frames: N at most in each of T, padded.

    `value` and `error` (T, N) are normalised; `present` (T, N) is 1 where there is an observation.
    """

    value: torch.Tensor
    error: torch.Tensor
    present: torch.Tensor

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """H x: (E, T, D) to (E, T, N), zero in the padding."""

    def places(self, frame: int) -> bytes:
        """A key that is the same for frames observed at the same places with the same errors."""

    def rows(self, frame: int, size: int) -> torch.Tensor:
        """H of one frame as a matrix (N, size)."""
