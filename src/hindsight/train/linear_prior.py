"""Fit the linear prior: a linear inverse model of the training period (Penland and Sardeshmukh 1995)."""

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
from hindsight.settings.domain import TrainingDomain
from hindsight.settings.train import LinearPrior
from hindsight.train.covariances import CovarianceSums, accumulate
from hindsight.train.wavenumbers import Wavenumber, merge
from hindsight.train.windows import scaling_for

MAX_SINGULAR_VALUE = 0.995  # of the coupling, so that the process is stationary


def run(
    training: TrainingDomain, settings: Train, *, fields: Path, climatology: Path, statistics: Path, linear_prior: Path
) -> None:
    """Fit the linear prior: modes of the training period and a linear inverse model of their evolution."""
    torch.set_num_threads(settings.threads)
    scaling = scaling_for(settings, Grid.of(store.read(fields)), climatology, statistics)
    process = fit(Frames(fields, training.train, scaling), settings.linear_prior, training.torus)
    tensors = {name: value.contiguous() for name, value in process.tensors().items()}
    store.replace(linear_prior, lambda partial: save_file(tensors, partial))


def fit(frames: Frames, settings: LinearPrior, torus: bool = False) -> GaussMarkov:
    """Fit a Gauss-Markov process, reading the frames once, block by block.

    Args:
        frames: normalised departures of the training period.
        settings: modes, number of coupled modes and ridge; `form: space` leaves out the coupling in time, and
            `white` fits nothing (compared in decision record 0004).
        torus: whether the fields are periodic in both directions.

    Raises:
        UserError: if there are fewer than 3 frames with data.
    """
    if settings.form == "white":
        return white(int(np.prod(frames.shape)))
    available = int((frames.segment >= 0).sum())
    if available < 3:
        masked = (
            f" with data (of {len(frames.segment)}; the others are masked)" if available < len(frames.segment) else ""
        )
        raise UserError(
            f"the training period has {available} frames{masked}; a covariance needs many more; lengthen domain.train"
        )
    if settings.basis == "empirical":
        return empirical(frames, settings)
    return waves(frames, settings, torus)


def white(size: int) -> GaussMarkov:
    """White noise of unit variance, not fitted; the denoiser is then that of Karras et al. (2022)."""
    return GaussMarkov(Values(torch.tensor(size)), torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size))


def empirical(frames: Frames, settings: LinearPrior) -> GaussMarkov:
    """Fit empirical orthogonal functions of the whole domain, the leading ones coupled."""
    (sums,) = accumulate(frames, lambda fields: [fields])
    variance, modes = _principal(sums, settings)
    coupling, persistence = _split(_lagged(sums, variance, modes, settings), settings.coupled_modes)
    return GaussMarkov(Empirical(modes.float()), variance.float(), coupling[None].float(), persistence.float())


def waves(frames: Frames, settings: LinearPrior, torus: bool) -> GaussMarkov:
    """Fit complex orthogonal functions of channel and latitude for each zonal wavenumber, the leading ones coupled.

    The statistics are assumed to be the same at all longitudes; covariances between wavenumbers, which distinguish
    land from sea, are left to the network. In return the leading modes of each wavenumber are coupled to each other and
    may propagate, and the truncation is that of spherical harmonics, which treats the poles like any other point. A
    torus has no poles and uses all functions of latitude, for all wavenumbers except the Nyquist wavenumber.
    """
    bases = _torus(frames.grid, settings) if torus else _harmonics(frames.grid, settings)

    def coefficients(fields: torch.Tensor) -> list[torch.Tensor]:
        """Coefficients (n, C * L) of each wavenumber."""
        waves = torch.fft.rfft(fields.unflatten(1, frames.shape), norm="ortho").permute(3, 0, 1, 2)
        samples = [(waves[m] @ basis.to(waves.dtype)).flatten(1) for m, basis in enumerate(bases)]
        return [samples[0].real, *samples[1:]]

    fitted = []
    for number, (basis, sums) in enumerate(zip(bases, accumulate(frames, coefficients))):
        variance, vectors = _principal(sums, settings)
        kept = variance > settings.floor
        variance, vectors = variance[kept], vectors[:, kept]
        coupling, persistence = _split(_lagged(sums, variance, vectors, settings), settings.coupled_modes)
        functions = torch.einsum("hl,clk->chk", basis.to(vectors.dtype), vectors.unflatten(0, (frames.shape[0], -1)))
        fitted.append(Wavenumber(number, functions.flatten(0, 1), variance, coupling, persistence))
    return merge(fitted, frames.shape[-1], settings.floor)


def _harmonics(grid: Grid, settings: LinearPrior) -> list[torch.Tensor]:
    """Orthonormal functions of latitude for each zonal wavenumber, (H, L): the spherical harmonics of that order.

    Raises:
        UserError: if the grid is not global, or is too coarse for the truncation.
    """
    height, width = grid.shape
    finest = min(height, (width + 1) // 2) - 1
    truncation = settings.truncation or finest
    if not grid.periodic or truncation > finest:
        raise UserError(
            f"waves of truncation {truncation} do not fit the grid, whose {height} x {width} points resolve {finest} "
            f"at most{'' if grid.periodic else ' and do not go round the globe'}; lower "
            "train.linear_prior.truncation, or set train.linear_prior.basis: empirical"
        )
    table = Harmonics(grid.latitude, width, truncation).table
    measure = torch.as_tensor(np.sqrt(grid.weights[:, 0]))
    return [torch.linalg.qr((table[order, order:] * measure).T)[0] for order in range(truncation + 1)]


def _torus(grid: Grid, settings: LinearPrior) -> list[torch.Tensor]:
    """The identity for each zonal wavenumber on a torus, (H, H).

    Raises:
        UserError: if the settings have a truncation.
    """
    if settings.truncation:
        raise UserError(
            f"train.linear_prior.truncation: {settings.truncation} is for a globe, and the domain is periodic in both "
            "directions; leave it out"
        )
    height, width = grid.shape
    return [torch.eye(height, dtype=torch.float64)] * ((width + 1) // 2)


def _principal(sums: CovarianceSums, settings: LinearPrior) -> tuple[torch.Tensor, torch.Tensor]:
    """Principal components of samples, which may be complex: variances, largest first, and orthonormal vectors."""
    size = len(sums.now)
    variance, vectors = torch.linalg.eigh(sums.covariance)
    keep = min(settings.modes or size, size, sums.frames - 1)
    return variance.flip(0)[:keep].clamp(min=settings.floor), vectors.flip(1)[:, :keep]


def _lagged(sums: CovarianceSums, variance: torch.Tensor, vectors: torch.Tensor, settings: LinearPrior) -> torch.Tensor:
    """Lagged covariance E[a_{t+1} a_t^H] of the whitened coefficients of the vectors, shrunk by the ridge."""
    root = variance.sqrt()
    lagged = vectors.mH @ sums.lagged @ vectors / (root[:, None] * root) / (1 + settings.ridge)
    return torch.zeros_like(lagged) if settings.form == "space" else lagged


def _split(lagged: torch.Tensor, coupled: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coupling of the leading modes, clipped to keep the process stationary, and lag-one correlation of the others."""
    left, singular, right = torch.linalg.svd(lagged[:coupled, :coupled])
    coupling = left * singular.clamp(max=MAX_SINGULAR_VALUE).to(left.dtype) @ right
    return coupling, lagged.diagonal().real[coupled:].clamp(-MAX_SINGULAR_VALUE, MAX_SINGULAR_VALUE)
