"""Validation errors at fixed noise levels, and for each kind of noise levels that training draws.

A prior that is best where all frames have one level, as in batch, need not be best where levels rise with time, as in
a filter, or where some values are observed. `keep: best` and `patience` therefore weight each kind by its share.
"""

import math
from collections.abc import Callable

import torch

from hindsight import signals
from hindsight.diffusion import denoiser
from hindsight.prior import Prior
from hindsight.settings import Train
from hindsight.train import batches
from hindsight.train.metrics import KIND, LEVEL
from hindsight.train.windows import Windows

LEVELS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0)
MAX_WINDOWS = 64  # at each level and for each kind
TIME_SHARE = 0.1  # most time of a validation, relative to the steps between two validations
PASSES = 3  # forward passes that take as long as a training step, which has a backward pass too


def kind_shares(settings: Train) -> dict[str, float]:
    """Share of each kind of noise levels in training, without kinds that are not drawn; they sum to 1.

    `equal`, one level for all frames (schedule log_uniform only); `staircase`, rising with time; `independent`;
    `points`, any of these with observed values.
    """
    fields = 1 - settings.points.share
    equal = settings.equal_share if settings.noise_levels.schedule == "log_uniform" else 0.0
    staircase = settings.staircase_share
    shares = {"equal": equal, "staircase": staircase, "independent": 1 - equal - staircase}
    shares = {name: share * fields for name, share in shares.items()} | {"points": settings.points.share}
    return {name: share for name, share in shares.items() if share > 1e-9}


def settings_by_kind(settings: Train) -> dict[str, Train]:
    """Settings that draw one kind only; `equal` is left out, since its errors are computed level by level."""
    points = lambda share: settings.points.model_copy(update={"share": share})
    changes = {
        "staircase": {"equal_share": 0.0, "staircase_share": 1.0, "points": points(0.0)},
        "independent": {"equal_share": 0.0, "staircase_share": 0.0, "points": points(0.0)},
        "points": {"points": points(1.0)},
    }
    return {name: settings.model_copy(update=changes[name]) for name in kind_shares(settings) if name in changes}


def errors_count(settings: Train) -> int:
    """Number of noise levels and kinds at which a validation computes an error."""
    return len(LEVELS) + len(settings_by_kind(settings))


def window_count(settings: Train) -> int:
    """Validation windows at each level and for each kind, as many as a tenth of the time between validations allows."""
    steps = min(settings.validate_every, settings.steps)
    passes = PASSES * steps * settings.batch // settings.processes  # of each process; only one of them validates
    return min(MAX_WINDOWS, max(1, int(TIME_SHARE * passes / errors_count(settings))))


@torch.no_grad()
def errors_by_level(
    prior: Prior,
    validation: Windows,
    linear: bool = False,
    at_once: int = MAX_WINDOWS,
    count: int = MAX_WINDOWS,
    watch: Callable[[int], None] = lambda done: None,
) -> dict[str, float] | None:
    """Root-mean-square error of denoised validation windows with all frames at one noise level, by level.

    Args:
        prior: the prior to validate.
        validation: windows to draw from; every call draws the same.
        linear: whether to leave out the network, which gives the error of the linear prior.
        at_once: number of windows in memory at once.
        count: number of windows at each level.
        watch: called with the number of windows done at all levels together.

    Returns:
        The error by column of the learning curve; none if the process was asked to stop meanwhile.
    """
    generator = torch.Generator().manual_seed(0)
    device = prior.maps.device
    errors = {}
    correct: Callable = prior.correction if not linear else lambda x, *_: torch.zeros_like(x[:, :, 0])
    for number, level in enumerate(LEVELS):
        square, values = 0.0, 0
        for first in range(0, count, at_once):
            if signals.stop_requested():
                return None
            windows = [_noisy(validation, level, generator) for _ in range(min(at_once, count - first))]
            clean, noisy, conditions = (torch.cat(part).to(device) for part in zip(*windows))
            sigma = torch.full(clean.shape[:2], level, device=device)
            points = denoiser.no_points(noisy) if prior.metadata.points else None
            denoised = denoiser.denoise(prior.process, correct, noisy, sigma, conditions, points=points)
            square, values = square + (denoised - clean).double().square().sum().item(), values + clean.numel()
            watch(number * count + min(first + at_once, count))
        errors[f"{LEVEL}{level:g}"] = math.sqrt(square / values)
    return errors


@torch.no_grad()
def errors_by_kind(
    prior: Prior, validation: Windows, settings: Train, at_once: int, count: int, watch: Callable[[int], None]
) -> dict[str, float] | None:
    """Error of denoised validation windows for each kind, relative to the expected error of the linear prior.

    Args:
        prior: the prior to validate.
        validation: windows to draw from; every call draws the same.
        settings: settings of training.
        at_once: number of windows in memory at once.
        count: number of windows for each kind.
        watch: called with the number of windows done for all kinds together.

    Returns:
        The error by column of the learning curve; none if the process was asked to stop meanwhile.
    """
    errors = {}
    for number, (name, one_kind) in enumerate(settings_by_kind(settings).items()):
        generator, total = torch.Generator().manual_seed(number + 1), 0.0
        for first in range(0, count, at_once):
            if signals.stop_requested():
                return None
            size = min(at_once, count - first)
            batch = _batch(prior, validation, one_kind, size, generator).to(prior.maps.device)
            denoised = prior.denoise(batch.noisy, batch.sigma, batch.conditions, batch.points)
            total += size * denoiser.loss(prior.process, denoised, batch.clean, batch.sigma, batch.points).item()
            watch(number * count + first + size)
        errors[f"{KIND}{name}"] = math.sqrt(total / count)
    return errors


def score(row: dict[str, float], settings: Train) -> float:
    """Mean logarithm of the errors of a validation, each kind weighted by its share and the fixed levels equally."""
    levels = [math.log(value) for name, value in row.items() if name.startswith(LEVEL)]
    by_kind = {name: math.log(row[f"{KIND}{name}"]) for name in settings_by_kind(settings)}
    by_kind["equal"] = sum(levels) / len(levels)
    return sum(share * by_kind[name] for name, share in kind_shares(settings).items())


def _noisy(windows: Windows, level: float, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """A window, clean and noisy, and its conditions."""
    clean, conditions = windows.draw(1, generator)
    return clean, clean + level * torch.randn(clean.shape, generator=generator), conditions


def _batch(prior: Prior, validation: Windows, settings: Train, count: int, generator: torch.Generator) -> batches.Batch:
    """Windows with noise drawn as in training, one after the other."""
    shape, rows = (len(prior.metadata.channels), *prior.maps.shape[-2:]), []
    for _ in range(count):
        (clean,), (conditions,) = validation.draw(1, generator)
        noisy, sigma, *points = batches.add_noise(clean, settings, shape, generator)
        rows.append((clean, noisy, sigma, conditions, *points))
    return batches.Batch(*(torch.stack(column) for column in zip(*rows)))
