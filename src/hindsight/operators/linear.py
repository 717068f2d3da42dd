"""The observations of a stretch of frames as tensors: a sparse linear operator H and its exact adjoint."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch

from hindsight.operators.nonlinear import NonlinearRows


@dataclass(frozen=True)
class LinearObservations:
    """Observations of a stretch of frames, padded to N for each frame, with their operator H.

    Attributes:
        point: indices into the flat state of C * H * W values, (T, N, K).
        weight: of these values, (T, N, K).
        value: normalised, (T, N).
        error: standard deviation, normalised, (T, N).
        present: 1 for an observation, 0 for padding; (T, N).
        key: number that determines each random perturbation (`fields.perturbations`), (T, N); None: its place in the
            table does.
        offset: frame of each value relative to that of the observation, (T, N, K), 0 without weight; None: all are of
            its own frame. An observation is listed in one of the frames that it depends on.
        nonlinear: what the nonlinear ones need to be linearised again, see `at`; None: all are linear.
        base: of observations that were linearised, the weights without the slopes (T, N, K), in J blocks.
        slopes: of each member by these blocks, (E, T, N, J); 1 where an observation is linear.

    Linearised about each member's own estimate, weight, value and error have members as their first axis.
    """

    point: torch.Tensor
    weight: torch.Tensor
    value: torch.Tensor
    error: torch.Tensor
    present: torch.Tensor
    key: torch.Tensor | None = None
    offset: torch.Tensor | None = None
    nonlinear: NonlinearRows | None = None
    base: torch.Tensor | None = None
    slopes: torch.Tensor | None = None

    def at(self, state: torch.Tensor, spread: Callable[[], torch.Tensor]) -> "LinearObservations":
        """The same observations, linearised about each member's own estimate.

        Each member has its own slopes because two members with opposite winds have a mean without wind, about which
        a wind speed says nothing; and because a member must not depend on the others that share its job.

        Args:
            state: the estimates (E, T, D).
            spread: returns their standard deviation in each frame, in units of the state, (T,); called if needed.
        """
        if self.nonlinear is None or not bool((self.nonlinear.kind > 0).any()):
            return self
        members, nonlinear = len(state), self.nonlinear
        parts = nonlinear.mean.shape[-1]
        deviation = nonlinear.operator.unflatten(-1, (parts, -1)).sum(-1).abs() * spread()[:, None, None]
        slope, number, error, which = nonlinear.at(self._gather(state) * nonlinear.operator, deviation)
        own = [tensor.expand(members, *tensor.shape).clone() for tensor in (self.value, self.error)]
        slopes = self.weight.new_ones(members, *self.value.shape, parts)
        for tensor, new in zip((*own, slopes), (number, error, slope)):
            tensor[:, which] = new
        base = torch.where(which[..., None], nonlinear.operator, self.weight)
        weight = (base.unflatten(-1, (parts, -1)) * slopes[..., None]).flatten(-2)
        return replace(self, weight=weight, value=own[0], error=own[1], base=base, slopes=slopes)

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """H x: state (E, T, D) to observed values (E, T, N); zero in the padding."""
        return (self._gather(state) * self.weight).sum(-1) * self.present

    def adjoint(self, values: torch.Tensor, size: int) -> torch.Tensor:
        """H^T y: observed values (E, T, N) to the state (E, T, size)."""
        members, frames, _ = values.shape
        spread = ((values * self.present)[..., None] * self.weight).flatten(2)
        state = torch.zeros(members, frames, size, dtype=values.dtype, device=values.device)
        if self.offset is not None:
            index = self._places(size).flatten().expand(members, -1)
            return state.flatten(1).scatter_add_(1, index, spread.flatten(1)).view(state.shape)
        return state.scatter_add_(2, self.point.flatten(1).expand(members, -1, -1), spread)

    def squared(self) -> torch.Tensor:
        """|h|^2, the squared length of each row of H; (T, N)."""
        return self.weight.square().sum(-1) * self.present

    def _gather(self, state: torch.Tensor) -> torch.Tensor:
        """The values of a state (E, T, D) that the observations depend on, (E, T, N, K)."""
        members, frames, size = state.shape
        if self.offset is not None:
            return state.flatten(1)[:, self._places(size)]
        index = self.point.flatten(1).expand(members, -1, -1)
        return state.gather(2, index).view(members, frames, *self.point.shape[1:])

    def _places(self, size: int) -> torch.Tensor:
        """Indices into all frames of a state, (T, N, K)."""
        frame = torch.arange(len(self.point), device=self.point.device)[:, None, None]
        return (frame + self.offset) * size + self.point

    def frames(self, view: slice) -> "LinearObservations":
        """The observations that need only the frames of a view; even the padding does not depend on any other."""
        inside = self.present[view] if self.offset is None else self.present[view] * self._within(view)
        columns = torch.nonzero(inside.any(0))
        most = int(columns.max()) + 1 if len(columns) else 1
        cut = self._each(lambda tensor: tensor[view, :most])
        if self.offset is None:
            return cut
        present = inside[:, :most]
        return replace(cut, present=present, offset=cut.offset * (present > 0)[..., None])

    def depends(self, frames: torch.Tensor) -> torch.Tensor:
        """Whether each depends on some of the frames that are True in (T,); (T, N)."""
        index = torch.arange(len(self.point), device=self.point.device)[:, None, None]
        return frames[index if self.offset is None else index + self.offset].any(-1)

    def masked(self, mask: torch.Tensor) -> "LinearObservations":
        """Those that are True in a mask (T, N); the others are padding."""
        present = self.present * mask
        return replace(
            self, present=present, offset=None if self.offset is None else self.offset * (present > 0)[..., None]
        )

    def _within(self, view: slice) -> torch.Tensor:
        """1 for observations of the frames of a view that need no other frame, (V, N)."""
        first, last, _ = view.indices(len(self.point))
        frame = torch.arange(first, last, device=self.point.device)[:, None, None] + self.offset[view]
        return ((frame >= first) & (frame < last)).all(-1).to(self.present.dtype)

    def to(self, device: torch.device) -> "LinearObservations":
        """The same observations on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "LinearObservations":
        """Apply the same change to every tensor."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in found.items():
            if value is not None:
                found[name] = value.each(change) if isinstance(value, NonlinearRows) else change(value)
        return LinearObservations(**found)

    def double(self) -> "LinearObservations":
        """The same observations in double precision."""
        return self._each(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    def average(self) -> "LinearObservations":
        """The same with the mean weights, values and error variances of members that have their own."""
        if self.error.ndim == 2:
            return self
        error = self.error.square().mean(0).sqrt()
        own = {"weight": self.weight.mean(0), "value": self.value.mean(0), "error": error}
        return replace(self, **own, base=None, slopes=None)

    def on_values(self, size: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The observations as values of the state and their precision 1 / r^2, both (T, size); 0: not observed.

        None if an observation depends on more than one value of the state. Several of one value are averaged.
        """
        if self.offset is not None and bool(self.offset.any()) or self.nonlinear is not None:
            return None
        largest, which = self.weight.abs().max(-1)
        if bool(((self.weight.abs().sum(-1) - largest) > 1e-6 * largest)[self.present > 0].any()):
            return None
        weight = self.weight.gather(-1, which[..., None])[..., 0]
        point = self.point.gather(-1, which[..., None])[..., 0]
        trust = torch.where(self.present > 0, weight.square() / self.error.square().clamp(min=1e-12), 0.0)
        precision = torch.zeros(len(self.value), size, device=self.value.device).scatter_add_(1, point, trust)
        value = torch.where(self.present > 0, self.value / weight, 0.0)
        total = torch.zeros_like(precision).scatter_add_(1, point, trust * value)
        return total / precision.clamp(min=1e-12), precision

    def geometry(self, frame: int) -> bytes:
        """A key shared by frames that have observations at the same places with the same errors.

        Where each member has its own linearisation, errors do not count.
        """
        parts = [self.point[frame], self._parts[frame], self.present[frame]]
        parts += [self.error[frame]] if self.slopes is None else []
        parts += [] if self.offset is None else [self.offset[frame]]
        kind = b"" if self.slopes is None else b"parts"
        return kind + b"".join(part.cpu().numpy().tobytes() for part in parts)

    def offsets(self, frame: int) -> list[int]:
        """Frames, relative to one, on which its observations depend; 0 at least."""
        if self.offset is None:
            return [0]
        used = (self._parts[frame] != 0) & (self.present[frame] > 0)[:, None]
        return sorted({0, *self.offset[frame][used].tolist()})

    def rows(self, frame: int, size: int, offset: int = 0, part: int = 0) -> torch.Tensor:
        """A part of H: the matrix (N, size) from the frame at an offset to the observations of a frame."""
        matrix = torch.zeros(self.present.shape[1], size, device=self.weight.device)
        weight = self._parts[frame] * self.present[frame][:, None]
        weight = weight if self.offset is None else weight * (self.offset[frame] == offset)
        count = 1 if self.slopes is None else self.slopes.shape[-1]
        point, weight = (tensor.unflatten(-1, (count, -1))[:, part] for tensor in (self.point[frame], weight))
        return matrix.scatter_add_(1, point, weight)

    @property
    def _parts(self) -> torch.Tensor:
        """Weights that all members share, (T, N, K)."""
        return self.weight if self.base is None else self.base
