"""Fit the closed-form start: the modes of the training period and how they evolve."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Empirical, Values, Waves
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.harmonics import Harmonics
from hindsight.settings import Domain, Train
from hindsight.settings.train import Colour
from hindsight.train.windows import departures

LARGEST_MEMORY = 0.995  # singular values of the coupling are kept below it, so that the process is stationary


def run(domain: Domain, settings: Train, *, fields: Path, climatology: Path, statistics: Path, colour: Path) -> None:
    """Fit the closed-form start: modes of the training period and a linear inverse model of their evolution."""
    torch.set_num_threads(settings.threads)
    if settings.colour.form == "white":
        process = white(int(np.prod(store.read(fields)["fields"].shape[1:])))
    else:
        _, grid, training = departures(domain, settings, "train", fields, climatology, statistics)
        process = fit(training, grid, settings.colour, [domain.latitude_edges, domain.longitude_edges])
    tensors = {name: value.contiguous() for name, value in process.tensors().items()}
    store.replace(colour, lambda partial: save_file(tensors, partial))


def fit(departures: np.ndarray, grid: Grid, settings: Colour, edges: list[str]) -> GaussMarkov:
    """Fit a Gauss-Markov process.

    Args:
        departures: normalised, (T, C, H, W), frames in order without a gap.
        grid: of the fields.
        settings: which modes, how many of them coupled, and how firmly; `form` white or space leaves out what the
            comparison in the decision record leaves out.
        edges: what lies beyond the latitudes and beyond the longitudes, as in `Domain`.

    Raises:
        UserError: if there are too few frames for a covariance.
    """
    if settings.form == "white":
        return white(departures[0].size)
    if len(departures) < 3:
        raise UserError(
            f"the training period has {len(departures)} frames; covariances need many; lengthen domain.train"
        )
    if settings.basis == "empirical":
        return empirical(departures, grid, settings)
    return waves(departures, grid, settings, torus=list(edges) == ["periodic", "periodic"])


def white(size: int) -> GaussMarkov:
    """White noise of unit variance: nothing is fitted, and the denoiser is that of Karras et al. (2022)."""
    return GaussMarkov(Values(torch.tensor(size)), torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size))


def empirical(departures: np.ndarray, grid: Grid, settings: Colour) -> GaussMarkov:
    """Empirical orthogonal functions of the whole domain, the leading ones coupled."""
    x = torch.from_numpy(departures).flatten(1).double()
    variance, modes = _principal(x, settings)
    white = x @ modes / variance.sqrt()
    lagged = _lagged(white, settings)
    k = min(settings.coupled_modes, len(variance))
    return GaussMarkov(
        Empirical(modes.float()),
        variance.float(),
        _stationary(lagged[:k, :k])[None].float(),
        lagged.diagonal()[k:].clamp(-LARGEST_MEMORY, LARGEST_MEMORY).float(),
    )


def waves(departures: np.ndarray, grid: Grid, settings: Colour, torus: bool) -> GaussMarkov:
    """For every zonal wavenumber the orthogonal functions of channel and latitude, complex, the leading ones coupled.

    The statistics are taken to be the same at all longitudes: covariances between wavenumbers, which tell land from
    sea, are left for the network to learn. In return every mode is coupled to the others of its wavenumber and may
    travel, and the truncation is that of spherical harmonics, so that the poles are no special place. A torus has no
    poles: every function of latitude will do, for every wavenumber but the shortest of an even circle, a mere zigzag.
    """
    channels, width = departures.shape[1], departures.shape[-1]
    circles = torch.fft.rfft(torch.from_numpy(departures), norm="ortho").permute(3, 0, 1, 2)  # (M, T, C, H)
    fitted = []
    for order, smooth in enumerate(_round(grid, settings) if torus else _harmonics(grid, settings)):
        x = (circles[order].to(torch.complex128) @ smooth.to(torch.complex128)).flatten(1)
        x = x if order else x.real
        variance, vectors = _principal(x, settings)
        known = variance > settings.floor
        variance, vectors = variance[known], vectors[:, known]
        lagged = _lagged(x @ vectors.conj() / variance.sqrt(), settings)
        functions = torch.einsum("hl,clk->chk", smooth.to(vectors.dtype), vectors.unflatten(0, (channels, -1)))
        coupled = min(settings.coupled_modes, len(variance))
        fitted.append(_Order(order, functions.flatten(0, 1), variance, lagged, coupled))
    return _gathered(fitted, width, settings.floor)


def _harmonics(grid: Grid, settings: Colour) -> list[torch.Tensor]:
    """Orthonormal functions of latitude for every zonal wavenumber, (H, L): the spherical harmonics of that order.

    Raises:
        UserError: if the grid does not go round the globe, or cannot carry the truncation.
    """
    height, width = grid.shape
    finest = min(height, (width + 1) // 2) - 1
    truncation = settings.truncation or finest
    if not grid.periodic or truncation > finest:
        raise UserError(
            f"waves of truncation {truncation} do not fit the grid, {height} x {width} points "
            f"{'' if grid.periodic else 'that do not go '}round the globe and carry {finest} at most; lower "
            "train.colour.truncation, or set train.colour.basis: empirical"
        )
    table = Harmonics(grid.latitude, width, truncation).table
    measure = torch.as_tensor(np.sqrt(grid.weights[:, 0]))
    return [torch.linalg.qr((table[order, order:] * measure).T)[0] for order in range(truncation + 1)]


def _round(grid: Grid, settings: Colour) -> list[torch.Tensor]:
    """On a torus, every latitude for every zonal wavenumber, (H, H).

    Raises:
        UserError: if a truncation is asked for.
    """
    if settings.truncation:
        raise UserError(
            f"waves of truncation {settings.truncation} are those of a globe, and the domain comes round both ways; "
            "leave train.colour.truncation out"
        )
    height, width = grid.shape
    return [torch.eye(height, dtype=torch.float64)] * ((width + 1) // 2)


def _principal(x: torch.Tensor, settings: Colour) -> tuple[torch.Tensor, torch.Tensor]:
    """Variances, largest first, and orthonormal vectors of samples (T, size), which may be complex."""
    size = x.shape[1]
    variance, vectors = torch.linalg.eigh(x.T @ x.conj() / len(x))
    keep = min(settings.modes or size, size, len(x) - 1)
    return variance.flip(0)[:keep].clamp(min=settings.floor), vectors.flip(1)[:, :keep]


def _lagged(white: torch.Tensor, settings: Colour) -> torch.Tensor:
    """E[a_{t+1} a_t^H] of whitened coefficients (T, n), shrunk."""
    lagged = white[1:].T @ white[:-1].conj() / (len(white) - 1) / (1 + settings.ridge)
    return torch.zeros_like(lagged) if settings.form == "space" else lagged


def _stationary(lagged: torch.Tensor) -> torch.Tensor:
    """The coupling nearest to a lagged covariance that leaves the process stationary."""
    left, singular, right = torch.linalg.svd(lagged)
    return left * singular.clamp(max=LARGEST_MEMORY).to(left.dtype) @ right


@dataclass(frozen=True)
class _Order:
    """What is fitted of one zonal wavenumber: K modes, the first `coupled` of them coupled."""

    number: int
    functions: torch.Tensor  # (C * H, K), complex but for wavenumber 0
    variance: torch.Tensor  # (K,)
    lagged: torch.Tensor  # (K, K)
    coupled: int

    @property
    def coupling(self) -> torch.Tensor:
        """A among the coupled modes, as real numbers: real parts, then imaginary parts."""
        found = _stationary(self.lagged[: self.coupled, : self.coupled])
        if not found.is_complex():
            return found.float()
        real, imaginary = found.real.float(), found.imag.float()
        return torch.cat([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)])

    @property
    def memory(self) -> torch.Tensor:
        """The memory of the other modes, twice where they are complex."""
        return self._twice(self.lagged.diagonal().real[self.coupled :].clamp(-LARGEST_MEMORY, LARGEST_MEMORY))

    def spread(self, part: slice) -> torch.Tensor:
        """The variance of some modes, twice where they are complex."""
        return self._twice(self.variance[part])

    def places(self, part: slice, columns: int, orders: int) -> torch.Tensor:
        """Where some modes stand, see `Waves`: real parts, then imaginary parts."""
        real = self.number * columns + torch.arange(len(self.variance))[part]
        return torch.cat([real, orders * columns + real]) if self.number else real

    def _twice(self, values: torch.Tensor) -> torch.Tensor:
        return values.float().repeat(2 if self.number else 1)


def _gathered(orders: list[_Order], width: int, floor: float) -> GaussMarkov:
    """One process of all wavenumbers.

    Wavenumbers have different numbers of coupled modes; they are packed into groups of one size, and what is left over
    of a group is filled with coefficients that are always zero.
    """
    columns = max(len(order.variance) for order in orders)
    couplings = [order.coupling for order in orders]
    groups, size = _packed([len(coupling) for coupling in couplings]), max(map(len, couplings))
    coupling = torch.zeros(len(groups), size, size)
    place, spread = torch.full((len(groups), size), -1), torch.full((len(groups), size), floor)
    for g, group in enumerate(groups):
        at = 0
        for number in group:
            order, first = orders[number], slice(orders[number].coupled)
            here = slice(at, at := at + len(couplings[number]))
            coupling[g, here, here] = couplings[number]
            place[g, here], spread[g, here] = order.places(first, columns, len(orders)), order.spread(first)
    table = torch.zeros(len(orders), len(orders[0].functions), columns, 2)
    for order in orders:
        table[order.number, :, : len(order.variance)] = torch.view_as_real(order.functions.to(torch.complex64))
    rest = [(order, slice(order.coupled, None)) for order in orders]
    return GaussMarkov(
        Waves(
            table,
            torch.cat([place.flatten(), *(order.places(part, columns, len(orders)) for order, part in rest)]),
            torch.tensor(width),
        ),
        torch.cat([spread.flatten(), *(order.spread(part) for order, part in rest)]),
        coupling,
        torch.cat([order.memory for order in orders]),
    )


def _packed(sizes: list[int]) -> list[list[int]]:
    """Blocks into groups no larger than the largest block, each into the first group that has room (Johnson 1973)."""
    groups: list[list[int]] = []
    for block in sorted(range(len(sizes)), key=lambda b: -sizes[b]):
        room = (g for g in groups if sum(sizes[b] for b in g) + sizes[block] <= max(sizes))
        found = next(room, None)
        if found is None:
            groups.append(found := [])
        found.append(block)
    return groups
