"""Batches of noisy training windows, drawn as a function of the seed, the step and the row alone.

A resumed run therefore gets the batches that it would have had, and processes that share a batch draw their rows
independently of each other.
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
    """Training windows: clean, noisy and observed values (B, T, D), noise levels (B, T), conditions (B, T, K)."""

    clean: torch.Tensor
    noisy: torch.Tensor
    sigma: torch.Tensor
    conditions: torch.Tensor
    value: torch.Tensor | None = None
    inverse_variance: torch.Tensor | None = None

    @property
    def points(self) -> Points | None:
        """The observed values and their inverse variances; none if the prior does not learn to use them."""
        return None if self.value is None else Points(self.value, self.inverse_variance)

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        if device.type == "cpu":
            return self
        return self._each(lambda x: x.pin_memory().to(device, non_blocking=True))

    def split(self, count: int) -> list["Batch"]:
        """Split the batch into `count` equal parts, in order."""
        size = len(self.clean) // count
        return [self._each(lambda x, k=k: x[k * size : (k + 1) * size]) for k in range(count)]

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(value) for name, value in tensors.items() if value is not None})


def make(windows: Windows, settings: Train, shape: tuple[int, int, int], step: int, rows: range) -> Batch:
    """Make some rows of the batch of a step, and start to read those of the next step in the background.

    Args:
        windows: the windows to draw from.
        settings: batch size, noise levels, and the shares of windows with equal and with rising levels.
        shape: shape of a frame, (C, H, W).
        step: number of the optimiser step.
        rows: rows of the batch to make.
    """
    numbers = lambda step: windows.shuffled(settings.seed, step * settings.batch + rows.start, len(rows))
    clean, conditions = windows.take(numbers(step))
    windows.prefetch(numbers(step + 1))
    draws = [add_noise(values, settings, shape, _generator(settings.seed, step, n)) for values, n in zip(clean, rows)]
    columns = [torch.stack(column) for column in zip(*draws)]
    return Batch(clean, columns[0], columns[1], conditions, *columns[2:])


def noise_levels(settings: Train, frames: int, generator: torch.Generator) -> torch.Tensor:
    """Draw the noise levels of one window, (1, T)."""
    chosen = settings.noise_levels
    if chosen.schedule == "log_uniform":
        limits = (settings.sigma_min, settings.sigma_max)
        return noise.training_levels(1, frames, *limits, settings.equal_share, settings.staircase_share, generator)
    share = settings.staircase_share
    if chosen.staircase == "sorted":
        levels = sigmoid.training_levels(1, frames, 0.0, "pyramid", chosen.steps, chosen.context, generator)
        return levels.sort(1).values if float(torch.rand((), generator=generator)) < share else levels
    return sigmoid.training_levels(1, frames, share, chosen.staircase, chosen.steps, chosen.context, generator)


def add_noise(
    clean: torch.Tensor, settings: Train, shape: tuple[int, int, int], generator: torch.Generator
) -> tuple[torch.Tensor, ...]:
    """Noisy copy and noise levels of a window (T, D); if points are learnt, also their values and inverse variances."""
    sigma = noise_levels(settings, len(clean), generator)[0]
    white = torch.randn(clean.shape, generator=generator)
    if settings.noise_limit is not None:
        white = white.clamp(-settings.noise_limit, settings.noise_limit)
    noisy = clean + sigma[:, None] * white
    if not settings.points.share:
        return noisy, sigma
    chosen = settings.points
    inverse_variance = noise.training_points(
        1, len(clean), shape, chosen.share, chosen.error_min, chosen.error_max, generator
    )[0]
    error = torch.where(inverse_variance > 0, inverse_variance.clamp(min=1e-12).rsqrt(), 0.0)
    return noisy, sigma, clean + error * torch.randn(clean.shape, generator=generator), inverse_variance


def _generator(seed: int, step: int, row: int) -> torch.Generator:
    """The generator of one row; Torch takes 32 bits of a seed, so the key is hashed (Philox, Salmon et al. 2011)."""
    hashed = np.random.Philox(key=seed, counter=[0, 0, row, step]).random_raw()
    return torch.Generator().manual_seed(int(hashed) % 2**32)


class Loader:
    """An iterator over steps and their batches; on a GPU the next batch is made during each training step.

    Attributes:
        wait_seconds: seconds that training waited for batches.
    """

    def __init__(self, make_batch: Callable[[int], Batch], first: int, last: int, device: torch.device) -> None:
        self.make_batch, self.steps, self.device = make_batch, range(first, last), device
        self.wait_seconds = 0.0

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        batches = self._made_ahead() if self.device.type == "cuda" else map(self.make_batch, self.steps)
        for step in self.steps:
            began = time.perf_counter()
            batch = next(batches).to(self.device)
            self.wait_seconds += time.perf_counter() - began
            yield step, batch

    def _made_ahead(self) -> Iterator[Batch]:
        """Make each batch in a thread; for GPUs only, since two CPU threads of PyTorch slow each other down."""
        with ThreadPoolExecutor(1) as executor:
            upcoming = executor.submit(self.make_batch, self.steps.start) if self.steps else None
            for step in self.steps:
                batch = upcoming.result()
                if step + 1 in self.steps:
                    upcoming = executor.submit(self.make_batch, step + 1)
                yield batch
