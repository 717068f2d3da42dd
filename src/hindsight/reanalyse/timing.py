"""Short stretches really analysed, with a watch beside them."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hindsight.fields import calendar
from hindsight.prior import Prior
from hindsight.reanalyse import shard
from hindsight.reanalyse.counting import Counter, Work
from hindsight.settings import Reanalyse

LEAST = 24  # frames of a stretch that is timed: the solver works across frames
MOST = 3  # short stretches that are timed, besides one of twice their length


@dataclass
class Stopwatch:
    """Seconds that something took, and how often it was asked for."""

    seconds: float = 0.0
    calls: int = 0


@dataclass(frozen=True)
class Timed:
    """A stretch that was analysed.

    `network` and `rest` are seconds; `host` and `device` are the most bytes that the process had by then, and the most
    that the stretch had on a GPU (0 where there is none); `fields` are physical, (E, T, C, H, W).
    """

    frames: int
    work: Work
    network: float
    rest: float
    host: int
    device: int
    fields: np.ndarray = field(repr=False)

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.network + self.rest

    @property
    def cells(self) -> int:
        """Frames times members."""
        return self.frames * len(self.fields)


def length(settings: Reanalyse, window: int, members: int, whole: int) -> int:
    """Frames to time: a window at least, and as many as fill a batch of the network; a stream fills its context twice.

    Args:
        settings: regime, batch, stride.
        window: frames of the prior's window.
        members: of a job.
        whole: frames of a job's stretch, which is the most.
    """
    window = settings.frames or window
    filled = window + settings.stride * (-(-settings.batch // members) - 1)
    context = 2 * settings.context if settings.regime != "batch" else 0
    return min(whole, max(LEAST, window, filled, context))


def places(short: int, whole: int) -> list[tuple[int, int]]:
    """First frame and length of stretches: short ones, the second of up to twice their length."""
    starts = np.linspace(0, whole - short, min(MOST, max(2, whole // short))).astype(int)
    first, *others = [(int(start), short) for start in starts]
    long = [(0, min(2 * short, whole))] if whole > short else []
    return [first, *long, *others]


def affordable(parts: list[tuple[int, int]], seconds: float, a_frame: float) -> list[tuple[int, int]]:
    """The first stretches that together take no longer than some seconds."""
    ends = np.cumsum([frames for _, frames in parts]) * a_frame
    return parts[: int((ends <= seconds).sum())]


def analysed(
    prior: Prior, times: np.ndarray, table: pd.DataFrame, members: list[int], seed: int, settings: Reanalyse
) -> Timed:
    """Analyse a stretch as a job would, and time it; see `shard.reanalyse`."""
    device = prior.maps.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with _watched(prior) as network:
        began = time.perf_counter()
        made = shard.reanalyse(prior, times, table, members, seed, settings)
        seconds = time.perf_counter() - began
    count = Counter(settings, prior.about.step_hours, prior.about.window)
    work = count(calendar.frame_number(times[:1], prior.about.step_hours)[0], len(times)) * len(members)
    work = work * (made.cost.evaluations / work.evaluations)  # with attempts that diverged
    taken = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return Timed(len(times), work, network.seconds, seconds - network.seconds, peak(), taken, made.fields)


@contextmanager
def _watched(prior: Prior) -> Iterator[Stopwatch]:
    """Time the prior's denoiser; a GPU is waited for, before and after."""
    watch, denoise = Stopwatch(), prior.denoise_stretch

    def timed(*about: object) -> torch.Tensor:
        _settled(prior)
        began = time.perf_counter()
        found = denoise(*about)
        _settled(prior)
        watch.seconds, watch.calls = watch.seconds + time.perf_counter() - began, watch.calls + 1
        return found

    prior.denoise_stretch = timed
    try:
        yield watch
    finally:
        del prior.denoise_stretch


def _settled(prior: Prior) -> None:
    if prior.maps.device.type == "cuda":
        torch.cuda.synchronize(prior.maps.device)


def peak() -> int:
    """Most bytes this process ever had in memory; `getrusage` would begin with those of the one that started it."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def starting() -> float:
    """Seconds that an interpreter takes to come up with all that a job imports."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import hindsight.reanalyse.shard"], check=True)
    return time.perf_counter() - began


def took(work: Callable[[], object]) -> tuple[object, float]:
    """What some work returns, and the seconds it took."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began
