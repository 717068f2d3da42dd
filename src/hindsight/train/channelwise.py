"""Fit a linear prior to few functions of all channels without losing the variance of the rest.

Each channel has its own functions of latitude, the principal components of each zonal wavenumber (of a region: of its
points). The leading ones of all channels, J of them, are modes of the weather as a whole: they are correlated, and
evolve together. Every other function keeps its variance and its memory from one frame to the next, without
correlations. So the variance of each channel at each latitude is that of the training period, however few J are, and
work and memory grow with C H^2 + J^2 instead of (C H)^2.
"""

from dataclasses import dataclass

import torch

from hindsight.diffusion.channelwise import Channelwise, complex_waves
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.fields.frames import Frames
from hindsight.settings.train import LinearPrior
from hindsight.train import latitudes
from hindsight.train.components import component_model, memory
from hindsight.train.covariances import CovarianceSums, accumulate
from hindsight.train.wavenumbers import Wavenumber, assemble

Shape = tuple[int, int, int]  # channels, latitudes, longitudes


@dataclass(frozen=True)
class Functions:
    """The functions of one zonal wavenumber, H of each of C channels, with their variance and memory.

    `table` (C, H, H), its last axis the functions; `variance` and `memory` (C, H).
    """

    table: torch.Tensor
    variance: torch.Tensor
    memory: torch.Tensor

    def leading(self, count: int, floor: float) -> torch.Tensor:
        """The indices among C H of the functions with the largest variance, at most `count`."""
        variance = self.variance.flatten()
        order = torch.argsort(variance, descending=True, stable=True)[:count]
        return order[variance[order] > floor]

    def rest(self, chosen: torch.Tensor, floor: float) -> torch.Tensor:
        """The indices of the others."""
        left = (self.variance > floor).flatten()
        left[chosen] = False
        return left.nonzero()[:, 0]


def globe(frames: Frames, settings: LinearPrior, torus: bool) -> GaussMarkov:
    """Fit all zonal wavenumbers, those beyond the truncation without correlations between channels.

    A truncation T leaves order m as many functions as there are harmonics, T + 1 - m of every channel.

    Args:
        frames: normalised departures of the training period.
        settings: modes, truncation, number of coupled modes and ridge.
        torus: whether the fields are periodic in both directions.

    Raises:
        UserError: if the grid does not resolve the truncation.
    """
    channels, height, width = frames.shape
    if torus:
        counts = [channels * height] * len(latitudes.square(frames.grid, settings))
    else:
        last = latitudes.truncation(frames.grid, settings)
        counts = [channels * (last + 1 - m if settings.truncation else height) for m in range(last + 1)]
    counts += [0] * (width // 2 + 1 - len(counts))
    return _fit(frames, frames.shape, settings, [min(settings.modes or count, count) for count in counts])


def region(frames: Frames, settings: LinearPrior) -> GaussMarkov:
    """Fit the points of a region as if they were latitudes of one circle of width 1."""
    channels, points = frames.shape[0], frames.shape[1] * frames.shape[2]
    return _fit(frames, (channels, points, 1), settings, [settings.modes or channels * points])


def _fit(frames: Frames, shape: Shape, settings: LinearPrior, counts: list[int]) -> GaussMarkov:
    """Fit with some number of modes of all channels for each wavenumber."""
    alone = accumulate(frames, lambda fields: _circles(fields, shape))
    functions = [_functions(sums, settings) for sums in alone]
    chosen = [f.leading(count, settings.floor) for f, count in zip(functions, counts)]

    def of_chosen(fields: torch.Tensor) -> list[torch.Tensor]:
        """Coefficients of the chosen functions (n, J) of each wavenumber."""
        found = [x @ f.table.conj() for x, f in zip(_circles(fields, shape), functions)]
        return [x.transpose(0, 1).flatten(1)[:, here] for x, here in zip(found, chosen)]

    together, most = accumulate(frames, of_chosen, settings.parts), max(1, *map(len, chosen))
    fitted = [_model(m, *parts, settings, most) for m, parts in enumerate(zip(functions, chosen, together))]
    table = torch.stack([torch.view_as_real(f.table.to(torch.complex64)) for f in functions])
    places, rotation = torch.zeros(len(chosen), most, dtype=torch.long), torch.zeros(len(chosen), most, most, 2)
    for model, here in zip(fitted, chosen):
        count, used = model.functions.shape
        places[model.number, :count] = here
        rotation[model.number, :count, :used] = torch.view_as_real(model.functions.to(torch.complex64))
    make = lambda place: Channelwise(table, places, rotation, place, torch.tensor(shape[-1]))
    return assemble(fitted, most + table.shape[1] * table.shape[3], settings.floor, make)


def _circles(fields: torch.Tensor, shape: Shape) -> list[torch.Tensor]:
    """Fourier coefficients of the circles of latitude of fields (n, D): (C, n, H) of each wavenumber, real if it is."""
    waves = torch.fft.rfft(fields.unflatten(1, shape), norm="ortho").permute(3, 1, 0, 2)
    turned = complex_waves(len(waves), shape[-1])
    return [x if turned.start <= m < turned.stop else x.real for m, x in enumerate(waves)]


def _functions(sums: CovarianceSums, settings: LinearPrior) -> Functions:
    """The principal components of every channel, the largest variance first."""
    table = torch.linalg.eigh(sums.covariance)[1].flip(-1)
    variance, after = ((table.conj() * (x @ table)).sum(-2).real for x in (sums.covariance, sums.lagged))
    kept = 0.0 if settings.form == "space" else 1 / (1 + settings.ridge)
    return Functions(table, variance, memory(kept * after / variance.clamp(min=settings.floor)))


def _model(
    number: int, functions: Functions, chosen: torch.Tensor, sums: CovarianceSums, settings: LinearPrior, most: int
) -> Wavenumber:
    """The model of one wavenumber: modes of all channels, and after them the functions of single channels."""
    variance, coupling, persistence, vectors = component_model(sums, settings)
    rest = functions.rest(chosen, settings.floor)
    return Wavenumber(
        number,
        vectors,
        torch.cat([variance, functions.variance.flatten()[rest]]),
        coupling,
        torch.cat([persistence, functions.memory.flatten()[rest]]),
        torch.cat([torch.arange(len(variance)), most + rest]),
    )
