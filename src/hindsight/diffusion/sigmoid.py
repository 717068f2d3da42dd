"""The 1000 noise levels of ForcingDAS: a sigmoid schedule (Jabri et al. 2022, arXiv:2212.11972), as published.

Their process preserves the variance, x_i = sqrt(abar_i) x_0 + sqrt(1 - abar_i) e; ours explodes it. They are the same
up to a factor, x_i / sqrt(abar_i) = x_0 + sigma_i e with sigma_i^2 = (1 - abar_i) / abar_i, and with a white process of
unit variance the preconditioning of Karras et al. (2022) is exactly theirs: c_in x is their x_i, and the network's
output is minus their velocity v = sqrt(abar) e - sqrt(1 - abar) x_0 (arXiv:2605.14285).
"""

import functools

import numpy as np
import torch

from hindsight.diffusion import schedule

LEVELS = 1000
CONTEXT_INDEX = 14  # level of finished frames in their sampler
CLIPPED_SNR, DECAY = 5.0, 0.96  # of the fused min-SNR weight


@functools.cache
def alpha_bar() -> np.ndarray:
    """The share of the variance that is signal, abar_0 … abar_999, falling."""
    u = np.linspace(0, 1, LEVELS + 1)
    logistic = lambda x: 1 / (1 + np.exp(-x))
    share = (logistic(3.0) - logistic(6 * u - 3)) / (logistic(3.0) - logistic(-3.0))
    share = share / share[0]
    return np.cumprod(1 - np.clip(1 - share[1:] / share[:-1], 0, 0.999))


def sigmas() -> np.ndarray:
    """The noise level sigma_i of every index, rising from 0.0173 to 1825."""
    return np.sqrt((1 - alpha_bar()) / alpha_bar())


def index_of(log_sigma: torch.Tensor) -> torch.Tensor:
    """Index of noise levels, given their logarithms: interpolated between levels, clipped to the first and last."""
    table = torch.as_tensor(np.log(sigmas()), dtype=log_sigma.dtype, device=log_sigma.device)
    above = torch.searchsorted(table, log_sigma.contiguous()).clamp(1, LEVELS - 1)
    share = (log_sigma - table[above - 1]) / (table[above] - table[above - 1])
    return above - 1 + share.clamp(0, 1)


def indices(steps: int) -> np.ndarray:
    """The index at each sampling step of a frame, -1 (finished) … 999 (pure noise); shape (steps + 1,)."""
    return np.trunc(np.linspace(-1, LEVELS - 1, steps + 1)).astype(int)


def levels(steps: int) -> np.ndarray:
    """Noise levels of the sampling steps, from 0 to 1825; shape (steps + 1,)."""
    return np.append(0.0, sigmas())[indices(steps) + 1]


def training_levels(
    windows: int, frames: int, share: float, stairs: str, steps: int, context: int, generator: torch.Generator
) -> torch.Tensor:
    """Noise levels for training: independent and uniform over the indices, or a staircase (CAT, in the supplement).

    A staircase is a random row of the sampling schedule: with `pyramid` neighbouring frames are one step apart, with
    `autoregressive` a frame waits for the one before it, `both` draws one of the two. The 1 to `context` frames
    before the staircase keep independent levels.

    Args:
        windows: B.
        frames: T.
        share: share of windows with a staircase.
        stairs: pyramid, autoregressive or both.
        steps: sampling steps of the schedule.
        context: largest number of frames before the staircase.
        generator: of the draws.

    Returns:
        Noise levels sigma (B, T).
    """
    index = torch.randint(LEVELS, (windows, frames), generator=generator)
    rung = torch.as_tensor(indices(steps)).clamp(min=0)
    for window in torch.nonzero(torch.rand(windows, generator=generator) < share)[:, 0].tolist():
        given = 1 + int(torch.randint(min(context, frames - 1), (), generator=generator)) if frames > 1 else 0
        coin = float(torch.rand((), generator=generator)) < 0.5
        delay = {"pyramid": 1, "autoregressive": steps, "both": 1 if coin else steps}[stairs]
        rows = schedule.length(frames - given, steps, delay)
        row = int(torch.randint(rows, (), generator=generator))
        index[window, given:] = rung[schedule.row(row, frames - given, steps, delay)]
    return torch.as_tensor(sigmas(), dtype=torch.float32)[index]


def fused_min_snr(sigma: torch.Tensor, clipped: float = CLIPPED_SNR, decay: float = DECAY) -> torch.Tensor:
    """Weights (B, T) of the velocity's squared error at levels `sigma` (B, T).

    Fused min-SNR (Chen et al. 2024, Diffusion Forcing, arXiv:2407.01392, appendix B): min-SNR (Hang et al. 2023), where
    a frame's signal includes that of the frames before it. With S = snr / c, S~ = min(snr, c) / c, C_0 = S~_0,
    C_k = d C_{k-1} + (1 - d) S~_k and P_k = C_{k-1} (P_0 = 0):

        F = 1 - (1 - d P)(1 - S),   F~ = 1 - (1 - d P)(1 - S~),   weight = c F~ / (c F + 1).
    """
    signal = sigma.double() ** -2 / clipped
    clipped_signal = signal.clamp(max=1)
    past, before, after = torch.zeros_like(signal), clipped_signal[:, 0], clipped_signal[:, 0]
    for frame in range(1, signal.shape[1]):
        past[:, frame] = before = after
        after = decay * before + (1 - decay) * clipped_signal[:, frame]
    fused = 1 - (1 - decay * past) * (1 - signal)
    fused_clipped = 1 - (1 - decay * past) * (1 - clipped_signal)
    return (clipped * fused_clipped / (clipped * fused + 1)).to(sigma.dtype)
