"""Functions of one channel at a time that together span every field, the leading ones of all channels turned together.

A field's circles of latitude are transformed to zonal wavenumbers. For each wavenumber m and channel c an orthonormal
set of functions of latitude, E_mc, gives coefficients b_mc = E_mc^H X_mc. Of the coefficients of all channels some, J
of them, are turned by a unitary matrix, W_m^H b_m, which makes functions of several channels of them; the others are
left as they are. The functions of a single channel carry the variance that a truncation to J functions leaves out, so
none of it is lost, and a transform costs H^2 a channel and J^2 instead of C H J. A region is one circle of width 1: its
points take the place of latitudes.
"""

import torch
import torch.nn.functional as functional


class Channelwise:
    """Functions of one channel at a time, and of all channels.

    The n coefficients are real and imaginary parts of amplitudes, times sqrt(2) where the wavenumber is complex. The
    amplitudes of a wavenumber are J turned ones, then L of every channel.

    Args:
        table: E, real and imaginary parts, (M, C, H, L, 2); columns that are not used are zero.
        chosen: the coefficients that are turned together, as indices among C L; (M, J).
        rotation: W, real and imaginary parts, (M, J, J, 2); rows and columns that are not used are zero.
        place: index of each of the n coefficients among the M (J + C L) real parts followed by as many imaginary ones;
            -1 for a coefficient that is always zero.
        width: points on a circle, W.
    """

    def __init__(
        self,
        table: torch.Tensor,
        chosen: torch.Tensor,
        rotation: torch.Tensor,
        place: torch.Tensor,
        width: torch.Tensor,
    ) -> None:
        self.table, self.chosen, self.rotation = table, chosen, rotation
        self.place, self.width = place, width
        waves, self._channels, self._rows, count, _ = table.shape
        self.size, self.device = self._channels * self._rows * int(width), table.device
        self.periodic = int(width) > 1
        self._functions = torch.view_as_complex(table.contiguous())
        self._turn = torch.view_as_complex(rotation.contiguous())
        self._scale = torch.ones(waves, 1, 1, dtype=table.dtype, device=table.device)
        self._scale[complex_waves(waves, int(width))] = 2**0.5
        self._columns = chosen.shape[1] + self._channels * count
        total = 2 * waves * self._columns
        self._from = torch.where(place < 0, total, place)
        self._to = torch.full((total,), len(place), device=table.device)
        self._to[place[place >= 0]] = torch.arange(len(place), device=table.device)[place >= 0]

    def project(self, fields: torch.Tensor) -> torch.Tensor:
        """Project fields (…, D) on the functions: (…, n)."""
        lines = fields.reshape(-1, self._channels, self._rows, int(self.width))
        circles = torch.fft.rfft(lines, norm="ortho").permute(3, 1, 0, 2)[: len(self.table)]  # (M, C, B, H)
        alone = (circles @ self._functions.conj()).transpose(1, 2).flatten(2)  # (M, B, C L)
        together = alone.gather(2, self.chosen[:, None].expand(-1, alone.shape[1], -1)) @ self._turn.conj()
        parts = torch.view_as_real(torch.cat([together, alone], 2) * self._scale).permute(1, 3, 0, 2).flatten(1)
        return functional.pad(parts, (0, 1))[:, self._from].reshape(*fields.shape[:-1], len(self.place))

    def expand(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Sum the functions: (…, n) to fields (…, D)."""
        waves, joint = self.chosen.shape
        parts = functional.pad(coefficients.reshape(-1, len(self.place)), (0, 1))[:, self._to]
        real, imaginary = parts.unflatten(1, (2, waves, self._columns)).unbind(1)
        amplitudes = torch.complex(real, imaginary).transpose(0, 1) / self._scale  # (M, B, J + C L)
        turned = amplitudes[..., :joint] @ self._turn.mT
        alone = amplitudes[..., joint:].scatter_add(2, self.chosen[:, None].expand_as(turned), turned)
        circles = alone.unflatten(2, (self._channels, -1)).transpose(1, 2) @ self._functions.mT
        fields = torch.fft.irfft(circles.permute(2, 1, 3, 0), n=int(self.width), norm="ortho").flatten(1)
        return fields.reshape(*coefficients.shape[:-1], self.size)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors that define the functions."""
        names = "table", "chosen", "rotation", "place", "width"
        return {name: getattr(self, name) for name in names}


def complex_waves(waves: int, width: int) -> slice:
    """The wavenumbers whose coefficients are complex: not 0, and not the Nyquist wavenumber of an even width."""
    return slice(1, min(waves, (width + 1) // 2))
