"""Batches: windows, their noise, and what is known of them; all of it a function of the seed, the step and the row.

So a run that was killed sees the batches that it would have seen, and processes that share a batch make their rows of
it without asking each other.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from hindsight.diffusion import noise, sigmoid
from hindsight.diffusion.denoiser import Points
from hindsight.settings import Train
from hindsight.train.windows import Windows


@dataclass(frozen=True)
class Batch:
    """Windows to learn from: clean and noisy (B, T, D), levels (B, T), conditions (B, T, K), values known besides."""

    clean: torch.Tensor
    noisy: torch.Tensor
    sigma: torch.Tensor
    told: torch.Tensor
    value: torch.Tensor | None = None
    precision: torch.Tensor | None = None

    @property
    def points(self) -> Points | None:
        """Values that are known by themselves, where the prior learns to use them."""
        return None if self.value is None else Points(self.value, self.precision)

    def to(self, device: torch.device) -> "Batch":
        """On a device."""
        if device.type == "cpu":
            return self
        return self._each(lambda x: x.pin_memory().to(device, non_blocking=True))

    def parts(self, count: int) -> list["Batch"]:
        """The batch in equal parts, in order."""
        size = len(self.clean) // count
        return [self._each(lambda x, k=k: x[k * size : (k + 1) * size]) for k in range(count)]

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(value) for name, value in given.items() if value is not None})


def make(windows: Windows, settings: Train, shape: tuple[int, int, int], step: int, rows: range) -> Batch:
    """Some rows of the batch of a step; while they are made and learnt from, those of the next are read.

    Args:
        windows: to draw from.
        settings: how many, how noisy, and what is known.
        shape: of a field, (C, H, W).
        step: of the optimiser.
        rows: of the batch.
    """
    numbers = lambda step: windows.order(settings.seed, step * settings.batch + rows.start, len(rows))
    clean, told = windows.at(numbers(step))
    windows.prepare(numbers(step + 1))
    draws = [row(values, settings, shape, _generator(settings.seed, step, n)) for values, n in zip(clean, rows)]
    columns = [torch.stack(column) for column in zip(*draws)]
    return Batch(clean, columns[0], columns[1], told, *columns[2:])


def levels(settings: Train, frames: int, generator: torch.Generator) -> torch.Tensor:
    """Noise levels of one window, (1, T)."""
    chosen = settings.levels
    if chosen.schedule == "log_uniform":
        limits = (settings.sigma_min, settings.sigma_max)
        return noise.training_levels(1, frames, *limits, settings.equal_share, settings.staircase_share, generator)
    share = settings.staircase_share
    if chosen.stairs == "sorted":
        found = sigmoid.training_levels(1, frames, 0.0, "pyramid", chosen.steps, chosen.context, generator)
        return found.sort(1).values if float(torch.rand((), generator=generator)) < share else found
    return sigmoid.training_levels(1, frames, share, chosen.stairs, chosen.steps, chosen.context, generator)


def row(
    clean: torch.Tensor, settings: Train, shape: tuple[int, int, int], generator: torch.Generator
) -> tuple[torch.Tensor, ...]:
    """What is made of one window (T, D): noisy, levels, and, where points are learnt, values and their precisions."""
    sigma = levels(settings, len(clean), generator)[0]
    white = torch.randn(clean.shape, generator=generator)
    if settings.noise_limit is not None:
        white = white.clamp(-settings.noise_limit, settings.noise_limit)
    noisy = clean + sigma[:, None] * white
    if not settings.points.share:
        return noisy, sigma
    chosen = settings.points
    precision = noise.training_points(
        1, len(clean), shape, chosen.share, chosen.error_min, chosen.error_max, generator
    )[0]
    error = torch.where(precision > 0, precision.clamp(min=1e-12).rsqrt(), 0.0)
    return noisy, sigma, clean + error * torch.randn(clean.shape, generator=generator), precision


def _generator(seed: int, step: int, row: int) -> torch.Generator:
    """Torch takes 32 bits of a seed, so the key is hashed to them (Philox, Salmon et al. 2011)."""
    hashed = np.random.Philox(key=seed, counter=[0, 0, row, step]).random_raw()
    return torch.Generator().manual_seed(int(hashed) % 2**32)


class Loader:
    """Batches step by step; on a GPU the next is made while one is trained on.

    Attributes:
        waited: seconds that training waited for batches.
    """

    def __init__(self, make_one: Callable[[int], Batch], first: int, last: int, device: torch.device) -> None:
        self.make_one, self.steps, self.device, self.waited = make_one, range(first, last), device, 0.0

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        found = self._ahead() if self.device.type == "cuda" else map(self.make_one, self.steps)
        for step in self.steps:
            began = time.perf_counter()
            batch = next(found).to(self.device)
            self.waited += time.perf_counter() - began
            yield step, batch

    def _ahead(self) -> Iterator[Batch]:
        """Two CPU threads of PyTorch at once slow each other down many times, so this is for a GPU."""
        with ThreadPoolExecutor(1) as maker:
            coming = maker.submit(self.make_one, self.steps.start) if self.steps else None
            for step in self.steps:
                batch = coming.result()
                if step + 1 in self.steps:
                    coming = maker.submit(self.make_one, step + 1)
                yield batch
