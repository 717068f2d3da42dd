"""Inversion: from clean frames back to the noisy ones from which deterministic sampling would produce them.

Deterministic sampling without observations follows dx / dsigma = (x - E[x_0 | x]) / sigma downwards (Karras et al.
2022, arXiv:2206.00364, equation 1); here it is followed upwards. DAWIS (arXiv:2610.03314) brings the frames of the last
window back to a noise level in this way, so that they keep their content, and samples them again with the observations
of the next.
"""

import torch

from hindsight.diffusion.guidance import Denoiser


def inverted(
    x: torch.Tensor, clean: torch.Tensor, low: float, target: torch.Tensor, steps: int, denoiser: Denoiser
) -> torch.Tensor:
    """Bring clean frames to noise levels, in steps of equal ratio that hold E[x_0 | x] constant (first order).

    Args:
        x: fields (E, T, D).
        clean: which frames are clean, (T,); the others have the level `target`, and stay as they are.
        low: level at which the equation begins, at the clean frames.
        target: levels (T,), at least `low`.
        steps: number of steps, an evaluation of the denoiser each.
        denoiser: without observations.
    """
    for step in range(steps):
        here, above = (torch.where(clean, low * (target / low) ** (k / steps), target) for k in (step, step + 1))
        mean = denoiser.mean(x, here, torch.where(clean, 0.0, here))
        x = torch.where(clean[:, None], mean + (above / here)[:, None] * (x - mean), x)
    return x
