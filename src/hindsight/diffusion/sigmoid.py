"""The 1000 noise levels of ForcingDAS: a sigmoid schedule (Jabri et al. 2022, arXiv:2212.11972), as published.

Their process keeps the variance, x_i = sqrt(abar_i) x_0 + sqrt(1 - abar_i) e; ours lets it explode. They are the same
up to a factor, x_i / sqrt(abar_i) = x_0 + sigma_i e with sigma_i^2 = (1 - abar_i) / abar_i, and with a white process of
unit variance the preconditioning of Karras et al. (2022) is theirs to the letter: c_in x is their x_i, and what the
network tells is their velocity v = sqrt(abar) e - sqrt(1 - abar) x_0 but for its sign (arXiv:2605.14285).
"""

import functools

import numpy as np
import torch

from hindsight.diffusion import plan

LEVELS = 1000
CONTEXT_INDEX = 14  # the level at which their sampler shows frames that are finished
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
    """The index of noise levels, given their logarithms; between two levels a fraction, beyond the ends the ends."""
    table = torch.as_tensor(np.log(sigmas()), dtype=log_sigma.dtype, device=log_sigma.device)
    above = torch.searchsorted(table, log_sigma.contiguous()).clamp(1, LEVELS - 1)
    share = (log_sigma - table[above - 1]) / (table[above] - table[above - 1])
    return above - 1 + share.clamp(0, 1)


def indices(steps: int) -> np.ndarray:
    """The index at each of a frame's sampling steps, -1 (finished) … 999 (pure noise); shape (steps + 1,)."""
    return np.trunc(np.linspace(-1, LEVELS - 1, steps + 1)).astype(int)


def ladder(steps: int) -> np.ndarray:
    """The noise level of each of a frame's steps, from 0 to 1825; shape (steps + 1,)."""
    return np.append(0.0, sigmas())[indices(steps) + 1]


def training_levels(
    windows: int, frames: int, share: float, stairs: str, steps: int, context: int, generator: torch.Generator
) -> torch.Tensor:
    """Noise levels for training: independent and uniform over the indices, or a staircase (CAT, in the supplement).

    A staircase is a row, drawn at random, of the plan that sampling follows: with `pyramid` neighbouring frames are one
    step apart, with `autoregressive` a frame waits for the one before it, `both` draws one of them. The frames of
    context before it, 1 to `context` of them, keep independent levels.

    Args:
        windows: B.
        frames: T.
        share: share of windows with a staircase.
        stairs: pyramid, autoregressive or both.
        steps: sampling steps of the plan.
        context: most frames of context.
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
        rows = plan.length(frames - given, steps, delay)
        row = int(torch.randint(rows, (), generator=generator))
        index[window, given:] = rung[plan.row(row, frames - given, steps, delay)]
    return torch.as_tensor(sigmas(), dtype=torch.float32)[index]


def fused_min_snr(sigma: torch.Tensor, clipped: float = CLIPPED_SNR, decay: float = DECAY) -> torch.Tensor:
    """Weights (B, T) of the velocity's squared error at levels `sigma` (B, T).

    Fused min-SNR (Chen et al. 2024, Diffusion Forcing, arXiv:2407.01392, appendix B): min-SNR (Hang et al. 2023), where
    a frame's signal also counts what the frames before it tell. With S = snr / c, S~ = min(snr, c) / c, C_0 = S~_0,
    C_k = d C_{k-1} + (1 - d) S~_k and P_k = C_{k-1} (P_0 = 0):

        F = 1 - (1 - d P)(1 - S),   F~ = 1 - (1 - d P)(1 - S~),   weight = c F~ / (c F + 1).
    """
    signal = sigma.double() ** -2 / clipped
    held = signal.clamp(max=1)
    past, before, known = torch.zeros_like(signal), held[:, 0], held[:, 0]
    for frame in range(1, signal.shape[1]):
        past[:, frame] = before = known
        known = decay * before + (1 - decay) * held[:, frame]
    fused = 1 - (1 - decay * past) * (1 - signal)
    fused_held = 1 - (1 - decay * past) * (1 - held)
    return (clipped * fused_held / (clipped * fused + 1)).to(sigma.dtype)
