"""Noise levels: x_t = x + sigma_t * noise, each frame with its own sigma (variance exploding, Karras et al. 2022)."""

import math

import numpy as np
import torch


def levels(steps: int, sigma_min: float, sigma_max: float, rho: float) -> np.ndarray:
    """Noise levels of the sampling steps: entry 0 is clean, entry `steps` is pure noise.

    sigma_i = (sigma_max^(1/rho) + i / (S - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho, then 0
    (Karras et al. 2022, equation 5).

    Returns:
        Rising, shape (S + 1,).
    """
    along = np.linspace(0, 1, steps)
    falling = (sigma_max ** (1 / rho) + along * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return np.concatenate([[0.0], falling[::-1]])


def training_points(
    windows: int,
    frames: int,
    shape: tuple[int, int, int],
    share: float,
    error_min: float,
    error_max: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Inverse variances 1 / error^2 of random observed values of training windows; 0 where a value is not observed.

    Each window with observations draws one error and one network: all values; every second or fourth along both axes,
    from an offset; or random places, the same in all frames or new ones in each, few or many. In a third of the windows
    the observations end at some frame, as they do at the present for a filter.

    Args:
        windows: B.
        frames: T.
        shape: of a field (C, H, W); all channels of a place are observed.
        share: share of windows with observed values.
        error_min: least error; log-uniform from there to `error_max`.
        error_max: largest error.
        generator: of the draws.

    Returns:
        (B, T, C * H * W).
    """
    channels, height, width = shape
    draw = lambda *size: torch.rand(*size, generator=generator)
    integer = lambda below: torch.randint(below, (windows, 1, 1, 1), generator=generator)
    every, rows, columns = 2 ** integer(3), torch.arange(height)[:, None], torch.arange(width)
    offset = integer(4)
    thinned = ((rows + offset) % every.clamp(max=height) == 0) & ((columns + offset) % every == 0)
    density = draw(windows, 1, 1, 1) ** 2
    fixed, varying = draw(windows, 1, height, width) < density, draw(windows, frames, height, width) < density
    kind = integer(5)
    mask = torch.where(kind < 3, thinned, torch.where(kind == 3, fixed, varying))
    ended = (draw(windows, 1, 1, 1) < 1 / 3) & (torch.arange(frames)[:, None, None] >= integer(frames))
    observed = mask & ~ended & (draw(windows, 1, 1, 1) < share)
    log_error = math.log(error_min) + (math.log(error_max) - math.log(error_min)) * draw(windows, 1, 1, 1)
    inverse_variance = observed * (-2 * log_error).exp()
    return inverse_variance[:, :, None].expand(-1, -1, channels, -1, -1).flatten(2)


def training_levels(
    windows: int,
    frames: int,
    sigma_min: float,
    sigma_max: float,
    equal_share: float,
    staircase_share: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Noise levels for training by diffusion forcing: log-uniform, one for each frame.

    Args:
        windows: B.
        frames: T.
        sigma_min: least level.
        sigma_max: largest level.
        equal_share: share of windows with one level for all frames, as in batch reanalysis.
        staircase_share: share of windows with levels that rise with time, as in filtering and fixed lag.
        generator: of the draws. All other windows have independent levels (Chen et al. 2024, arXiv:2407.01392).

    Returns:
        Shape (B, T).
    """
    low, high = math.log(sigma_min), math.log(sigma_max)
    log_level = low + (high - low) * torch.rand(windows, frames, generator=generator)
    kind = torch.rand(windows, 1, generator=generator)
    equal, stairs = log_level[:, :1].expand_as(log_level), log_level.sort(1).values
    log_level = torch.where(kind < equal_share, equal, log_level)
    return torch.where((kind >= equal_share) & (kind < equal_share + staircase_share), stairs, log_level).exp()
