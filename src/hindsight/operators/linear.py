"""The observations of a stretch of frames as tensors: a sparse linear operator H and its exact adjoint."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


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
    """

    point: torch.Tensor
    weight: torch.Tensor
    value: torch.Tensor
    error: torch.Tensor
    present: torch.Tensor
    key: torch.Tensor | None = None

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """H x: state (E, T, D) to observed values (E, T, N); zero in the padding."""
        members, frames, _ = state.shape
        index = self.point.flatten(1).expand(members, -1, -1)
        values = state.gather(2, index).view(members, frames, *self.point.shape[1:])
        return (values * self.weight).sum(-1) * self.present

    def adjoint(self, values: torch.Tensor, size: int) -> torch.Tensor:
        """H^T y: observed values (E, T, N) to the state (E, T, size)."""
        members, frames, _ = values.shape
        spread = ((values * self.present)[..., None] * self.weight).flatten(2)
        state = torch.zeros(members, frames, size, dtype=values.dtype, device=values.device)
        return state.scatter_add_(2, self.point.flatten(1).expand(members, -1, -1), spread)

    def squared(self) -> torch.Tensor:
        """|h|^2, the squared length of each row of H; (T, N)."""
        return self.weight.square().sum(-1) * self.present

    def frames(self, view: slice) -> "LinearObservations":
        """The observations of some frames; their padding, too, depends on no other frame."""
        most = int(self.present[view].sum(1).max()) if self.present[view].numel() else 0
        return self._each(lambda tensor: tensor[view, : max(most, 1)])

    def to(self, device: torch.device) -> "LinearObservations":
        """The same observations on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "LinearObservations":
        """Apply the same change to every tensor."""
        key = None if self.key is None else change(self.key)
        numbers = change(self.value), change(self.error), change(self.present)
        return LinearObservations(change(self.point), change(self.weight), *numbers, key)

    def on_values(self, size: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The observations as values of the state and their precision 1 / r^2, both (T, size); 0: not observed.

        None if an observation depends on more than one value of the state. Several of one value are averaged.
        """
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
        """A key shared by frames that have observations at the same places with the same errors."""
        parts = (self.point[frame], self.weight[frame], self.present[frame], self.error[frame])
        return b"".join(part.cpu().numpy().tobytes() for part in parts)

    def rows(self, frame: int, size: int) -> torch.Tensor:
        """H of one frame as a matrix (N, size)."""
        matrix = torch.zeros(self.value.shape[1], size, device=self.weight.device)
        return matrix.scatter_add_(1, self.point[frame], self.weight[frame] * self.present[frame][:, None])
