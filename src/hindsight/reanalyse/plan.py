"""Forecast the cost of the reanalysis of a network before its jobs start, from a few stretches that are timed."""

import datetime
import heapq
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from hindsight import __version__, machine
from hindsight.errors import UserError
from hindsight.fields import calendar, shards, store
from hindsight.fields import observations as tables
from hindsight.prior import Prior
from hindsight.progress import Progress, report
from hindsight.reanalyse import packing, timing
from hindsight.reanalyse.assimilation import Task
from hindsight.reanalyse.counting import Counter, Work
from hindsight.reanalyse.packing import Sizes
from hindsight.reanalyse.shard import load
from hindsight.reanalyse.timing import Timed
from hindsight.settings import Domain, Encoding, Product, Reanalyse

SHARE = 0.1  # largest share of the forecast time that is spent on timing
SINGLE_BAND = 0.5  # half-width of the band, as a share, if only one stretch was timed
UNTIMED = 0.1  # added to the band: longer stretches in the solver, other jobs on the machine, files that vary
LOG_FILES = 2  # of a job: its log, its benchmark


@dataclass(frozen=True)
class Forecast:
    """A forecast value, and the band that it is expected in."""

    value: float
    low: float
    high: float

    @classmethod
    def within(cls, value: float, share: float) -> "Forecast":
        """A value with a band of `share` times the value on either side."""
        return cls(value, value * max(1 - share, 0.0), value * (1 + share))

    def __mul__(self, factor: float) -> "Forecast":
        return Forecast(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Job:
    """The analysis of a shard of frames for a block of members.

    Attributes:
        shard: its name.
        frames: of the shard.
        stretch: frames with the halo.
        members: in the block.
        work: network evaluations and updates.
        exists: whether its file exists.
    """

    shard: str
    frames: int
    stretch: int
    members: int
    work: Work
    exists: bool


@dataclass(frozen=True)
class Pace:
    """Seconds for each kind of work.

    Attributes:
        evaluation: of a frame of a member by the network.
        update: of a frame of a member by step and guidance.
        writing: of a frame of a member.
        start: of a job before its first sampling step.
        band: largest expected error of the times, as a share.
    """

    evaluation: float
    update: float
    writing: float
    start: float
    band: float

    def seconds(self, job: Job) -> float:
        """Seconds of a job."""
        sampling = self.evaluation * job.work.evaluations + self.update * job.work.updates
        return self.start + sampling + self.writing * job.frames * job.members


def run(
    domain: Domain,
    product: Product,
    settings: Reanalyse,
    encoding: Encoding,
    *,
    prior: Path,
    climatology: Path,
    observations: list[Path],
    archive: list[Path],
    plan: Path,
    attempt: str = "1",
    controller: list[Path] = [],  # noqa: B006 (never changed)
    steering: list[Path] = [],  # noqa: B006
) -> None:
    """Forecast the cost of the jobs of a network from a few timed stretches; stop above a limit."""
    plan.parent.mkdir(parents=True, exist_ok=True)
    refused = plan.with_suffix(".refused.txt")
    if attempt != "1" and refused.is_file():  # an automatic retry is refused again without timing
        raise UserError(refused.read_text())
    refused.unlink(missing_ok=True)
    machine.compute_reproducibly(settings.threads)
    trained, loading = timing.timed_call(lambda: load(prior, domain, settings, climatology, controller, steering))
    all_jobs = jobs(domain, product, settings, trained, plan.parent / "diffusion")
    start = timing.start_seconds() + loading
    warm, *timed = _time_stretches(domain, product, settings, trained, observations, all_jobs, start)
    sample = max((t for t in timed if len(t.fields) > 1), key=lambda t: t.frames).fields
    sizes = packing.sizes(sample, trained.metadata.channels, trained.metadata.grid, encoding)
    pace = measured_pace(warm, timed, start, sizes.seconds)
    forecast = {
        "hindsight": __version__,
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "device": device(trained),
        **counts(all_jobs),
        **times(all_jobs, pace, product.devices),
        **disk(all_jobs, sizes, domain, product, archive),
        **memory(warm, timed, max(job.stretch * job.members for job in all_jobs)),
        "timed": [{"frames": t.frames, "seconds": t.seconds, "network_seconds": t.network} for t in timed],
    }
    for line in table(plan.parent.name, forecast):
        print(line, flush=True)
        report(line)
    try:
        refuse(forecast, product, plan)
    except UserError as error:
        text = f"{error}"
        store.replace(refused, lambda partial: partial.write_text(text))
        raise
    store.replace(plan, lambda partial: partial.write_text(json.dumps(forecast, indent=1, default=asdict)))


def jobs(domain: Domain, product: Product, settings: Reanalyse, prior: Prior, folder: Path) -> list[Job]:
    """Every job of a network, in order of time, with its work and whether its file exists."""
    jobs, count = [], Counter(settings, domain.step_hours, prior.metadata.window)
    halo = settings.halo_frames(domain.step_hours)
    for one in shards.cut(domain, product):
        stretch = one.with_halo(*halo, domain)
        work = count(calendar.frame_number(stretch.times[:1], domain.step_hours)[0], stretch.frames)
        for block in range(-(-product.members // product.member_block)):
            members = len(product.block(block))
            exists = (folder / f"{one.name}-{block}.nc").is_file()
            jobs.append(Job(one.name, one.frames, stretch.frames, members, work * members, exists))
    return jobs


def _time_stretches(
    domain: Domain,
    product: Product,
    settings: Reanalyse,
    prior: Prior,
    observations: list[Path],
    all_jobs: list[Job],
    start: float,
) -> Iterator[Timed]:
    """Analyse and time short stretches of the first shard.

    First one window of two members, to warm up, then two windows, for a rough forecast. Longer stretches refine it as
    long as they take at most a tenth of the time that it gives for the jobs to make.
    """
    first = shards.cut(domain, product)[0].with_halo(*settings.halo_frames(domain.step_hours), domain)
    rows = tables.usable(tables.read(observations, *first.times[[0, -1]]))
    members, window = product.block(0), settings.frames or prior.metadata.window
    analyse = lambda begin, frames, numbers: timing.analyse(
        prior,
        Task(first.times[begin : begin + frames], rows, numbers, product.seed, antithetic=product.antithetic),
        settings,
    )
    least, two = min(window, first.frames), [*members, members[0] + 1][:2]
    progress = Progress("reanalyse.plan, the shortest stretches", 2)
    for number in (1, 2):
        yield (tried := analyse(0, min(number * least, first.frames), two))
        progress(number)
    pace = measured_pace(tried, [tried], start, 0.0)
    budget = SHARE * sum(pace.seconds(job) for job in all_jobs if not job.exists)
    short = timing.length(settings, window, len(members), first.frames)
    per_frame = tried.seconds * len(members) / tried.member_frames
    stretches = timing.affordable(timing.stretches(short, first.frames), budget, per_frame)
    progress = Progress("reanalyse.plan", len(stretches), "stretches")
    for number, (begin, frames) in enumerate(stretches):
        progress(number)
        yield analyse(begin, frames, members)
    progress(len(stretches))


def measured_pace(warm: Timed, timed: list[Timed], start: float, writing: float) -> Pace:
    """Seconds of each kind of work, from all timed stretches but the first, of two members, if there are others.

    The band is twice their scatter plus `UNTIMED`.
    """
    used = timed[1:] or timed
    evaluation = sum(t.network for t in used) / max(sum(t.work.evaluations for t in used), 1)
    update = sum(t.rest for t in used) / sum(t.work.updates for t in used)
    expected = lambda t: evaluation * t.work.evaluations + update * t.work.updates
    scatter = float(np.std([t.seconds / expected(t) for t in used], ddof=1)) if len(used) > 1 else SINGLE_BAND / 2
    return Pace(evaluation, update, writing, start + max(warm.seconds - expected(warm), 0.0), 2 * scatter + UNTIMED)


def counts(all_jobs: list[Job]) -> dict:
    """Numbers of shards, jobs and network evaluations."""
    return {
        "shards": len({job.shard for job in all_jobs}),
        "jobs": len(all_jobs),
        "to_make": sum(not job.exists for job in all_jobs),
        "evaluations": sum(job.work.evaluations for job in all_jobs),
    }


def times(all_jobs: list[Job], pace: Pace, devices: list[int]) -> dict:
    """Device hours of all jobs and of those to make, seconds of the longest job, wall hours of those to make."""
    to_make = [pace.seconds(job) for job in all_jobs if not job.exists]
    band = lambda seconds: Forecast.within(seconds, pace.band)
    return {
        "job_seconds": band(max(pace.seconds(job) for job in all_jobs)),
        "start_seconds": band(pace.start),
        "device_hours": band(sum(map(pace.seconds, all_jobs)) / 3600),
        "device_hours_to_make": band(sum(to_make) / 3600),
        "wall_hours": {str(count): band(wall_seconds(to_make, count) / 3600) for count in devices},
    }


def wall_seconds(seconds: list[float], devices: int) -> float:
    """Seconds until a number of devices, which take the jobs in order, are done."""
    busy = [0.0] * devices
    for each in seconds:
        heapq.heapreplace(busy, busy[0] + each)
    return max(busy)


def disk(all_jobs: list[Job], sizes: Sizes, domain: Domain, product: Product, archive: list[Path]) -> dict:
    """Bytes and files of the analyses and, if this network is archived, of the archive; and of those to make."""
    band, to_make = sizes.difference + UNTIMED, [job for job in all_jobs if not job.exists]
    analyses = lambda jobs: sum(sizes.head + sizes.analysis * job.members * job.frames for job in jobs)
    frames = {job.shard: job.frames for job in all_jobs} if archive else {}
    missing = {name for name in frames if not (archive[0].parent / f"shards/{name}.json").is_file()}
    per_frame = product.members * sizes.member + sizes.summary
    blocks = len(all_jobs) // len({job.shard for job in all_jobs})
    objects = (blocks + packing.SUMMARIES) * len(domain.channels)
    packed = lambda names: per_frame * sum(frames[name] for name in names)
    inodes = len(to_make) * (1 + LOG_FILES) + len(missing) * (
        objects * (1 + packing.FOLDERS_PER_OBJECT) + 1 + LOG_FILES
    )
    return {
        "analyses_bytes": Forecast.within(analyses(all_jobs), band),
        "analyses_files": len(all_jobs),
        "archive_bytes": Forecast.within(packed(frames), band),
        "archive_objects": objects * len(frames),
        "bytes_to_make": Forecast.within(analyses(to_make) + packed(missing), band),
        "inodes_to_make": inodes,
    }


def memory(warm: Timed, timed: list[Timed], member_frames: int) -> dict:
    """Peak memory of a job on host and device, by a line through the smallest and the largest stretch used.

    Args:
        warm: the stretch that warmed up, used if only one was timed after it.
        timed: the others; the first, which has only two members, is not used if there are several more.
        member_frames: frames times members of the largest job.
    """
    used = timed[1:] if len(timed) > 2 else timed if len(timed) > 1 else [warm, *timed]
    small, large = min(used, key=lambda t: t.member_frames), max(used, key=lambda t: t.member_frames)
    return {
        "host_bytes": _peak(small, large, member_frames, "host"),
        "device_bytes": _peak(small, large, member_frames, "device"),
    }


def _peak(small: Timed, large: Timed, member_frames: int, what: str) -> Forecast:
    """The largest stretch's peak plus an extrapolation in frames times members, which the band adds once more."""
    peak, before = getattr(large, what), getattr(small, what)
    more = (
        max(peak - before, 0)
        / max(large.member_frames - small.member_frames, 1)
        * max(member_frames - large.member_frames, 0)
    )
    return Forecast(peak + more, peak, (peak + 2 * more) * (1 + UNTIMED))


def refuse(forecast: dict, product: Product, plan: Path) -> None:
    """Raise an error if the forecast exceeds the limits of the settings or the disk.

    Raises:
        UserError: with every limit that is exceeded, and what to do.
    """
    hours = forecast["device_hours_to_make"].value
    total = forecast["analyses_bytes"].value + forecast["archive_bytes"].value
    disk, wrong = shutil.disk_usage(plan.parent), []
    if product.limit_hours is not None and hours > product.limit_hours:
        wrong.append(
            f"{_short(hours)} device hours are forecast for {forecast['to_make']} jobs, and product.limit_hours is"
            f" {product.limit_hours:g}"
        )
    if product.limit_gb is not None and total / 1e9 > product.limit_gb:
        wrong.append(f"{_short(total / 1e9)} GB are forecast on disk, and product.limit_gb is {product.limit_gb:g}")
    if forecast["bytes_to_make"].value > disk.free:
        more = _short(forecast["bytes_to_make"].value / 1e9)
        wrong.append(f"{more} GB are forecast and {_short(disk.free / 1e9)} GB are free in {plan.parent}")
    free = os.statvfs(plan.parent)
    if free.f_files and forecast["inodes_to_make"] > free.f_favail:
        wrong.append(f"{forecast['inodes_to_make']} files and folders are forecast and {free.f_favail} are free")
    if wrong:
        raise UserError(
            f"nothing was started: {'; '.join(wrong)}. Raise the limit or free some disk, or ask for fewer years,"
            " product.members or reanalyse.steps"
        )


def device(prior: Prior) -> str:
    """Name of the device that the stretches were timed on."""
    where = prior.maps.device
    return torch.cuda.get_device_name(where) if where.type == "cuda" else f"cpu, {torch.get_num_threads()} thread(s)"


def table(network: str, forecast: dict) -> list[str]:
    """A forecast as lines of text."""
    gb, exist = 1e-9, forecast["to_make"] < forecast["jobs"]
    rows = [
        ("seconds of the longest job", forecast["job_seconds"]),
        ("  of these before its first step", forecast["start_seconds"]),
        ("device hours, all jobs", forecast["device_hours"]),
        *([("device hours, jobs to make", forecast["device_hours_to_make"])] if exist else []),
        *((f"wall hours on {counts} device(s)", each) for counts, each in _by_hours(forecast["wall_hours"]).items()),
        ("analyses, GB", forecast["analyses_bytes"] * gb),
        ("archive, GB", forecast["archive_bytes"] * gb),
        ("GB to make", forecast["bytes_to_make"] * gb),
        ("a job's memory, GB", forecast["host_bytes"] * gb),
        ("a job's memory on its GPU, GB", forecast["device_bytes"] * gb),
    ]
    head = [
        f"Network {network}: {forecast['shards']:,} shards, {forecast['jobs']:,} jobs, {forecast['to_make']:,} to make;"
        f" {forecast['evaluations']:,.0f} network evaluations, each of one frame of one member.",
        f"{forecast['analyses_files']:,} files of analyses, {forecast['archive_objects']:,} objects of the archive;"
        f" {forecast['inodes_to_make']:,} files and folders to make.",
        f"Timed on {forecast['device']}, {forecast['date']}: stretches of "
        + ", ".join(f"{t['frames']} frames ({t['seconds']:.1f} s)" for t in forecast["timed"])
        + ".",
        f"{'':44}{'forecast':>10}{'from':>10}{'to':>10}",
    ]
    return head + [f"{name:44}{''.join(f'{_short(v):>10}' for v in asdict(f).values())}" for name, f in rows if f.value]


def _by_hours(wall_hours: dict[str, Forecast]) -> dict[str, Forecast]:
    """Wall hours by the numbers of devices that take as long, such as `4, 16, 64` where there are four jobs."""
    same: dict[Forecast, list[str]] = {}
    for devices, hours in wall_hours.items():
        same.setdefault(hours, []).append(devices)
    return {", ".join(devices): hours for hours, devices in same.items()}


def _short(value: float) -> str:
    """Three significant digits, or all before the decimal point, without a power of ten."""
    return f"{value:,.0f}" if value >= 100 else np.format_float_positional(value, 3, fractional=False, trim="-")
