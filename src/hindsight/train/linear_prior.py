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
from hindsight.settings import Train
from hindsight.settings.domain import TrainingDomain
from hindsight.settings.lexicon import winds as wind_pairs
from hindsight.settings.train import LinearPrior
from hindsight.train import channelwise, latitudes
from hindsight.train.components import component_model, evolution, lagged, principal
from hindsight.train.covariances import accumulate
from hindsight.train.latitudes import Latitudes, Winds, from_spin, to_spin
from hindsight.train.wavenumbers import Wavenumber, merge
from hindsight.train.windows import scaling_for


def run(
    training: TrainingDomain, settings: Train, *, fields: Path, climatology: Path, statistics: Path, linear_prior: Path
) -> None:
    """Fit the linear prior: modes of the training period and a linear inverse model of their evolution."""
    torch.set_num_threads(settings.threads)
    scaling = scaling_for(settings, Grid.of(store.read(fields)), climatology, statistics)
    frames, winds = Frames(fields, training.train, scaling), wind_pairs(training.channels)
    process = fit(frames, settings.linear_prior, training.torus, winds)
    tensors = {name: value.contiguous() for name, value in process.tensors().items()}
    store.replace(linear_prior, lambda partial: save_file(tensors, partial))


def fit(frames: Frames, settings: LinearPrior, torus: bool = False, winds: Winds = ()) -> GaussMarkov:
    """Fit a Gauss-Markov process, reading the frames block by block.

    They are read once, or twice where what modes leave out is kept (`residual`).

    Args:
        frames: normalised departures of the training period.
        settings: modes, number of coupled modes and ridge; `form: space` leaves out the coupling in time, and
            `white` fits nothing (compared in decision record 0004).
        torus: whether the fields are periodic in both directions.
        winds: the channels that are the components u and v of a wind; on a globe they are smooth together.

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
        return (
            channelwise.region(frames, settings)
            if settings.modes and settings.residual
            else empirical(frames, settings)
        )
    if settings.residual and (settings.modes or settings.truncation):
        return channelwise.globe(frames, settings, torus)
    if torus:
        return waves(frames, settings, latitudes.square(frames.grid, settings))
    return waves(frames, settings, latitudes.harmonic(frames.grid, settings), winds)


def white(size: int) -> GaussMarkov:
    """White noise of unit variance, not fitted; the denoiser is then that of Karras et al. (2022)."""
    return GaussMarkov(Values(torch.tensor(size)), torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size))


def empirical(frames: Frames, settings: LinearPrior) -> GaussMarkov:
    """Fit empirical orthogonal functions of the whole domain, the leading ones coupled."""
    (sums,) = accumulate(frames, lambda fields: [fields], settings.parts)
    variance, within, modes = principal(sums, settings)
    coupling, persistence = evolution(lagged(sums, within, modes, settings), settings.coupled_modes)
    return GaussMarkov(Empirical(modes.float()), variance.float(), coupling[None].float(), persistence.float())


def waves(frames: Frames, settings: LinearPrior, bases: list[Latitudes], winds: Winds = ()) -> GaussMarkov:
    """Fit complex orthogonal functions of channel and latitude for each zonal wavenumber, the leading ones coupled.

    The statistics are assumed to be the same at all longitudes; covariances between wavenumbers, which distinguish
    land from sea, are left to the network. In return the leading modes of each wavenumber are coupled to each other and
    may propagate, and the truncation is that of spherical harmonics, which treats the poles like any other point. A
    torus has no poles and uses all functions of latitude, for all wavenumbers except the Nyquist wavenumber.

    Args:
        frames: normalised departures of the training period.
        settings: see `fit`.
        bases: the functions of latitude of each wavenumber.
        winds: pairs of channels.
    """
    of_channels = [[basis.of(c, winds) for c in range(frames.shape[0])] for basis in bases]

    def coefficients(fields: torch.Tensor) -> list[torch.Tensor]:
        """Coefficients (n, C * L) of each wavenumber."""
        circles, samples = torch.fft.rfft(fields.unflatten(1, frames.shape), norm="ortho").permute(3, 1, 0, 2), []
        for m, basis in enumerate(of_channels):
            turned = to_spin(circles[m], winds) if m else circles[m]
            samples.append(torch.cat([x @ part.to(x.dtype) for x, part in zip(turned, basis)], 1))
        return [samples[0].real, *samples[1:]]

    fitted = []
    for number, (basis, sums) in enumerate(zip(of_channels, accumulate(frames, coefficients, settings.parts))):
        variance, coupling, persistence, vectors = component_model(sums, settings)
        parts = vectors.split([part.shape[1] for part in basis])
        functions = torch.stack([part.to(vectors.dtype) @ turned for part, turned in zip(basis, parts)])
        functions = from_spin(functions, winds) if number else functions
        fitted.append(Wavenumber(number, functions.flatten(0, 1), variance, coupling, persistence))
    return merge(fitted, frames.shape[-1], settings.floor)
