"""Noise levels: x_t = x + sigma_t * noise, each frame with its own sigma (variance exploding, Karras et al. 2022)."""

import math

import numpy as np
import torch


def levels(steps: int, sigma_min: float, sigma_max: float, rho: float) -> np.ndarray:
    """The noise level of each of a frame's steps: entry 0 is clean, entry `steps` is pure noise.

    sigma_i = (sigma_max^(1/rho) + i / (S - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho, then 0
    (Karras et al. 2022, equation 5).

    Returns:
        Rising, shape (S + 1,).
    """
    along = np.linspace(0, 1, steps)
    falling = (sigma_max ** (1 / rho) + along * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return np.concatenate([[0.0], falling[::-1]])


def training_levels(
    windows: int,
    frames: int,
    sigma_min: float,
    sigma_max: float,
    equal_share: float,
    staircase_share: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Noise levels for training by diffusion forcing: log-uniform, one a frame.

    Args:
        windows: B.
        frames: T.
        sigma_min: least level.
        sigma_max: largest level.
        equal_share: share of windows with one level for all frames, as in batch reanalysis.
        staircase_share: share of windows with levels that rise with time, as in filtering and fixed lag.
        generator: the rest has independent levels (Chen et al. 2024, Diffusion Forcing, arXiv:2407.01392).

    Returns:
        Shape (B, T).
    """
    low, high = math.log(sigma_min), math.log(sigma_max)
    log_level = low + (high - low) * torch.rand(windows, frames, generator=generator)
    kind = torch.rand(windows, 1, generator=generator)
    equal, stairs = log_level[:, :1].expand_as(log_level), log_level.sort(1).values
    log_level = torch.where(kind < equal_share, equal, log_level)
    return torch.where((kind >= equal_share) & (kind < equal_share + staircase_share), stairs, log_level).exp()
