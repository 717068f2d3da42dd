"""Merge the models fitted to each zonal wavenumber into one Gauss-Markov process."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Modes, Waves


@dataclass(frozen=True)
class Wavenumber:
    """The model of one zonal wavenumber: K modes, the first k of them coupled.

    Its functions and its coupling are complex, except at wavenumber 0 and the Nyquist wavenumber.
    """

    number: int
    functions: torch.Tensor  # of whatever the modes are made; (C * H, K) for `merge`
    variance: torch.Tensor  # (K,)
    coupling: torch.Tensor  # (k, k)
    persistence: torch.Tensor  # (K - k,), lag-one correlation of the uncoupled modes
    column: torch.Tensor | None = None  # of each mode in the table of the functions, (K,); none: in order

    @property
    def real_coupling(self) -> torch.Tensor:
        """The coupling of real parts followed by imaginary parts, (2 k, 2 k); if it is real, (k, k)."""
        if not self.coupling.is_complex():
            return self.coupling.float()
        real, imaginary = self.coupling.real.float(), self.coupling.imag.float()
        return torch.cat([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)])

    def persistences(self) -> torch.Tensor:
        """Lag-one correlation of the uncoupled modes, repeated for the imaginary parts of complex modes."""
        return self._twice(self.persistence)

    def variances(self, part: slice) -> torch.Tensor:
        """Variance of some modes, repeated for the imaginary parts of complex modes."""
        return self._twice(self.variance[part])

    def places(self, part: slice, columns: int, wavenumbers: int) -> torch.Tensor:
        """Positions of some modes among all amplitudes: real parts, then imaginary parts."""
        column = torch.arange(len(self.variance)) if self.column is None else self.column
        real = self.number * columns + column[part]
        return torch.cat([real, wavenumbers * columns + real]) if self.coupling.is_complex() else real

    def _twice(self, values: torch.Tensor) -> torch.Tensor:
        return values.float().repeat(2 if self.coupling.is_complex() else 1)


def merge(fitted: list[Wavenumber], width: int, floor: float) -> GaussMarkov:
    """Merge the models of all wavenumbers into one process."""
    columns = max(len(model.variance) for model in fitted)
    table = torch.zeros(len(fitted), len(fitted[0].functions), columns, 2)
    for model in fitted:
        table[model.number, :, : len(model.variance)] = torch.view_as_real(model.functions.to(torch.complex64))
    return assemble(fitted, columns, floor, lambda place: Waves(table, place, torch.tensor(width)))


def assemble(
    fitted: list[Wavenumber], columns: int, floor: float, functions: Callable[[torch.Tensor], Modes]
) -> GaussMarkov:
    """Assemble a process from the models of all wavenumbers.

    Wavenumbers have different numbers of coupled modes; they are packed into groups of one size, and the rest of each
    group is padded with coefficients that are always zero.

    Args:
        fitted: the models.
        columns: amplitudes of a wavenumber.
        floor: variance of the padding.
        functions: makes the modes, given the place of each coefficient among the amplitudes.
    """
    couplings = [model.real_coupling for model in fitted]
    groups, size = pack([len(coupling) for coupling in couplings]), max(map(len, couplings))
    coupling = torch.zeros(len(groups), size, size)
    place, variance = torch.full((len(groups), size), -1), torch.full((len(groups), size), floor)
    for g, group in enumerate(groups):
        at = 0
        for number in group:
            model, first = fitted[number], slice(len(fitted[number].coupling))
            here = slice(at, at := at + len(couplings[number]))
            coupling[g, here, here] = couplings[number]
            place[g, here], variance[g, here] = model.places(first, columns, len(fitted)), model.variances(first)
    uncoupled = [(model, slice(len(model.coupling), None)) for model in fitted]
    places = [place.flatten(), *(model.places(part, columns, len(fitted)) for model, part in uncoupled)]
    return GaussMarkov(
        functions(torch.cat(places)),
        torch.cat([variance.flatten(), *(model.variances(part) for model, part in uncoupled)]),
        coupling,
        torch.cat([model.persistences() for model in fitted]),
    )


def pack(sizes: list[int]) -> list[list[int]]:
    """Pack blocks into groups no larger than the largest block, each in the first group with room (Johnson 1973)."""
    groups: list[list[int]] = []
    for block in sorted(range(len(sizes)), key=lambda b: -sizes[b]):
        fitting = (g for g in groups if sum(sizes[b] for b in g) + sizes[block] <= max(sizes))
        group = next(fitting, None)
        if group is None:
            groups.append(group := [])
        group.append(block)
    return groups
