"""Coloured preconditioning: the closed form, and what a network adds to it.

With a = U^T x the modes of the noisy field and l their variances,

    D(x; sigma) = E_GM[x_0 | x] + c(sigma) F(U a / sqrt(l + sigma^2), E_GM[x_0 | x]; sigma),

E_GM the ideal denoiser of the Gauss-Markov process over all frames of the window, F the network and c the error that
the closed form makes at that noise level. It is the preconditioning of Karras et al. (2022, table 1) with c_skip x
replaced by the space-time optimum and c_in taken mode by mode; for a white process it is theirs to the letter. With
F = 0 it is optimal interpolation, and training can only add the non-linear and the flow-dependent.

F is scaled by one number a level and not mode by mode: mode by mode the largest patterns are amplified a hundred times
more than the smallest, and nothing is learnt (measured; docs/decisions/0004).

A prior may also learn levels of points: values that are known better than their frame. They enter the closed form one
by one, c becomes a field, and the network sees the values at their own levels besides, and what these are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov, ideal

Correction = Callable[..., torch.Tensor]  # (inputs (B, T, K, D), log sigma (B, T), *conditions) -> F (B, T, D)


@dataclass(frozen=True)
class Points:
    """Values of the state that are known by themselves: with noise of variance 1 / `precision`; 0 where they are not.

    Both (B, T, D), or (1, T, D) where all members share them.
    """

    value: torch.Tensor
    precision: torch.Tensor


@dataclass(frozen=True)
class Known:
    """The closed form's estimate (B, T, D), the error it makes (B, T, 1 or D), and what the network is shown."""

    mean: torch.Tensor
    error: torch.Tensor
    inputs: torch.Tensor


def known(
    process: GaussMarkov, noisy: torch.Tensor, sigma: torch.Tensor, mean: torch.Tensor, points: Points | None = None
) -> Known:
    """What the closed form makes of noisy windows (B, T, D), and the network's view of them.

    `mean` is the closed form's estimate from the fields alone, at the levels `sigma` (B, T).
    The network is shown the whitened noisy field beside the closed form's estimate, (B, T, 2, D), and where it has
    learnt levels of points the values at their levels and the logarithm of these, (B, T, 4, D).
    """
    error = error_of(process, sigma, points)
    white = process.modes.out_of(process.modes.into(noisy) * (process.variance + sigma[..., None] ** 2).rsqrt())
    if points is None:
        return Known(mean, error, torch.stack([white, mean], 2))
    mean = mean + error.square() * points.precision * (points.value - mean)
    precision = sigma[..., None] ** -2 + points.precision
    value = (noisy * sigma[..., None] ** -2 + points.value * points.precision) / precision
    seen = value * (1 + 1 / precision).rsqrt()
    level = -precision.log() / 8
    return Known(mean, error, torch.stack([white, mean, seen, level.expand_as(seen)], 2))


def error_of(process: GaussMarkov, sigma: torch.Tensor, points: Points | None = None) -> torch.Tensor:
    """What the closed form's estimate is wrong by: `scale`, less where points are known; (B, T, 1 or D)."""
    error = scale(process, sigma)[..., None]
    return error if points is None else error * (1 + error.square() * points.precision).rsqrt()


def scale(process: GaussMarkov, sigma: torch.Tensor) -> torch.Tensor:
    """Root-mean-square error that the closed form would make without its neighbours in time; (B, T)."""
    square = sigma[..., None] ** 2
    left = process.variance * square / (process.variance + square)
    return (left.sum(-1) / process.size).sqrt()


def denoise(
    process: GaussMarkov,
    network: Correction,
    noisy: torch.Tensor,
    sigma: torch.Tensor,
    *conditions: torch.Tensor,
    points: Points | None = None,
) -> torch.Tensor:
    """The denoised estimate E[x_0 | noisy] of windows (B, T, D), each frame with its own noise level (B, T)."""
    found = known(process, noisy, sigma, ideal(process, noisy, sigma), points)
    return found.mean + found.error * network(found.inputs, sigma.log(), *conditions)


def loss(
    process: GaussMarkov,
    denoised: torch.Tensor,
    clean: torch.Tensor,
    sigma: torch.Tensor,
    points: Points | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of |D - x|^2 / error^2, which weighs every noise level by what is left to learn there.

    `weight` (B, T) weighs frames besides. For a white process of unit variance |D - x| / error is the error of the
    network's velocity.
    """
    square = ((denoised - clean) / error_of(process, sigma, points)).square()
    return square.mean() if weight is None else (weight[..., None] * square).mean()


def unseen(like: torch.Tensor) -> Points:
    """No value known by itself."""
    return Points(torch.zeros_like(like[:1]), torch.zeros_like(like[:1]))
