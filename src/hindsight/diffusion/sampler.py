"""Walk a plan from noise to analyses, with steps that are exact for a linear-Gaussian prior at any step count.

The usual ancestral step puts the *mean* E[x_0 | x_a, y] where a *sample* of x_0 belongs; with few steps the ensemble is
then too sure of itself. Here every step draws x_0* from the posterior given the noisy frames and the observations,

    x_b = x_0* + (b/a)^2 (x_a - x_0*) + b sqrt(1 - (b/a)^2) e,

and the walk begins with a draw from the posterior of the closed-form prior, which is the denoiser at infinite noise.
"""

from collections.abc import Callable

import numpy as np
import torch

from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior

Denoise = Callable[[torch.Tensor, Posterior], torch.Tensor]  # (noisy (E, T, D), what it is known from) -> clean
Draw = Callable[[torch.Tensor | None, Posterior, int], torch.Tensor]  # (denoised, posterior, row) -> a sample
Noise = Callable[[int, str], torch.Tensor]  # (row, purpose) -> white noise (E, T, D)


def sample(
    process: GaussMarkov,
    denoise: Denoise,
    draw: Draw,
    plan: np.ndarray,
    sigma: np.ndarray,
    noise: Noise,
    watch: Callable[[int], None] = lambda done: None,
) -> torch.Tensor:
    """Draw members of the analysis.

    Args:
        process: the closed-form prior.
        denoise: the prior's denoiser of a whole stretch.
        draw: a sample of the clean frames given their denoised estimate and the observations.
        plan: level of every frame at every row, (rows, T), from `plan.noise_plan`.
        sigma: noise of each level, (S + 1,), 0 first.
        noise: white noise by row and purpose.
        watch: told of rows done.

    Returns:
        (E, T, D).

    Raises:
        FloatingPointError: if the sample diverges; nothing of it may be written.
    """
    device = process.modes.device
    levels = torch.as_tensor(sigma, dtype=torch.float32, device=device)[torch.as_tensor(plan, device=device)]
    start = noise(0, "start")
    first = process.posterior(torch.full_like(levels[:1], torch.inf))
    x = draw(torch.zeros_like(start), first, 0) + levels[0][:, None] * start
    watch(0)
    for row in range(1, len(plan)):
        x = _step(process, denoise, draw, x, levels[row - 1], levels[row], row, noise)
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                f"the sample diverged at step {row} of {len(plan) - 1}; lower reanalyse.sigma_max "
                "or raise reanalyse.steps"
            )
        watch(row)
    return x


def _step(
    process: GaussMarkov,
    denoise: Denoise,
    draw: Draw,
    x: torch.Tensor,
    above: torch.Tensor,
    below: torch.Tensor,
    row: int,
    noise: Noise,
) -> torch.Tensor:
    """From the levels `above` to the levels `below`; frames whose level does not fall stay as they are."""
    posterior = process.posterior(above[None])
    clean = draw(denoise(x, posterior), posterior, row)
    ratio = (below / above)[:, None].square()
    moved = clean + ratio * (x - clean)
    if bool((below > 0).any()):
        moved = moved + below[:, None] * (1 - ratio).sqrt() * noise(row, "step")
    return torch.where((below < above)[:, None], moved, x)
