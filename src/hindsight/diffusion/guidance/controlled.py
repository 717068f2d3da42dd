"""Control by a trained network: scale and shift of the denoised estimate, without a backward pass.

    D' = (1 + a) D + b,    a = scale A,    b = shift c(sigma) B,    |A|, |B| < 1,

where A and B are outputs of the controller, given the noisy frame, its estimate D, the estimate of the frame before,
and the departures of the observations of this frame and of those up to its look-ahead; c is the error of the linear
estimate at the frame's level. A deterministic step from level s to s' moves the state by (1 - s'/s) (D' - D) more. It
is our reconstruction of the control-augmented autoregressive diffusion model (Srivastava et al. 2025,
arXiv:2510.06637), whose code is not public: docs/decisions/0026. A frame that no observation within the look-ahead
concerns is left as the prior's.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch.nn import functional

from hindsight.diffusion.denoiser import error_scale
from hindsight.diffusion.guidance import Control, Observations, Setup, falling
from hindsight.diffusion.guidance.unguided import Unguided

CONDITIONS = 2  # numbers for each frame: how long to wait for the next observation, and the root of the share observed
AT_BOUND = 0.99  # share of a bound from which a control counts as at its bound


def inputs_of(look_ahead: int) -> int:
    """Fields that a controller is given: noisy, denoised, before; departures and shares of each frame ahead."""
    return 3 + 2 * (look_ahead + 1)


@dataclass(frozen=True)
class Lifted:
    """Observations on the grid of the state, at the noise levels of their frames.

    Attributes:
        departure: observed minus estimated, in standard deviations expected of it, 0 if not observed; (E, T, D).
        share: of the expected error variance that an observation would remove, 0 if not observed; (1 or E, T, D).
    """

    departure: torch.Tensor
    share: torch.Tensor


class Preview(Protocol):
    """The observations of some frames, for a controller."""

    def __call__(self, clean: torch.Tensor, error: torch.Tensor) -> Lifted:
        """Lift them, given estimates (E, T, D) with the errors (T,)."""


class LiftedRows:
    """A table's observations, each at the points of the state that it depends on.

    With weights h a departure d goes to point k with the weight h_k^2 / |h|^2. A point gets the mean by these weights,
    or the sum where they sum to less than 1.
    """

    def __init__(self, observations: Observations) -> None:
        self.observations = observations

    def __call__(self, clean: torch.Tensor, error: torch.Tensor) -> Lifted:
        """The departures from estimates, and the shares."""
        seen = self.observations.at(clean, lambda: error)
        square = seen.squared()
        expected = error.square()[:, None] * square
        total = (expected + seen.error.square()).clamp(min=1e-12)
        departure = (seen.value * seen.present - seen.forward(clean)) / total.sqrt()
        share = (expected / total * seen.present).expand(len(clean) if seen.weight.ndim == 4 else 1, -1, -1)
        parts = replace(seen, weight=seen.weight.square() / square.clamp(min=1e-12)[..., None])
        count = parts.adjoint(seen.present.expand_as(share), clean.shape[-1]).clamp(min=1)
        return Lifted(*(parts.adjoint(values, clean.shape[-1]) / count for values in (departure, share)))


class Controlled:
    """Denoised estimates, moved by a controller where observations are seen.

    Args:
        prior: the unguided denoiser.
        preview: the observations of the frames that the prior denoises.
        control: the trained controller.
    """

    def __init__(self, prior: Unguided, preview: Preview, control: Control) -> None:
        self.prior, self.preview, self.control = prior, preview, control
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """The controlled estimate (E, T, D)."""
        clean, moving = self.prior.mean(noisy, above, below), torch.nonzero(falling(above, below))[:, 0]
        level = above.clamp(min=self.prior.fixed_sigma)
        error = error_scale(self.prior.process, level[None])[0]
        lifted, ahead = self.preview(clean, error), self.control.look_ahead + 1
        seen = windows((lifted.share > 0).any(-1)[..., None], ahead)[:, moving, :, 0]  # (1 or E, F, ahead)
        if not bool(seen.any()):
            return clean
        fields = torch.cat(
            [
                (noisy * (1 + level.square()).rsqrt()[:, None])[:, moving, None],
                clean[:, moving, None],
                functional.pad(clean, (0, 0, 1, 0))[:, moving, None],
                windows(lifted.departure, ahead)[:, moving],
                windows(lifted.share, ahead)[:, moving].expand(len(clean), -1, -1, -1),
            ],
            2,
        )
        scale, shift = self._bounded(fields, level[moving], seen.expand(len(clean), -1, -1))
        moved = (1 + scale) * clean[:, moving] + error[moving, None] * shift
        moved = torch.where(seen.any(-1, keepdim=True), moved, clean[:, moving])
        return clean.index_copy(1, moving, moved)

    def _bounded(
        self, fields: torch.Tensor, level: torch.Tensor, seen: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift (E, F, D), from fields (E, F, K, D), levels (F,) and which frames ahead are seen."""
        count, ahead = fields.shape[:2], seen.shape[-1]
        wait = torch.where(seen.any(-1), seen.float().argmax(-1), ahead) / ahead
        observed = (fields[:, :, -ahead:] > 0).float().mean((2, 3)).sqrt()
        conditions = torch.stack([wait, observed], -1).flatten(0, 1)
        log_sigma = level.log().expand(count).flatten()
        parts = self.control(fields.flatten(0, 1), log_sigma, conditions)
        parts = tuple(part.view(*count, -1) for part in parts)
        self._tally(parts, seen.any(-1))
        return tuple(limit * part for limit, part in zip(self.control.limits, parts))

    def _tally(self, parts: tuple[torch.Tensor, ...], seen: torch.Tensor) -> None:
        """Count the points that were controlled, those at a bound, and the size of the shift in expected errors."""
        cost, used = self.prior.cost, seen[..., None]
        at_bound = torch.stack([part.detach().abs() > AT_BOUND for part in parts]).any(0) & used
        shift = self.control.limits[1] * parts[1].detach() * used
        cost.controlled += int(seen.sum()) * parts[0].shape[-1]
        cost.at_bound += int(at_bound.sum())
        cost.control += float(shift.double().square().sum())


def windows(values: torch.Tensor, ahead: int) -> torch.Tensor:
    """Values (E, T, …) of each frame and of those after it, zero after the last: (E, T, ahead, …)."""
    later = torch.cat([values, values.new_zeros(len(values), ahead - 1, *values.shape[2:])], 1)
    return torch.stack([later[:, k : k + values.shape[1]] for k in range(ahead)], 2)


def build(setup: Setup) -> Controlled:
    """The guidance by the controller of the set-up.

    Raises:
        ValueError: if there is none.
    """
    if setup.control is None:
        raise ValueError("guidance 'controlled' needs a controller")
    return Controlled(setup.prior, LiftedRows(setup.observations), setup.control)
