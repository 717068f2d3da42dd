"""Orthonormal functions of space: from fields to coefficients and back.

`Values`: one function for each grid value. `Empirical`: functions as one matrix, for regions. `Waves`: for fields that
are periodic in longitude, on the globe or on a torus, a wave in longitude times a complex function of channel and
latitude, so that a transform costs a Fourier transform and a small matrix for every zonal wavenumber. `Channelwise`
(`channelwise`): functions that span every field, of which only some are of several channels.
"""

from typing import Protocol

import torch
import torch.nn.functional as functional

from hindsight.diffusion.channelwise import Channelwise


class Modes(Protocol):
    """n orthonormal functions of D values.

    `periodic`: they are waves round circles of latitude, of fields that the caller has weighted by area.
    """

    periodic: bool

    @property
    def size(self) -> int:
        """Values of a field, D."""
        ...

    @property
    def device(self) -> torch.device:
        """Device that holds the functions."""
        ...

    def project(self, fields: torch.Tensor) -> torch.Tensor:
        """Project fields (…, D) on the functions: (…, n)."""
        ...

    def expand(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Sum the functions: (…, n) to fields (…, D)."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors that define the functions, by name."""
        ...


class Values:
    """One function for each grid value, 1 at one point of one channel and 0 elsewhere."""

    periodic = False

    def __init__(self, count: torch.Tensor) -> None:
        self.count = count
        self.size, self.device = int(count), count.device

    def project(self, fields: torch.Tensor) -> torch.Tensor:
        """Fields as they are."""
        return fields

    def expand(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Coefficients as they are."""
        return coefficients

    def tensors(self) -> dict[str, torch.Tensor]:
        """Their number."""
        return {"count": self.count}


class Empirical:
    """Any functions, as the columns of a matrix (D, n)."""

    periodic = False

    def __init__(self, matrix: torch.Tensor) -> None:
        self.matrix = matrix
        self.size, self.device = len(matrix), matrix.device

    def project(self, fields: torch.Tensor) -> torch.Tensor:
        """Project fields (…, D) on the functions: (…, n)."""
        return fields @ self.matrix

    def expand(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Sum the functions: (…, n) to fields (…, D)."""
        return coefficients @ self.matrix.T

    def tensors(self) -> dict[str, torch.Tensor]:
        """The matrix."""
        return {"matrix": self.matrix}


class Waves:
    """Waves round the globe times functions of channel and latitude.

    With X_m the Fourier coefficients of a field's circles of latitude, all channels stacked, a_m = V_m^H X_m for every
    zonal wavenumber m; the coefficients are the real and imaginary parts of a_m, times sqrt(2) where m > 0, which makes
    the functions orthonormal.

    Args:
        table: V, real and imaginary parts, (M, C * H, K, 2); columns that are not used are zero.
        place: index of each of the n coefficients among the M * K real parts followed by the M * K imaginary ones; -1
            for a coefficient that is always zero.
        width: points on a circle, W.
    """

    periodic = True

    def __init__(self, table: torch.Tensor, place: torch.Tensor, width: torch.Tensor) -> None:
        self.table, self.place, self.width = table, place, width
        self.size, self.device = table.shape[1] * int(width), table.device
        waves, _, count, _ = table.shape
        self._functions = torch.view_as_complex(table.contiguous())
        self._scale = torch.full((waves, 1, 1), 2**0.5, dtype=table.dtype, device=table.device)
        self._scale[0] = 1.0
        total = 2 * waves * count
        self._from = torch.where(place < 0, total, place)
        self._to = torch.full((total,), len(place), device=table.device)
        self._to[place[place >= 0]] = torch.arange(len(place), device=table.device)[place >= 0]

    def project(self, fields: torch.Tensor) -> torch.Tensor:
        """Project fields (…, D) on the functions: (…, n)."""
        waves, stacked, _, _ = self.table.shape
        circles = torch.fft.rfft(fields.reshape(-1, stacked, int(self.width)), norm="ortho")[..., :waves]
        projected = (circles.permute(2, 0, 1) @ self._functions.conj()) * self._scale  # (M, B, K)
        parts = torch.view_as_real(projected).permute(1, 3, 0, 2).flatten(1)
        return functional.pad(parts, (0, 1))[:, self._from].reshape(*fields.shape[:-1], len(self.place))

    def expand(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Sum the functions: (…, n) to fields (…, D)."""
        waves, _, count, _ = self.table.shape
        parts = functional.pad(coefficients.reshape(-1, len(self.place)), (0, 1))[:, self._to]
        real, imaginary = parts.unflatten(1, (2, waves, count)).unbind(1)
        amplitudes = torch.complex(real, imaginary).transpose(0, 1) / self._scale
        circles = (amplitudes @ self._functions.mT).permute(1, 2, 0)
        fields = torch.fft.irfft(circles, n=int(self.width), norm="ortho").flatten(1)
        return fields.reshape(*coefficients.shape[:-1], self.size)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The table, the places and the width."""
        return {"table": self.table, "place": self.place, "width": self.width}


def from_tensors(tensors: dict[str, torch.Tensor]) -> Modes:
    """The functions that `Modes.tensors` came from."""
    kinds = {"count": Values, "matrix": Empirical, "rotation": Channelwise}
    return next((kind for name, kind in kinds.items() if name in tensors), Waves)(**tensors)
