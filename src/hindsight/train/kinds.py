"""Each kind of noise level that training draws, by itself: what looking at equal levels alone would not see.

A prior that is best where all frames have one level, as in batch, need not be where levels rise with time, as in a
filter, or where values are known by themselves. `keep: best` and `patience` judge all of them, as often as they are
drawn.
"""

import math
from collections.abc import Callable

import torch

from hindsight import signals
from hindsight.diffusion import denoiser
from hindsight.prior import Prior
from hindsight.settings import Train
from hindsight.train import batches
from hindsight.train.diary import KIND, PREFIX
from hindsight.train.windows import Windows


def shares(settings: Train) -> dict[str, float]:
    """How often each kind is drawn, those that are; they add up to 1.

    `equal`, one level for all frames; `staircase`, rising with time; `independent`; `points`, any of these with values
    that are known by themselves.
    """
    fields = 1 - settings.points.share
    equal = settings.equal_share if settings.levels.schedule == "log_uniform" else 0.0
    stairs = settings.staircase_share
    found = {"equal": equal, "staircase": stairs, "independent": 1 - equal - stairs}
    found = {name: share * fields for name, share in found.items()} | {"points": settings.points.share}
    return {name: share for name, share in found.items() if share > 1e-9}


def alone(settings: Train) -> dict[str, Train]:
    """Settings that draw one kind each; equal levels are looked at level by level, not here."""
    points = lambda share: settings.points.model_copy(update={"share": share})
    own = {
        "staircase": {"equal_share": 0.0, "staircase_share": 1.0, "points": points(0.0)},
        "independent": {"equal_share": 0.0, "staircase_share": 0.0, "points": points(0.0)},
        "points": {"points": points(1.0)},
    }
    return {name: settings.model_copy(update=own[name]) for name in shares(settings) if name in own}


@torch.no_grad()
def errors(
    prior: Prior, validation: Windows, settings: Train, at_once: int, count: int, watch: Callable[[int], None]
) -> dict[str, float] | None:
    """Error of denoised validation windows of each kind, over the closed form's own estimate of what it leaves.

    Args:
        prior: whose.
        validation: windows to draw from; the same are drawn every time.
        settings: of training.
        at_once: windows that are in memory together.
        count: windows of every kind.
        watch: told of windows done, those of all kinds counted.

    Returns:
        By column of the curve; none if the process was asked to stop meanwhile.
    """
    found = {}
    for number, (name, own) in enumerate(alone(settings).items()):
        generator, total = torch.Generator().manual_seed(number + 1), 0.0
        for first in range(0, count, at_once):
            if signals.asked():
                return None
            size = min(at_once, count - first)
            batch = _batch(prior, validation, own, size, generator).to(prior.maps.device)
            denoised = prior.denoise(batch.noisy, batch.sigma, batch.told, batch.points)
            total += size * denoiser.loss(prior.process, denoised, batch.clean, batch.sigma, batch.points).item()
            watch(number * count + first + size)
        found[f"{KIND}{name}"] = math.sqrt(total / count)
    return found


def score(row: dict[str, float], settings: Train) -> float:
    """The mean logarithm of the errors of a look, each kind as often as it is drawn and equal levels all alike."""
    levels = [math.log(value) for name, value in row.items() if name.startswith(PREFIX)]
    each = {name: math.log(row[f"{KIND}{name}"]) for name in alone(settings)} | {"equal": sum(levels) / len(levels)}
    return sum(share * each[name] for name, share in shares(settings).items())


def _batch(prior: Prior, validation: Windows, settings: Train, count: int, generator: torch.Generator) -> batches.Batch:
    """Windows with noise as training draws it, one after the other."""
    shape, rows = (len(prior.about.channels), *prior.maps.shape[-2:]), []
    for _ in range(count):
        (clean,), (told,) = validation.draw(1, generator)
        noisy, sigma, *points = batches.row(clean, settings, shape, generator)
        rows.append((clean, noisy, sigma, told, *points))
    return batches.Batch(*(torch.stack(column) for column in zip(*rows)))
