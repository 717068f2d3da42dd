"""The training loop, in the order things happen."""

import copy
import math
from collections.abc import Callable
from pathlib import Path

import torch

from hindsight.diffusion import denoiser, noise
from hindsight.prior import Prior
from hindsight.progress import Progress
from hindsight.settings import Train
from hindsight.train import average, checkpoint
from hindsight.train.windows import Windows

VALIDATION_LEVELS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0)
VALIDATION_WINDOWS = 64


def train(
    prior: Prior, training: Windows, validation: Windows, settings: Train, keep: Path, recipe: str
) -> tuple[Prior, list[dict]]:
    """Train a prior by diffusion forcing.

    Args:
        prior: with weights as initialised; its network is trained in place.
        training: windows to learn from.
        validation: windows to look at now and then.
        settings: how.
        keep: the checkpoint, taken up if it is of the same recipe.
        recipe: digest of everything that decides the outcome.

    Returns:
        The prior with averaged weights, and the learning curve: rows of step, loss and validation error per level.
    """
    ema = copy.deepcopy(prior).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(prior.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    models = {"model": prior.network, "average": ema.network}
    done, told = checkpoint.resume(keep, recipe, models, optimiser)
    tell = Progress("train.prior", settings.steps)
    tell(done)
    curve = told.get("curve") or [{"step": 0, "loss": float("nan"), **validate(ema, validation)}]
    losses: list[float] = told.get("losses", [])
    for step in range(done, settings.steps):
        losses.append(_advance(prior, training, settings, optimiser, step))
        average.update(ema.network, prior.network, step, settings.average)
        last = step + 1 == settings.steps
        if (step + 1) % settings.validate_every == 0 or last:
            curve.append({"step": step + 1, "loss": sum(losses) / len(losses), **validate(ema, validation)})
            losses = []
        if (step + 1) % settings.checkpoint_every == 0 or last:
            checkpoint.save(keep, step + 1, recipe, models, optimiser, {"curve": curve, "losses": losses})
        tell(step + 1, f"loss {losses[-1]:.4f}" if losses else "")
    return ema, curve


def _advance(prior: Prior, training: Windows, settings: Train, optimiser: torch.optim.Optimizer, step: int) -> float:
    """One optimiser step; everything random in it is a function of the seed and the step."""
    generator = torch.Generator().manual_seed(settings.seed * 2**32 + step)
    torch.manual_seed(settings.seed * 2**32 + step)  # dropout
    device = prior.maps.device
    clean, told = training.draw(settings.batch, generator)
    sigma = noise.training_levels(
        *clean.shape[:2],
        settings.sigma_min,
        settings.sigma_max,
        settings.equal_share,
        settings.staircase_share,
        generator,
    )
    noisy = clean + sigma[..., None] * torch.randn(clean.shape, generator=generator)
    points = _points(prior, clean, settings, generator)
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * pace(step, settings.warmup, settings.steps)
    prior.train()
    sigma = sigma.to(device)
    denoised = prior.denoise(noisy.to(device), sigma, told.to(device), points)
    loss = denoiser.loss(prior.process, denoised, clean.to(device), sigma, points)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(prior.parameters(), settings.clip, error_if_nonfinite=True)
    optimiser.step()
    return loss.item()


def _points(prior: Prior, clean: torch.Tensor, settings: Train, generator: torch.Generator) -> denoiser.Points | None:
    """Values of training windows (B, T, D) that are known by themselves, with their errors."""
    if not prior.about.points:
        return None
    chosen, shape = settings.points, (len(prior.about.channels), *prior.maps.shape[-2:])
    precision = noise.training_points(
        *clean.shape[:2], shape, chosen.share, chosen.error_min, chosen.error_max, generator
    )
    error = torch.where(precision > 0, precision.clamp(min=1e-12).rsqrt(), 0.0)
    value = clean + error * torch.randn(clean.shape, generator=generator)
    device = prior.maps.device
    return denoiser.Points(value.to(device), precision.to(device))


def pace(step: int, warmup: int, steps: int) -> float:
    """Learning rate relative to its peak: a straight warm-up, then a half cosine to zero."""
    return min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))


@torch.no_grad()
def validate(prior: Prior, validation: Windows, closed_form: bool = False) -> dict[str, float]:
    """Root-mean-square error of denoised validation windows, all frames at one level, per level."""
    generator = torch.Generator().manual_seed(0)
    device = prior.maps.device
    errors = {}
    correct: Callable = prior.correction if not closed_form else lambda x, *_: torch.zeros_like(x[:, :, 0])
    for level in VALIDATION_LEVELS:
        clean, told = validation.draw(VALIDATION_WINDOWS, generator)
        sigma = torch.full(clean.shape[:2], level)
        noisy = clean + level * torch.randn(clean.shape, generator=generator)
        points = denoiser.unseen(noisy.to(device)) if prior.about.points else None
        given = (noisy.to(device), sigma.to(device), told.to(device))
        denoised = denoiser.denoise(prior.process, correct, *given, points=points)
        errors[f"sigma_{level:g}"] = (denoised - clean.to(device)).square().mean().sqrt().item()
    return errors
