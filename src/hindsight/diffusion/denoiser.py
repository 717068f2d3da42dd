"""Coloured preconditioning: the closed form, and what a network adds to it.

With a = U^T x the modes of the noisy field and l their variances,

    D(x; sigma) = E_GM[x_0 | x] + U sqrt(l s^2 / (l + s^2)) U^T F(U a / sqrt(l + s^2), E_GM[x_0 | x]; sigma),

E_GM the ideal denoiser of the Gauss-Markov process over all frames of the window and F the network. It is the
preconditioning of Karras et al. (2022, table 1) done mode by mode, with their c_skip replaced by the space-time
optimum: with F = 0 it is optimal interpolation, and training can only add the non-linear and the flow-dependent.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior

Correction = Callable[..., torch.Tensor]  # (inputs (B, T, 2, D), log sigma (B, T), *conditions) -> F (B, T, D)


def inputs(process: GaussMarkov, noisy: torch.Tensor, mean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """What the network sees: the whitened noisy field beside the closed-form estimate; (B, T, 2, D)."""
    scale = (process.variance + sigma[..., None] ** 2).rsqrt()
    white = process.from_modes(process.into_modes(noisy) * scale)
    return torch.stack([white, mean], 2)


def coloured(process: GaussMarkov, output: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Give the network's output (B, T, D) the colour of what is not yet known at each noise level."""
    square = sigma[..., None] ** 2
    scale = (process.variance * square / (process.variance + square)).sqrt()
    return process.from_modes(process.into_modes(output) * scale)


def denoise(process: GaussMarkov, network: Correction, noisy: torch.Tensor, sigma: torch.Tensor,
            *conditions: torch.Tensor) -> torch.Tensor:
    """The denoised estimate E[x_0 | noisy] of windows (B, T, D), each frame with its own noise level (B, T)."""
    mean = Posterior(process, sigma).mean(noisy)
    output = network(inputs(process, noisy, mean, sigma), sigma.log(), *conditions)
    return mean + coloured(process, output, sigma)


def loss(denoised: torch.Tensor, clean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of (1 + sigma^2) / sigma^2 |D - x|^2, which weighs every noise level alike (Karras et al. 2022)."""
    weight = (1 + sigma**2) / sigma**2
    return (weight * (denoised - clean).square().mean(-1)).mean()
