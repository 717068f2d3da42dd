"""Guidances: from a denoiser and observations to a denoiser. A guidance is one module of this package.

`reanalyse.guidance.method: sda` names the module `sda`. Its function `build` takes a `Setup` and, as keyword
parameters, the settings of `reanalyse.guidance` that the method uses, and returns a `Denoiser`. A guided denoiser is a
denoiser, so sampling steps work with any guidance, with exceptions: `covariance` needs a guidance that draws, some
guidances need deterministic steps (`Traits` in `settings/reanalyse.py`), and `controlled` needs `ddim`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import torch

from hindsight.diffusion.denoiser import error_scale

if TYPE_CHECKING:
    from hindsight.diffusion.gauss_markov import GaussMarkov
    from hindsight.diffusion.guidance.unguided import Unguided

LARGE = 1e6  # a noise level that stands for an infinite one


class White(Protocol):
    """White noise of the frames of a denoiser, at one sampling step."""

    def __call__(self, purpose: str, size: int | None = None, keys: torch.Tensor | None = None) -> torch.Tensor:
        """`size` numbers for each frame, D by default; with `keys` (T, N), one for each observation; (E, T, size)."""


def falling(above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
    """Frames whose level falls (T,); all frames if none falls, as in a Langevin step."""
    falls = below < above
    return falls | ~falls.any()


def linearise(
    observations: "Observations", clean: torch.Tensor, process: "GaussMarkov", sigma: torch.Tensor
) -> "Observations":
    """Observations linearised about each member's estimate of the clean frames; the same ones if they are linear.

    The estimate's standard deviation is taken as the root-mean-square error of the linear prior's.

    Args:
        observations: of the frames.
        clean: estimates (E, T, D).
        process: the linear prior.
        sigma: the levels at which they were made, (T,) or (1, T).
    """
    return observations.at(clean, lambda: error_scale(process, sigma.view(1, -1).clamp(max=LARGE))[0])


class Denoiser(Protocol):
    """Estimates clean frames from noisy ones and, if guided, observations; all members share the levels (T,)."""

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy (E, T, D)] at the levels `above`; valid for frames whose level falls to `below`."""

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """A sample of the clean frames; only of guidances whose `Traits` say that they draw."""

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """A sample of the clean frames by the linear prior without the network; levels may be infinite.

        Whether it uses the observations depends on the guidance.
        """


class Observations(Protocol):
    """Observations of a stretch of frames and their operator H, for N observations in each of T frames, padded.

    `value` and `error` (T, N) are normalised; `present` (T, N) is 1 for an observation and 0 for padding. `key` (T, N)
    identifies each observation, and with it its random perturbation; None: its place in the table does. `point` and
    `weight` (T, N, K) are the values of the state that each is a sum of. Where each member has its own linearisation,
    its H is the sum of the J parts of `rows` times `slopes` (E, T, N, J); None: H has one part.
    """

    value: torch.Tensor
    error: torch.Tensor
    present: torch.Tensor
    key: torch.Tensor | None
    point: torch.Tensor
    weight: torch.Tensor
    slopes: torch.Tensor | None

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """H x: (E, T, D) to (E, T, N), zero in the padding."""

    def adjoint(self, values: torch.Tensor, size: int) -> torch.Tensor:
        """H^T y: (E, T, N) to (E, T, size)."""

    def at(self, state: torch.Tensor, spread: Callable[[], torch.Tensor]) -> "Observations":
        """The same, linearised about each member's estimate (E, T, D) with standard deviations (T,); itself if linear.

        Where each member has its own linearisation, members are the first axis of `weight`, `value` and `error`.
        """

    def depends(self, frames: torch.Tensor) -> torch.Tensor:
        """Whether each depends on some of the frames that are True in (T,); (T, N)."""

    def masked(self, mask: torch.Tensor) -> "Observations":
        """Those that are True in a mask (T, N); the others are padding."""

    def double(self) -> "Observations":
        """The same in double precision."""

    def average(self) -> "Observations":
        """The same with the mean weights and error variances of members that have their own; itself if they share."""

    def squared(self) -> torch.Tensor:
        """|h|^2, the squared length of each row of H; (T, N)."""

    def on_values(self, size: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Observed value and inverse error variance of each value of the state (T, size); None if H mixes several."""

    def geometry(self, frame: int) -> bytes:
        """A key shared by frames that have observations at the same places with the same errors.

        Where each member has its own linearisation, errors do not count.
        """

    def offsets(self, frame: int) -> list[int]:
        """Frames, relative to one, on which its observations depend."""

    def rows(self, frame: int, size: int, offset: int = 0, part: int = 0) -> torch.Tensor:
        """A part of H: the matrix (N, size) from the frame at an offset to the observations of a frame."""


class Control(Protocol):
    """A trained controller of a prior, see `controlled`; it sees observations up to `look_ahead` frames after a frame.

    `limits` bound scale and shift, the latter in expected errors of the denoised estimate.
    """

    look_ahead: int
    limits: tuple[float, float]

    def __call__(
        self, fields: torch.Tensor, log_sigma: torch.Tensor, conditions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift (B, D), shares of their bounds, from fields (B, K, D), levels (B,) and conditions (B, 2)."""


@dataclass(frozen=True)
class Setup:
    """Everything but its own settings that a guidance may be built from.

    Attributes:
        prior: the unguided denoiser of some frames.
        observations: of the frames that the prior denoises.
        shape: of a field, (C, H, W).
        tolerance: relative residual at which the observation solver stops.
        iterations: after which the observation solver gives up.
        cache: H times the modes, by `Observations.geometry`, shared by the cycles of a stretch.
        memory: GB that the matrices of the observation solver may take, see `observation_system.build`.
        control: the controller of the prior, if it has one.
    """

    prior: "Unguided"
    observations: Observations
    shape: tuple[int, int, int]
    tolerance: float = 1e-4
    iterations: int = 200
    cache: dict[bytes, dict[tuple[int, int], torch.Tensor]] = field(default_factory=dict)
    memory: float = 2.0
    control: Control | None = None


def build(method: str, setup: Setup, **settings: float) -> Denoiser:
    """The guided denoiser of a method, with the method's own settings."""
    return import_module(f"{__name__}.{method}").build(setup, **settings)
