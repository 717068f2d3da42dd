"""The denoiser: the linear prior's estimate plus a correction by the network.

With a = U^T x the coefficients of the noisy field and l the variances of the modes,

    D(x; sigma) = E_GM[x_0 | x] + c(sigma) F(U a / sqrt(l + sigma^2), E_GM[x_0 | x]; sigma),

E_GM the ideal denoiser of the linear prior (a Gauss-Markov process) over all frames of the window, F the network and c
the error that the linear estimate of a frame has without its neighbours at that noise level. It is the preconditioning
of Karras et al. (2022, table 1) with c_skip x replaced by the space-time optimum and c_in taken mode by mode; for a
white process it is exactly theirs. With F = 0 it is optimal interpolation; training adds what is non-linear or
flow-dependent.

F is scaled by one number for each level and not mode by mode: mode by mode the largest patterns are amplified a hundred
times more than the smallest, and the network learns nothing (measured; docs/decisions/0004).

A prior may also learn noise levels of points: values with less noise than their frame. They enter the linear estimate
one by one, c becomes a field, and the network's inputs also have the values at their own levels, and these levels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov, ideal

Correction = Callable[..., torch.Tensor]  # (inputs (B, T, K, D), log sigma (B, T), *conditions) -> F (B, T, D)


@dataclass(frozen=True)
class Points:
    """Observed values of the state, and the inverse variance of their noise; 0: not observed.

    Both (B, T, D), or (1, T, D) for all members.
    """

    value: torch.Tensor
    inverse_variance: torch.Tensor


@dataclass(frozen=True)
class LinearEstimate:
    """The linear prior's estimate (B, T, D), its error without neighbours (B, T, 1 or D), and the network's inputs."""

    mean: torch.Tensor
    error: torch.Tensor
    inputs: torch.Tensor


def linear_estimate(
    process: GaussMarkov, noisy: torch.Tensor, sigma: torch.Tensor, mean: torch.Tensor, points: Points | None = None
) -> LinearEstimate:
    """The linear prior's estimate of noisy windows (B, T, D), and the inputs of the network.

    `mean` is the linear prior's estimate from the fields alone, at the levels `sigma` (B, T). The inputs are the
    whitened noisy field and the linear estimate, (B, T, 2, D), and with points also the values at their levels and a
    quarter of the logarithm of these levels, (B, T, 4, D).
    """
    error = estimate_error(process, sigma, points)
    white = process.modes.expand(process.modes.project(noisy) * (process.variance + sigma[..., None] ** 2).rsqrt())
    if points is None:
        return LinearEstimate(mean, error, torch.stack([white, mean], 2))
    mean = mean + error.square() * points.inverse_variance * (points.value - mean)
    total = sigma[..., None] ** -2 + points.inverse_variance
    value = (noisy * sigma[..., None] ** -2 + points.value * points.inverse_variance) / total
    scaled = value * (1 + 1 / total).rsqrt()
    level = -total.log() / 8
    return LinearEstimate(mean, error, torch.stack([white, mean, scaled, level.expand_as(scaled)], 2))


def estimate_error(process: GaussMarkov, sigma: torch.Tensor, points: Points | None = None) -> torch.Tensor:
    """Root-mean-square error of the linear estimate without neighbours, (B, T, 1 or D), reduced at observed points."""
    error = error_scale(process, sigma)[..., None]
    return error if points is None else error * (1 + error.square() * points.inverse_variance).rsqrt()


def error_scale(process: GaussMarkov, sigma: torch.Tensor) -> torch.Tensor:
    """Root-mean-square error of the linear estimate of a frame without its neighbours in time; (B, T)."""
    square = sigma[..., None] ** 2
    remaining = process.variance * square / (process.variance + square)
    return (remaining.sum(-1) / process.size).sqrt()


def denoise(
    process: GaussMarkov,
    network: Correction,
    noisy: torch.Tensor,
    sigma: torch.Tensor,
    *conditions: torch.Tensor,
    points: Points | None = None,
) -> torch.Tensor:
    """The denoised estimate E[x_0 | noisy] of windows (B, T, D), each frame with its own noise level (B, T)."""
    linear = linear_estimate(process, noisy, sigma, ideal(process, noisy, sigma), points)
    return linear.mean + linear.error * network(linear.inputs, sigma.log(), *conditions)


def loss(
    process: GaussMarkov,
    denoised: torch.Tensor,
    clean: torch.Tensor,
    sigma: torch.Tensor,
    points: Points | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of |D - x|^2 / error^2, so that every noise level counts relative to the error of the linear estimate.

    `weight` (B, T) weights frames in addition. For a white process of unit variance |D - x| / error is the error of the
    network's velocity.
    """
    square = ((denoised - clean) / estimate_error(process, sigma, points)).square()
    return square.mean() if weight is None else (weight[..., None] * square).mean()


def no_points(like: torch.Tensor) -> Points:
    """Points without any observed value, for fields like `like` (B, T, D)."""
    return Points(torch.zeros_like(like[:1]), torch.zeros_like(like[:1]))
