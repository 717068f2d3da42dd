"""Fit the closed-form start: the modes of the training period and how they evolve."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.settings import Domain, Train
from hindsight.settings.train import Colour
from hindsight.train.windows import departures

LARGEST_MEMORY = 0.995  # singular values of the coupling are kept below it, so that the process is stationary


def run(domain: Domain, settings: Train, *, fields: Path, climatology: Path, statistics: Path, colour: Path) -> None:
    """Fit the closed-form start: modes of the training period and a linear inverse model of their evolution."""
    torch.set_num_threads(settings.threads)
    _, _, training = departures(domain, "train", fields, climatology, statistics)
    process = fit(training.reshape(len(training), -1), settings.colour)
    store.replace(colour, lambda partial: save_file({n: v.contiguous() for n, v in vars(process).items()}, partial))


def fit(departures: np.ndarray, settings: Colour) -> GaussMarkov:
    """Fit a Gauss-Markov process to normalised departures.

    Args:
        departures: (T, D), frames in order without a gap.
        settings: how many modes, how many of them coupled, and how firmly; `form` white or space leaves out what
            the comparison in the decision record leaves out.
    """
    frames, size = departures.shape
    if settings.form == "white":
        return GaussMarkov(torch.eye(size), torch.ones(size), torch.zeros(0, 0), torch.zeros(size))
    if frames < 3:
        raise UserError(f"the training period has {frames} frames; covariances need many; lengthen domain.train")
    x = torch.from_numpy(departures).double()
    variance, modes = torch.linalg.eigh(x.T @ x / frames)
    keep = min(settings.modes or size, size, frames - 1)
    variance, modes = variance.flip(0)[:keep].clamp(min=settings.floor), modes.flip(1)[:, :keep]
    white = x @ modes / variance.sqrt()
    lagged = white[1:].T @ white[:-1] / (frames - 1) / (1 + settings.ridge)
    if settings.form == "space":
        lagged = torch.zeros_like(lagged)
    k = min(settings.coupled_modes, keep)
    left, singular, right = torch.linalg.svd(lagged[:k, :k])
    coupling = left * singular.clamp(max=LARGEST_MEMORY) @ right
    memory = lagged.diagonal()[k:].clamp(-LARGEST_MEMORY, LARGEST_MEMORY)
    return GaussMarkov(modes.float(), variance.float(), coupling.float(), memory.float())
