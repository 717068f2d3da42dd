"""Put what was fitted of every zonal wavenumber together, as one Gauss-Markov process."""

from dataclasses import dataclass

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Waves


@dataclass(frozen=True)
class Order:
    """What is fitted of one zonal wavenumber: K modes, the first k of them coupled."""

    number: int
    functions: torch.Tensor  # (C * H, K), complex but for wavenumber 0
    variance: torch.Tensor  # (K,)
    coupling: torch.Tensor  # (k, k), complex likewise
    memory: torch.Tensor  # (K - k,)

    @property
    def real_coupling(self) -> torch.Tensor:
        """The coupling as real numbers: real parts, then imaginary parts."""
        if not self.coupling.is_complex():
            return self.coupling.float()
        real, imaginary = self.coupling.real.float(), self.coupling.imag.float()
        return torch.cat([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)])

    def memories(self) -> torch.Tensor:
        """The memory of the modes that are not coupled, twice where they are complex."""
        return self._twice(self.memory)

    def spread(self, part: slice) -> torch.Tensor:
        """The variance of some modes, twice where they are complex."""
        return self._twice(self.variance[part])

    def places(self, part: slice, columns: int, orders: int) -> torch.Tensor:
        """Where some modes stand, see `Waves`: real parts, then imaginary parts."""
        real = self.number * columns + torch.arange(len(self.variance))[part]
        return torch.cat([real, orders * columns + real]) if self.number else real

    def _twice(self, values: torch.Tensor) -> torch.Tensor:
        return values.float().repeat(2 if self.number else 1)


def gathered(orders: list[Order], width: int, floor: float) -> GaussMarkov:
    """One process of all wavenumbers.

    Wavenumbers have different numbers of coupled modes; they are packed into groups of one size, and what is left over
    of a group is filled with coefficients that are always zero.
    """
    columns = max(len(order.variance) for order in orders)
    couplings = [order.real_coupling for order in orders]
    groups, size = packed([len(coupling) for coupling in couplings]), max(map(len, couplings))
    coupling = torch.zeros(len(groups), size, size)
    place, spread = torch.full((len(groups), size), -1), torch.full((len(groups), size), floor)
    for g, group in enumerate(groups):
        at = 0
        for number in group:
            order, first = orders[number], slice(len(orders[number].coupling))
            here = slice(at, at := at + len(couplings[number]))
            coupling[g, here, here] = couplings[number]
            place[g, here], spread[g, here] = order.places(first, columns, len(orders)), order.spread(first)
    table = torch.zeros(len(orders), len(orders[0].functions), columns, 2)
    for order in orders:
        table[order.number, :, : len(order.variance)] = torch.view_as_real(order.functions.to(torch.complex64))
    rest = [(order, slice(len(order.coupling), None)) for order in orders]
    return GaussMarkov(
        Waves(
            table,
            torch.cat([place.flatten(), *(order.places(part, columns, len(orders)) for order, part in rest)]),
            torch.tensor(width),
        ),
        torch.cat([spread.flatten(), *(order.spread(part) for order, part in rest)]),
        coupling,
        torch.cat([order.memories() for order in orders]),
    )


def packed(sizes: list[int]) -> list[list[int]]:
    """Blocks into groups no larger than the largest block, each into the first group that has room (Johnson 1973)."""
    groups: list[list[int]] = []
    for block in sorted(range(len(sizes)), key=lambda b: -sizes[b]):
        room = (g for g in groups if sum(sizes[b] for b in g) + sizes[block] <= max(sizes))
        found = next(room, None)
        if found is None:
            groups.append(found := [])
        found.append(block)
    return groups
