"""Coloured preconditioning: the closed form, and what a network adds to it.

With a = U^T x the modes of the noisy field and l their variances,

    D(x; sigma) = E_GM[x_0 | x] + c(sigma) F(U a / sqrt(l + sigma^2), E_GM[x_0 | x]; sigma),

E_GM the ideal denoiser of the Gauss-Markov process over all frames of the window, F the network and c the error that
the closed form makes at that noise level. It is the preconditioning of Karras et al. (2022, table 1) with c_skip x
replaced by the space-time optimum and c_in taken mode by mode; for a white process it is theirs to the letter. With
F = 0 it is optimal interpolation, and training can only add the non-linear and the flow-dependent.

F is scaled by one number a level and not mode by mode: mode by mode the largest patterns are amplified a hundred times
more than the smallest, and nothing is learnt (measured; docs/decisions/0004).
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior

Correction = Callable[..., torch.Tensor]  # (inputs (B, T, 2, D), log sigma (B, T), *conditions) -> F (B, T, D)


def inputs(process: GaussMarkov, noisy: torch.Tensor, mean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """What the network sees: the whitened noisy field beside the closed-form estimate; (B, T, 2, D)."""
    scale = (process.variance + sigma[..., None] ** 2).rsqrt()
    white = process.modes.out_of(process.modes.into(noisy) * scale)
    return torch.stack([white, mean], 2)


def scale(process: GaussMarkov, sigma: torch.Tensor) -> torch.Tensor:
    """Root-mean-square error that the closed form would make without its neighbours in time; (B, T)."""
    square = sigma[..., None] ** 2
    known = process.variance * square / (process.variance + square)
    return (known.sum(-1) / process.size).sqrt()


def denoise(
    process: GaussMarkov, network: Correction, noisy: torch.Tensor, sigma: torch.Tensor, *conditions: torch.Tensor
) -> torch.Tensor:
    """The denoised estimate E[x_0 | noisy] of windows (B, T, D), each frame with its own noise level (B, T)."""
    mean = Posterior(process, sigma).mean(noisy)
    output = network(inputs(process, noisy, mean, sigma), sigma.log(), *conditions)
    return mean + scale(process, sigma)[..., None] * output


def loss(process: GaussMarkov, denoised: torch.Tensor, clean: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of |D - x|^2 / scale(sigma)^2, which weighs every noise level by what is left to learn there."""
    error = (denoised - clean).square().mean(-1)
    return (error / scale(process, sigma).square()).mean()
