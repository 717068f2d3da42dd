"""Orthonormal functions of latitude for each zonal wavenumber, from which the linear prior's waves are made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.harmonics import Harmonics, wind_functions
from hindsight.settings.train import LinearPrior

Winds = Sequence[tuple[int, int]]  # the channels that are the components u and v of each wind


@dataclass(frozen=True)
class Latitudes:
    """Functions of latitude of one zonal wavenumber, the columns of matrices (H, L) with L up to H.

    Where winds are turned (`to_spin`), `plus` belongs to u + i v and `minus` to u - i v.
    """

    scalar: torch.Tensor
    plus: torch.Tensor
    minus: torch.Tensor

    def of(self, channel: int, winds: Winds) -> torch.Tensor:
        """Those of a channel, given the pairs of channels that are u and v."""
        if any(channel == u for u, _ in winds):
            return self.plus
        return self.minus if any(channel == v for _, v in winds) else self.scalar


def truncation(grid: Grid, settings: LinearPrior) -> int:
    """The truncation of a globe: that of the settings, or the finest that the grid resolves.

    Raises:
        UserError: if the grid is not global, or is too coarse for the truncation.
    """
    height, width = grid.shape
    finest = min(height, (width + 1) // 2) - 1
    chosen = settings.truncation or finest
    if not grid.periodic or chosen > finest:
        raise UserError(
            f"waves of truncation {chosen} do not fit the grid, whose {height} x {width} points resolve {finest} "
            f"at most{'' if grid.periodic else ' and do not go round the globe'}; lower "
            "train.linear_prior.truncation, or set train.linear_prior.basis: empirical"
        )
    return chosen


def harmonic(grid: Grid, settings: LinearPrior) -> list[Latitudes]:
    """The spherical harmonics of each order up to the truncation, of scalars and of winds."""
    finest, measure = truncation(grid, settings), torch.as_tensor(np.sqrt(grid.weights[:, 0]))
    tables = Harmonics(grid.latitude, grid.shape[1], finest).table, *wind_functions(grid.latitude, finest)
    functions = lambda table, order, first: torch.linalg.qr((table[order, first:] * measure).T)[0]
    return [
        Latitudes(functions(tables[0], m, m), *(functions(table, m, max(m, 1)) for table in tables[1:]))
        for m in range(finest + 1)
    ]


def square(grid: Grid, settings: LinearPrior) -> list[Latitudes]:
    """The identity for each zonal wavenumber on a torus, except for the Nyquist wavenumber.

    Raises:
        UserError: if the settings have a truncation.
    """
    if settings.truncation:
        raise UserError(
            f"train.linear_prior.truncation: {settings.truncation} is for a globe, and the domain is periodic in both "
            "directions; leave it out"
        )
    height, width = grid.shape
    return [Latitudes(*[torch.eye(height, dtype=torch.float64)] * 3)] * ((width + 1) // 2)


def to_spin(circles: torch.Tensor, winds: Winds) -> torch.Tensor:
    """Channels (C, …), complex, with the components u and v of winds replaced by (u + i v) and (u - i v) / sqrt(2).

    These are smooth across a pole, where u and v are not.
    """
    turned = circles.clone()
    for u, v in winds:
        turned[u], turned[v] = (circles[u] + 1j * circles[v]) / 2**0.5, (circles[u] - 1j * circles[v]) / 2**0.5
    return turned


def from_spin(turned: torch.Tensor, winds: Winds) -> torch.Tensor:
    """The inverse of `to_spin`, which is unitary."""
    circles = turned.clone()
    for u, v in winds:
        circles[u], circles[v] = (turned[u] + turned[v]) / 2**0.5, (turned[u] - turned[v]) / (1j * 2**0.5)
    return circles
