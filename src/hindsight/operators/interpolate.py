"""Point values by bilinear interpolation: a sparse linear operator and its exact adjoint."""

from dataclasses import dataclass

import numpy as np
import torch

from hindsight.fields.grid import Grid


@dataclass(frozen=True)
class Interpolation:
    """Rows of K grid points and their weights, K = 4 to interpolate: y_n = sum_k weight[n, k] x[point[n, k]]."""

    point: np.ndarray  # (N, K), flat index into the H * W grid points
    weight: np.ndarray  # (N, K), rows sum to 1

    def numpy(self, fields: np.ndarray) -> np.ndarray:
        """Values at the places of fields (…, H * W); shape (…, N)."""
        return (fields[..., self.point] * self.weight).sum(-1)


def bilinear(grid: Grid, latitude: np.ndarray, longitude: np.ndarray) -> Interpolation:
    """Bilinear interpolation on a regular grid, round the globe where the grid goes round.

    Args:
        grid: where the fields are.
        latitude: degrees north (N,).
        longitude: degrees east (N,), any turn.

    Raises:
        ValueError: if a place lies outside the grid.
    """
    height, width = grid.shape
    row, south = _cell(grid.latitude, latitude)
    turned = (longitude - grid.longitude[0]) % 360 + grid.longitude[0]
    turned = np.where(turned > grid.longitude[-1] + 360 - 1e-9, turned - 360, turned)
    if grid.periodic:
        spacing = 360 / width
        along = (turned - grid.longitude[0]) / spacing
        column, west = np.floor(along).astype(int) % width, along - np.floor(along)
        east = (column + 1) % width
    else:
        column, west = _cell(grid.longitude, turned)
        east = np.minimum(column + 1, width - 1)
    north = np.minimum(row + 1, height - 1)
    point = np.stack([row * width + column, row * width + east, north * width + column, north * width + east], 1)
    weight = np.stack([(1 - south) * (1 - west), (1 - south) * west, south * (1 - west), south * west], 1)
    return Interpolation(point, weight)


def _cell(axis: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point of an axis at or before each place, and how far beyond it, in spacings; of one point, all are at it."""
    spacing = (axis[-1] - axis[0]) / (len(axis) - 1) if len(axis) > 1 else 1.0
    along = (np.asarray(place, float) - axis[0]) / spacing
    if (outside := (along < -1e-6) | (along > len(axis) - 1 + 1e-6)).any():
        raise ValueError(f"{place[outside][0]} lies outside {axis[0]} … {axis[-1]}")
    along = along.clip(0, len(axis) - 1)
    index = np.minimum(np.floor(along).astype(int), max(len(axis) - 2, 0))
    return index, along - index


@dataclass(frozen=True)
class Observed:
    """The observations of a stretch of frames, padded to N a frame, as tensors.

    `point` and `weight` (T, N, K) index the flat state of C * H * W values; `value`, `error` (T, N) are normalised;
    `present` (T, N) is 1 where there is an observation and 0 where there is padding.
    """

    point: torch.Tensor
    weight: torch.Tensor
    value: torch.Tensor
    error: torch.Tensor
    present: torch.Tensor

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """H x: state (E, T, D) to the places (E, T, N); zero in the padding."""
        members, frames, _ = state.shape
        index = self.point.flatten(1).expand(members, -1, -1)
        values = state.gather(2, index).view(members, frames, *self.point.shape[1:])
        return (values * self.weight).sum(-1) * self.present

    def adjoint(self, values: torch.Tensor, size: int) -> torch.Tensor:
        """H^T y: values at the places (E, T, N) to the state (E, T, size)."""
        members, frames, _ = values.shape
        spread = ((values * self.present)[..., None] * self.weight).flatten(2)
        state = torch.zeros(members, frames, size, dtype=values.dtype, device=values.device)
        return state.scatter_add_(2, self.point.flatten(1).expand(members, -1, -1), spread)

    def squared(self) -> torch.Tensor:
        """|h|^2, the squared length of each row of H; (T, N)."""
        return self.weight.square().sum(-1) * self.present

    def frames(self, view: slice) -> "Observed":
        """The observations of some frames, padded no further than they need, so that no other frame leaves a trace."""
        most = int(self.present[view].sum(1).max()) if self.present[view].numel() else 0
        part = {name: value[view, : max(most, 1)] for name, value in vars(self).items()}
        return Observed(**part)

    def on_values(self, size: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The observations as values of the state and their precision 1 / r^2, both (T, size); precision 0: not seen.

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

    def places(self, frame: int) -> bytes:
        """A key that is the same for frames observed at the same places with the same errors."""
        parts = (self.point[frame], self.weight[frame], self.present[frame], self.error[frame])
        return b"".join(part.cpu().numpy().tobytes() for part in parts)

    def rows(self, frame: int, size: int) -> torch.Tensor:
        """H of one frame as a matrix (N, size)."""
        matrix = torch.zeros(self.value.shape[1], size, device=self.weight.device)
        return matrix.scatter_add_(1, self.point[frame], self.weight[frame] * self.present[frame][:, None])
