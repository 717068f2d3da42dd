"""Throughput by number of workers: 1, 2 and 4 jobs at once on this machine, and a forecast for 64 devices.

    python benchmarks/workers.py --json results/workers.json

Makes the small reanalysis of benchmarks/efficiency.py with each number of processes. `throughput` is in member frames
per second; `efficiency` is the throughput divided by the number of processes times the throughput of one. `limit`, the
smaller of cores and processes divided by the processes, is the highest efficiency possible on an idle machine;
`others` is the number of cores that other programs used meanwhile.

On 64 devices, each running one job after the other, a job discards its halo, starts with imports, and in the last
round some devices have no job:

    efficiency = kept / (kept + halo) * work / (start + work) * jobs / (64 * rounds),   rounds = jobs / 64, rounded up

`start` and the work per frame come from two jobs on this machine, one with few and one with many frames, in processor
seconds, which other programs lengthen less than the clock's. A device that is `faster` computes frames faster but
starts no sooner, so the second factor falls. `--quick` takes few frames: a check that the benchmark runs.
"""

import argparse
import dataclasses
import datetime
import os
import platform
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cases
import efficiency
import psutil
from efficiency import Small

from hindsight.fields import analyses
from hindsight.fields.shards import Shard

WORKERS, DEVICES, YEARS = (1, 2, 4), 64, (10, 50)
FRAMES, FEW, MANY = 48, 8, 96  # of a shard; that the two jobs see which the start is found from
FRAMES_A_YEAR = 1461  # of 365.25 days, every 6 hours
KEPT, HALO, BLOCKS = 240, 100, 2  # frames of a shard and of its two halos as in the demo; blocks of members
FASTER = (1, 10, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--folder", type=Path, help="where the run goes; none: a folder that is taken away")
    parser.add_argument("--quick", action="store_true", help="few frames: a check that it runs")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp())
    try:
        small = efficiency.make(folder, 8 if chosen.quick else FRAMES, 2 if chosen.quick else max(WORKERS))
        found = measured(small, *((WORKERS[:2], 8, 16) if chosen.quick else (WORKERS, FEW, MANY)))
    finally:
        if not chosen.folder:
            shutil.rmtree(folder)
    found |= {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "quick": chosen.quick}
    show(found)
    cases.write(found, chosen.json)


def measured(small: Small, workers: tuple[int, ...], few: int, many: int) -> dict:
    """All figures."""
    before, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    alone = [lone(small, frames) for frames in (few, many)]
    start, frame = line(*alone)
    rates = {count: rate(small, count) for count in workers}
    made = {count: value for count, (value, _) in rates.items()}
    return {
        "others": {count: others for count, (_, others) in rates.items()},
        "throughput": made,
        "efficiency": {count: value / (count * made[1]) for count, value in made.items()},
        "limit": {count: min(count, cores) / count for count in made},
        "cores": cores,
        "start_seconds": start,
        "seconds_a_frame": frame,
        "evaluations_a_frame": alone[1].evaluations,
        "jobs_alone": [vars(job) for job in alone],
        "members": small.settings.product.members,
        "predicted": [predicted(years, start, frame * KEPT, faster) for years in YEARS for faster in FASTER],
        "device": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, 1 thread a job",
        "dtype": small.settings.train.precision,
        "load_average_before": before,
        "load_average": os.getloadavg()[1],
    }


def rate(small: Small, count: int) -> tuple[float, float]:
    """Member frames per second of `count` jobs at once, and the number of cores that other programs used meanwhile."""
    before, began = worked(), time.monotonic()
    made = throughput(small, count)
    seconds, (busy, own) = time.monotonic() - began, (b - a for a, b in zip(before, worked()))
    return made, max(0.0, busy - own) / seconds


def throughput(small: Small, count: int) -> float:
    """Member frames per second of `count` jobs at once."""
    todo, began = small.cut[:count], time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda one: small.job(one, small.path("again")), todo))
    return sum(one.frames for one in todo) * small.settings.product.members / (time.monotonic() - began)


def worked() -> tuple[float, float]:
    """Busy seconds of all processors since start-up, and those of the ended children of this process."""
    times, own = psutil.cpu_times(), os.times()
    return sum(times) - times.idle - times.iowait - times.guest, own.children_user + own.children_system


@dataclasses.dataclass(frozen=True)
class Alone:
    """A job without a halo that ran alone: its processor seconds and its wall-clock seconds."""

    frames: int
    processor: float
    clock: float
    evaluations: float  # for a frame of a member


def lone(small: Small, frames: int) -> Alone:
    """Make `frames` frames with one job without a halo while no other job runs."""
    one = Shard(f"lone{frames}", small.cut[0].start, frames)
    bare = small.settings.reanalyse.model_copy(update={"halo": 0})
    alone = dataclasses.replace(small, settings=small.settings.model_copy(update={"reanalyse": bare}))
    taken = alone.job(one, small.path("lone"))
    about = analyses.header(small.path(f"lone/{one.name}-0.nc")).attrs
    return Alone(frames, taken.processor, taken.seconds, float(about["evaluations"]))


def line(few: Alone, many: Alone) -> tuple[float, float]:
    """Seconds of a job before its first frame, and seconds per frame, from two jobs."""
    frame = (many.processor - few.processor) / (many.frames - few.frames)
    return few.processor - few.frames * frame, frame


def predicted(years: int, start: float, work: float, faster: float) -> dict:
    """The forecast for `DEVICES` devices: the efficiency and its three factors.

    Args:
        years: of the archive.
        start: seconds of a job before its first frame.
        work: seconds on this machine for the frames that a job keeps.
        faster: how many times as fast a device is.
    """
    jobs = -(-years * FRAMES_A_YEAR // KEPT) * BLOCKS
    rounds, busy = -(-jobs // DEVICES), work / faster * (KEPT + HALO) / KEPT
    terms = {"halo": KEPT / (KEPT + HALO), "start": busy / (start + busy), "rounds": jobs / (DEVICES * rounds)}
    return {
        "years": years,
        "devices": DEVICES,
        "faster": faster,
        "jobs": jobs,
        "job_seconds": start + busy,
        "wall_hours": rounds * (start + busy) / 3600,
        **terms,
        "efficiency": terms["halo"] * terms["start"] * terms["rounds"],
    }


def show(found: dict) -> None:
    """Print the figures."""
    print(f"{'jobs at once':>12s} {'frames/s':>9s} {'efficiency':>10s} {'limit':>6s} {'other programs':>15s}")
    for count, value in found["throughput"].items():
        figures = (found[name][count] for name in ("efficiency", "limit", "others"))
        print("{:12d} {:9.2f} {:10.2f} {:6.2f} {:15.2f}".format(count, value, *figures))
    print(f"a job: {found['start_seconds']:.1f} s to start, {found['seconds_a_frame']:.3f} s per frame")
    names = ("years", "faster", "jobs", "job_seconds", "wall_hours", "halo", "start", "rounds", "efficiency")
    print(f"forecast for {DEVICES} devices; efficiency = halo * start * rounds:")
    print(" ".join(f"{name:>11s}" for name in names))
    for row in found["predicted"]:
        print(" ".join(f"{row[name]:11.4g}" for name in names))


if __name__ == "__main__":
    main()
