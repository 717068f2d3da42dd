"""Fit the closed-form start: the modes of the training period and how they evolve."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Empirical, Values
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.harmonics import Harmonics
from hindsight.settings import Train
from hindsight.settings.domain import Training
from hindsight.settings.train import Colour
from hindsight.train.covariances import Moments, summed
from hindsight.train.orders import Order, gathered
from hindsight.train.windows import scaling

LARGEST_MEMORY = 0.995  # singular values of the coupling are kept below it, so that the process is stationary


def run(
    training: Training, settings: Train, *, fields: Path, climatology: Path, statistics: Path, colour: Path
) -> None:
    """Fit the closed-form start: modes of the training period and a linear inverse model of their evolution."""
    torch.set_num_threads(settings.threads)
    seen = scaling(settings, Grid.of(store.read(fields)), climatology, statistics)
    process = fit(Frames(fields, training.train, seen), settings.colour, training.torus)
    tensors = {name: value.contiguous() for name, value in process.tensors().items()}
    store.replace(colour, lambda partial: save_file(tensors, partial))


def fit(frames: Frames, settings: Colour, torus: bool = False) -> GaussMarkov:
    """Fit a Gauss-Markov process, reading the frames once, block by block.

    Args:
        frames: normalised departures of the training period.
        settings: which modes, how many of them coupled, and how firmly; `form` white or space leaves out what the
            comparison in the decision record leaves out.
        torus: whether the fields come round both ways.

    Raises:
        UserError: if there are too few frames for a covariance.
    """
    if settings.form == "white":
        return white(int(np.prod(frames.shape)))
    known = int((frames.stretch >= 0).sum())
    if known < 3:
        masked = f" known ({len(frames.stretch)} with those that are masked)" if known < len(frames.stretch) else ""
        raise UserError(f"the training period has {known} frames{masked}; covariances need many; lengthen domain.train")
    if settings.basis == "empirical":
        return empirical(frames, settings)
    return waves(frames, settings, torus)


def white(size: int) -> GaussMarkov:
    """White noise of unit variance: nothing is fitted, and the denoiser is that of Karras et al. (2022)."""
    return GaussMarkov(Values(torch.tensor(size)), torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size))


def empirical(frames: Frames, settings: Colour) -> GaussMarkov:
    """Empirical orthogonal functions of the whole domain, the leading ones coupled."""
    (moments,) = summed(frames, lambda fields: [fields])
    variance, modes = _principal(moments, settings)
    coupling, memory = _split(_lagged(moments, variance, modes, settings), settings.coupled_modes)
    return GaussMarkov(Empirical(modes.float()), variance.float(), coupling[None].float(), memory.float())


def waves(frames: Frames, settings: Colour, torus: bool) -> GaussMarkov:
    """For every zonal wavenumber the orthogonal functions of channel and latitude, complex, the leading ones coupled.

    The statistics are taken to be the same at all longitudes: covariances between wavenumbers, which tell land from
    sea, are left for the network to learn. In return every mode is coupled to the others of its wavenumber and may
    travel, and the truncation is that of spherical harmonics, so that the poles are no special place. A torus has no
    poles: every function of latitude will do, for every wavenumber but the shortest of an even circle, a mere zigzag.
    """
    bases = _round(frames.grid, settings) if torus else _harmonics(frames.grid, settings)

    def circles(fields: torch.Tensor) -> list[torch.Tensor]:
        """Coefficients (n, C * L) of every wavenumber."""
        found = torch.fft.rfft(fields.unflatten(1, frames.shape), norm="ortho").permute(3, 0, 1, 2)
        samples = [(found[m] @ smooth.to(found.dtype)).flatten(1) for m, smooth in enumerate(bases)]
        return [samples[0].real, *samples[1:]]

    fitted = []
    for order, (smooth, moments) in enumerate(zip(bases, summed(frames, circles))):
        variance, vectors = _principal(moments, settings)
        known = variance > settings.floor
        variance, vectors = variance[known], vectors[:, known]
        coupling, memory = _split(_lagged(moments, variance, vectors, settings), settings.coupled_modes)
        functions = torch.einsum("hl,clk->chk", smooth.to(vectors.dtype), vectors.unflatten(0, (frames.shape[0], -1)))
        fitted.append(Order(order, functions.flatten(0, 1), variance, coupling, memory))
    return gathered(fitted, frames.shape[-1], settings.floor)


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


def _principal(moments: Moments, settings: Colour) -> tuple[torch.Tensor, torch.Tensor]:
    """Variances, largest first, and orthonormal vectors of samples, which may be complex."""
    size = len(moments.now)
    variance, vectors = torch.linalg.eigh(moments.covariance)
    keep = min(settings.modes or size, size, moments.frames - 1)
    return variance.flip(0)[:keep].clamp(min=settings.floor), vectors.flip(1)[:, :keep]


def _lagged(moments: Moments, variance: torch.Tensor, vectors: torch.Tensor, settings: Colour) -> torch.Tensor:
    """E[a_{t+1} a_t^H] of the coefficients of vectors, whitened and shrunk."""
    root = variance.sqrt()
    lagged = vectors.mH @ moments.lagged @ vectors / (root[:, None] * root) / (1 + settings.ridge)
    return torch.zeros_like(lagged) if settings.form == "space" else lagged


def _split(lagged: torch.Tensor, coupled: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The coupling of the leading modes, the nearest that leaves the process stationary, and the others' memory."""
    left, singular, right = torch.linalg.svd(lagged[:coupled, :coupled])
    coupling = left * singular.clamp(max=LARGEST_MEMORY).to(left.dtype) @ right
    return coupling, lagged.diagonal().real[coupled:].clamp(-LARGEST_MEMORY, LARGEST_MEMORY)
