"""Langevin corrections: noise and score at a fixed noise level."""

import torch

from hindsight.diffusion.guidance import Denoiser, White


def correct(
    x: torch.Tensor, level: torch.Tensor, moving: torch.Tensor, denoiser: Denoiser, white: White, size: float
) -> torch.Tensor:
    """One correction at the levels (T,); it leaves the distribution unchanged up to terms in size^2.

    x + g/2 score + sqrt(g) e with g = size * sigma^2 and score = (E[x_0 | x, y] - x) / sigma^2 (Song et al. 2021,
    arXiv:2011.13456, algorithm 4, with a step length for each frame).

    Args:
        x: noisy frames (E, T, D).
        level: their noise levels (T,).
        moving: frames to correct (T,), of those that are not clean.
        denoiser: guided or not.
        white: white noise.
        size: length of the step, in units of sigma^2.
    """
    clean = denoiser.mean(x, level, level)
    moved = x + size / 2 * (clean - x) + size**0.5 * level[:, None] * white("correction")
    return torch.where((moving & (level > 0))[:, None], moved, x)
