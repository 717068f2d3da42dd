"""Analyse short stretches and time them, for the forecast of cost."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from hindsight.fields import calendar
from hindsight.prior import Prior
from hindsight.reanalyse import shard
from hindsight.reanalyse.assimilation import Task
from hindsight.reanalyse.counting import Counter, Work
from hindsight.settings import Reanalyse

LEAST = 24  # fewest frames of a timed stretch: the solver couples frames, so time per frame depends on their number
MOST = 3  # short stretches to time, in addition to one of twice their length


@dataclass
class Stopwatch:
    """Seconds spent in a function, and the number of calls."""

    seconds: float = 0.0
    calls: int = 0


@dataclass(frozen=True)
class Timed:
    """Time and memory of the analysis of a stretch.

    Attributes:
        frames: of the stretch.
        work: what was computed.
        network: seconds in the denoiser: network and linear estimate, without backward passes.
        rest: all other seconds.
        host: peak memory of the process so far, bytes.
        device: peak memory of the stretch on its GPU, bytes; 0 without one.
        fields: physical, (E, T, C, H, W).
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
        """Seconds of the network and the rest."""
        return self.network + self.rest

    @property
    def member_frames(self) -> int:
        """Frames times members."""
        return self.frames * len(self.fields)


def length(settings: Reanalyse, window: int, members: int, stretch: int) -> int:
    """Frames to time: at least a window, a full batch of the network and, except in regime batch, twice the context.

    Args:
        settings: regime, batch, stride.
        window: frames of the prior's window.
        members: of a job.
        stretch: frames of a job, the largest number returned.
    """
    window = settings.frames or window
    filled = window + settings.stride * (-(-settings.batch // members) - 1)
    context = 2 * settings.context if settings.uses("context") else 0
    return min(stretch, max(LEAST, window, filled, context))


def stretches(short: int, frames: int) -> list[tuple[int, int]]:
    """First frame and length of the stretches to time: short ones, except the second, of up to twice their length."""
    starts = np.linspace(0, frames - short, min(MOST, max(2, frames // short))).astype(int)
    first, *others = [(int(start), short) for start in starts]
    long = [(0, min(2 * short, frames))] if frames > short else []
    return [first, *long, *others]


def affordable(stretches: list[tuple[int, int]], seconds: float, per_frame: float) -> list[tuple[int, int]]:
    """The first stretches that take at most `seconds` in total."""
    ends = np.cumsum([frames for _, frames in stretches]) * per_frame
    return stretches[: int((ends <= seconds).sum())]


def analyse(prior: Prior, task: Task, settings: Reanalyse) -> Timed:
    """Analyse a stretch as a job does, and time it.

    Gross errors are judged by their departure alone, without the range of the training period.
    """
    device = prior.maps.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with _timed_network(prior) as network:
        began = time.perf_counter()
        made = shard.reanalyse(prior, task, settings)
        seconds = time.perf_counter() - began
    count = Counter(settings, prior.metadata.step_hours, prior.metadata.window)
    first = calendar.frame_number(task.times[:1], prior.metadata.step_hours)[0]
    work = count(first, len(task.times)) * len(task.members)
    work = work * (made.cost.evaluations / work.evaluations)  # diverged attempts included
    on_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    rest = seconds - network.seconds
    return Timed(len(task.times), work, network.seconds, rest, peak(), on_device, made.fields)


@contextmanager
def _timed_network(prior: Prior) -> Iterator[Stopwatch]:
    """Time the prior's denoiser; on a GPU wait for it before and after."""
    watch, denoise = Stopwatch(), prior.denoise_stretch

    def timed(*inputs: object) -> torch.Tensor:
        _synchronise(prior)
        began = time.perf_counter()
        denoised = denoise(*inputs)
        _synchronise(prior)
        watch.seconds, watch.calls = watch.seconds + time.perf_counter() - began, watch.calls + 1
        return denoised

    prior.denoise_stretch = timed
    try:
        yield watch
    finally:
        del prior.denoise_stretch


def _synchronise(prior: Prior) -> None:
    if prior.maps.device.type == "cuda":
        torch.cuda.synchronize(prior.maps.device)


def peak() -> int:
    """Peak memory of this process in bytes; `getrusage` would include the process that started it."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def start_seconds() -> float:
    """Seconds to start an interpreter and import everything that a job imports."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import hindsight.reanalyse.shard"], check=True)
    return time.perf_counter() - began


def timed_call(function: Callable[[], object]) -> tuple[object, float]:
    """The result of a function and the seconds that it took."""
    began = time.perf_counter()
    return function(), time.perf_counter() - began
