"""How a prior responds to windows of a period with noise: its representation of each frame, and its errors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from hindsight.backbones import taps
from hindsight.diffusion import denoiser, frame_random
from hindsight.diffusion.gauss_markov import ideal
from hindsight.fields import calendar
from hindsight.prior import Prior
from hindsight.train.windows import Windows

# years from the time of year of a held-out window, within which its partner is drawn; if there is none, the nearest
SEASON = 10 / 365.2425


@dataclass(frozen=True)
class Responses:
    """Responses of a prior to N windows of T frames at L noise levels.

    Attributes:
        times: of the frames, (N, T).
        features: of each tap, the largest value of every feature over all places, (L, N, T, features).
        means: the same, the mean over all places.
        error: mean square error of the denoised windows, (L, N).
        linear_error: the same of the linear prior alone, (L, N).
    """

    times: np.ndarray
    features: dict[str, np.ndarray]
    means: dict[str, np.ndarray]
    error: np.ndarray
    linear_error: np.ndarray

    @property
    def skill(self) -> np.ndarray:
        """Logarithm of the linear prior's error (root mean square) over that of the prior; (L, N)."""
        return np.log(self.linear_error / self.error) / 2


def choose(training: Windows, held_out: Windows, count: int, seed: int) -> tuple[list[int], list[int]]:
    """Pairs of windows: the indices of one in the training and of one in the held-out period, in held-out order.

    The held-out period is cut into `count` equal parts, and a window drawn from each. Its partner is a training window
    of the same season drawn from all years, so that the periods do not differ by their seasons.

    Args:
        training: windows of the training period.
        held_out: windows of the held-out period.
        count: number of pairs; fewer if a period has fewer windows.
        seed: of the draws.
    """
    count = min(count, len(training), len(held_out))
    generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, 2**62]))
    edges = np.arange(count + 1) * len(held_out) // count
    held = edges[:-1] + (generator.random(count) * np.diff(edges)).astype(int)
    begins, free = calendar.year_phase(training.times[training.starts]), np.ones(len(training), bool)
    chosen = []
    for phase in calendar.year_phase(held_out.times[held_out.starts[held]]):
        apart = np.abs((begins - phase + 0.5) % 1 - 0.5)
        apart[~free] = np.inf
        near = np.flatnonzero(apart <= max(SEASON, apart.min()))
        chosen.append(int(near[int(generator.random() * len(near))]))
        free[chosen[-1]] = False
    return chosen, held.tolist()


@torch.no_grad()
def measure(
    prior: Prior,
    windows: Windows,
    numbers: list[int],
    levels: tuple[float, ...],
    seed: int,
    at_once: int,
    watch: Callable[[int], None] = lambda done: None,
) -> Responses:
    """Denoise windows at noise levels that all their frames have.

    Args:
        prior: the prior.
        windows: those of a period.
        numbers: of the windows, N of them.
        levels: noise levels, L of them.
        seed: of the noise, which is a function of seed, frame and level.
        at_once: number of windows in memory at once.
        watch: called with the number of windows done at all levels together.
    """
    rows: list[list[dict[str, np.ndarray]]] = [[] for _ in levels]
    for first in range(0, len(numbers), at_once):
        part = numbers[first : first + at_once]
        clean, conditions = (tensor.to(prior.maps.device) for tensor in windows.take(part))
        for k, level in enumerate(levels):
            white = _white(prior, times_of(windows, part), seed, k).to(clean.device)
            rows[k].append(_respond(prior, clean, clean + level * white, level, conditions))
            watch(first * len(levels) + (k + 1) * len(part))
    joined = [{name: np.concatenate([row[name] for row in level]) for name in level[0]} for level in rows]
    stacked = {name: np.stack([level[name] for level in joined]) for name in joined[0]}
    errors = stacked.pop("error"), stacked.pop("linear_error")
    features, means = ({tap: values[..., k, :] for tap, values in stacked.items()} for k in range(2))
    return Responses(times_of(windows, numbers), features, means, *errors)


def times_of(windows: Windows, numbers: list[int]) -> np.ndarray:
    """Times of the frames of windows, (N, T)."""
    return windows.times[windows.starts[numbers][:, None] + np.arange(windows.window)]


def _white(prior: Prior, times: np.ndarray, seed: int, level: int) -> torch.Tensor:
    """White noise of windows with times (B, T); (B, T, D)."""
    frames = calendar.frame_number(times.ravel(), prior.metadata.step_hours)
    return frame_random.normal(seed, [0], frames, level, "start", prior.process.size)[0].unflatten(0, times.shape)


def _respond(
    prior: Prior, clean: torch.Tensor, noisy: torch.Tensor, level: float, conditions: torch.Tensor
) -> dict[str, np.ndarray]:
    """Features of each tap, largest values and means (B, T, 2, …), and errors (B,), of windows at one noise level."""
    sigma = torch.full(noisy.shape[:2], level, device=noisy.device)
    points = denoiser.no_points(noisy) if prior.metadata.points else None
    linear = denoiser.linear_estimate(prior.process, noisy, sigma, ideal(prior.process, noisy, sigma), points)
    both = lambda features: torch.stack([taps.largest(features), taps.mean(features)], 2)
    with taps.pooled(prior.network.taps, noisy.shape[1], both) as features:
        correction = prior.correction(linear.inputs, sigma.log(), conditions)
    error = lambda estimate: (estimate - clean).square().mean((1, 2))
    found = features | {"error": error(linear.mean + linear.error * correction), "linear_error": error(linear.mean)}
    return {name: value.double().cpu().numpy() for name, value in found.items()}
