"""What the reanalysis of a network will take, before any of it is paid for: forecast from stretches that are timed."""

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

from hindsight import __version__
from hindsight.errors import UserError
from hindsight.fields import calendar, shards, store
from hindsight.fields import observations as tables
from hindsight.prior import Prior
from hindsight.progress import Progress, follow
from hindsight.reanalyse import packing, timing
from hindsight.reanalyse.counting import Counter, Work
from hindsight.reanalyse.packing import Sizes
from hindsight.reanalyse.shard import load
from hindsight.reanalyse.timing import Timed
from hindsight.settings import Domain, Encoding, Product, Reanalyse

SHARE = 0.1  # of the time that is forecast that timing stretches may take
UNSURE = 0.5  # the band where a single stretch tells the time
UNTIMED = 0.1  # what the band allows for: the solver on longer stretches, other jobs on the machine, files that vary
LOGGED = 2  # files that a job leaves beside its product: its log, its benchmark


@dataclass(frozen=True)
class Forecast:
    """A number nobody has measured yet, and the band it is expected in."""

    value: float
    low: float
    high: float

    @classmethod
    def about(cls, value: float, share: float) -> "Forecast":
        """A value and a share of it on either side."""
        return cls(value, value * max(1 - share, 0.0), value * (1 + share))

    def __mul__(self, factor: float) -> "Forecast":
        return Forecast(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Job:
    """A shard of frames and a block of members: what it keeps, what it sees, and whether it is made."""

    shard: str
    frames: int
    stretch: int
    members: int
    work: Work
    made: bool


@dataclass(frozen=True)
class Pace:
    """Seconds: of a frame that the network evaluates, of one that steps and guidance move, of one that is written.

    `start` is what a job takes before its first step; `band` the share by which times may be off.
    """

    evaluation: float
    update: float
    writing: float
    start: float
    band: float

    def seconds(self, job: Job) -> float:
        """A job's seconds."""
        sampling = self.evaluation * job.work.evaluations + self.update * job.work.updates
        return self.start + sampling + self.writing * job.frames * job.members


def run(
    domain: Domain,
    product: Product,
    settings: Reanalyse,
    published: Encoding,
    *,
    prior: Path,
    climatology: Path,
    observations: list[Path],
    archive: list[Path],
    plan: Path,
    attempt: str = "1",
) -> None:
    """Forecast what the reanalysis of a network takes, from a few stretches that are timed; refuse it above a limit."""
    plan.parent.mkdir(parents=True, exist_ok=True)
    refused = plan.with_suffix(".refused.txt")
    if attempt != "1" and refused.is_file():  # what is refused once is refused again, without timing it anew
        raise UserError(refused.read_text())
    refused.unlink(missing_ok=True)
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    trained, loading = timing.took(lambda: load(prior, domain, settings, climatology))
    todo = jobs(domain, product, settings, trained, plan.parent / "diffusion")
    start = timing.starting() + loading
    warm, *timed = _timed(domain, product, settings, trained, observations, todo, start)
    several = max((t for t in timed if len(t.fields) > 1), key=lambda t: t.frames)
    measured = packing.sizes(several.fields, trained.about.channels, trained.about.grid, published)
    pace = paced(warm, timed, start, measured.seconds)
    found = {
        "hindsight": __version__,
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "device": device(trained),
        **counts(todo),
        **times(todo, pace, product.devices),
        **disk(todo, measured, domain, product, archive),
        **memory(warm, timed, max(job.stretch * job.members for job in todo)),
        "timed": [{"frames": t.frames, "seconds": t.seconds, "network_seconds": t.network} for t in timed],
    }
    for line in table(plan.parent.name, found):
        print(line, flush=True)
        follow(line)
    try:
        refuse(found, product, plan)
    except UserError as error:
        text = f"{error}"
        store.replace(refused, lambda partial: partial.write_text(text))
        raise
    store.replace(plan, lambda partial: partial.write_text(json.dumps(found, indent=1, default=asdict)))


def jobs(domain: Domain, product: Product, settings: Reanalyse, prior: Prior, folder: Path) -> list[Job]:
    """Every job of a network, in the order of time, with its network evaluations; made where its file is there."""
    found, count = [], Counter(settings, domain.step_hours, prior.about.window)
    halo = settings.halo_frames(domain.step_hours)
    for one in shards.cut(domain, product):
        seen = one.with_halo(*halo, domain)
        work = count(calendar.frame_number(seen.times[:1], domain.step_hours)[0], seen.frames)
        for block in range(-(-product.members // product.member_block)):
            members = len(product.block(block))
            made = (folder / f"{one.name}-{block}.nc").is_file()
            found.append(Job(one.name, one.frames, seen.frames, members, work * members, made))
    return found


def _timed(
    domain: Domain,
    product: Product,
    settings: Reanalyse,
    prior: Prior,
    observations: list[Path],
    todo: list[Job],
    start: float,
) -> Iterator[Timed]:
    """Analyse short stretches of the first shard.

    First a window of two members, to warm up, and two windows, to see what all jobs would take. A tenth of that may
    then go into stretches that tell it better; where they would take more, none is timed.
    """
    first = shards.cut(domain, product)[0].with_halo(*settings.halo_frames(domain.step_hours), domain)
    seen = tables.usable(tables.read(observations, *first.times[[0, -1]]))
    members, window = product.block(0), settings.frames or prior.about.window
    analyse = lambda begin, frames, own: timing.analysed(
        prior, first.times[begin : begin + frames], seen, own, product.seed, settings
    )
    least, two = min(window, first.frames), [*members, members[0] + 1][:2]
    watch = Progress("reanalyse.plan, the shortest stretches", 2)
    for number in (1, 2):
        yield (tried := analyse(0, min(number * least, first.frames), two))
        watch(number)
    pace = paced(tried, [tried], start, 0.0)
    left = SHARE * sum(pace.seconds(job) for job in todo if not job.made)
    short = timing.length(settings, window, len(members), first.frames)
    parts = timing.affordable(timing.places(short, first.frames), left, tried.seconds * len(members) / tried.cells)
    watch = Progress("reanalyse.plan", len(parts))
    for number, (begin, frames) in enumerate(parts):
        watch(number)
        yield analyse(begin, frames, members)
    watch(len(parts))


def paced(warm: Timed, timed: list[Timed], start: float, writing: float) -> Pace:
    """Seconds of each kind of work, over all timed stretches but the shortest where there are others.

    The band is twice their scatter, and what is not timed.
    """
    told = timed[1:] or timed
    evaluation = sum(t.network for t in told) / max(sum(t.work.evaluations for t in told), 1)
    update = sum(t.rest for t in told) / sum(t.work.updates for t in told)
    expected = lambda t: evaluation * t.work.evaluations + update * t.work.updates
    scatter = float(np.std([t.seconds / expected(t) for t in told], ddof=1)) if len(told) > 1 else UNSURE / 2
    return Pace(evaluation, update, writing, start + max(warm.seconds - expected(warm), 0.0), 2 * scatter + UNTIMED)


def counts(todo: list[Job]) -> dict:
    """What is known for certain."""
    return {
        "shards": len({job.shard for job in todo}),
        "jobs": len(todo),
        "to_make": sum(not job.made for job in todo),
        "evaluations": sum(job.work.evaluations for job in todo),
    }


def times(todo: list[Job], pace: Pace, devices: list[int]) -> dict:
    """Device hours of all jobs and of those to make, seconds of the longest job, wall hours of those to make."""
    left = [pace.seconds(job) for job in todo if not job.made]
    about = lambda seconds: Forecast.about(seconds, pace.band)
    return {
        "job_seconds": about(max(pace.seconds(job) for job in todo)),
        "start_seconds": about(pace.start),
        "device_hours": about(sum(map(pace.seconds, todo)) / 3600),
        "device_hours_to_make": about(sum(left) / 3600),
        "wall_hours": {str(count): about(shared(left, count) / 3600) for count in devices},
    }


def shared(seconds: list[float], devices: int) -> float:
    """Seconds until devices that take the jobs in their order are done."""
    busy = [0.0] * devices
    for each in seconds:
        heapq.heapreplace(busy, busy[0] + each)
    return max(busy)


def disk(todo: list[Job], sizes: Sizes, domain: Domain, product: Product, archive: list[Path]) -> dict:
    """Bytes and files of analyses, and of the archive where this network's is archived; and of those to make."""
    band, left = sizes.apart + UNTIMED, [job for job in todo if not job.made]
    analyses = lambda part: sum(sizes.head + sizes.analysis * job.members * job.frames for job in part)
    frames = {job.shard: job.frames for job in todo} if archive else {}
    absent = {name for name in frames if not (archive[0].parent / f"shards/{name}.json").is_file()}
    each = product.members * sizes.member + sizes.summary
    blocks = len(todo) // len({job.shard for job in todo})
    objects = (blocks + packing.SUMMARIES) * len(domain.channels)
    packed = lambda names: each * sum(frames[name] for name in names)
    inodes = len(left) * (1 + LOGGED) + len(absent) * (objects * (1 + packing.FOLDERS) + 1 + LOGGED)
    return {
        "analyses_bytes": Forecast.about(analyses(todo), band),
        "analyses_files": len(todo),
        "archive_bytes": Forecast.about(packed(frames), band),
        "archive_objects": objects * len(frames),
        "bytes_to_make": Forecast.about(analyses(left) + packed(absent), band),
        "inodes_to_make": inodes,
    }


def memory(warm: Timed, timed: list[Timed], cells: int) -> dict:
    """Most bytes of a job on host and device, in a line through the smallest and the largest stretch that was analysed.

    Args:
        warm: the stretch that warmed up; it counts where only one was timed after it.
        timed: those, the shortest first; it does not count where there are several others.
        cells: frames times members of the largest job.
    """
    told = timed[1:] if len(timed) > 2 else timed if len(timed) > 1 else [warm, *timed]
    small, large = min(told, key=lambda t: t.cells), max(told, key=lambda t: t.cells)
    return {
        "host_bytes": _reached(small, large, cells, "host"),
        "device_bytes": _reached(small, large, cells, "device"),
    }


def _reached(small: Timed, large: Timed, cells: int, what: str) -> Forecast:
    """At least what the largest stretch had; at most as much more again as is forecast beyond it."""
    had, before = getattr(large, what), getattr(small, what)
    more = max(had - before, 0) / max(large.cells - small.cells, 1) * max(cells - large.cells, 0)
    return Forecast(had + more, had, (had + 2 * more) * (1 + UNTIMED))


def refuse(found: dict, product: Product, plan: Path) -> None:
    """Refuse what would take more than the settings or the disk allow.

    Raises:
        UserError: with all that is too much, and what to do.
    """
    hours, whole = found["device_hours_to_make"].value, found["analyses_bytes"].value + found["archive_bytes"].value
    disk, wrong = shutil.disk_usage(plan.parent), []
    if product.limit_hours is not None and hours > product.limit_hours:
        wrong.append(
            f"{_short(hours)} device hours are forecast for {found['to_make']} jobs, and product.limit_hours is"
            f" {product.limit_hours:g}"
        )
    if product.limit_gb is not None and whole / 1e9 > product.limit_gb:
        wrong.append(f"{_short(whole / 1e9)} GB are forecast on disk, and product.limit_gb is {product.limit_gb:g}")
    if found["bytes_to_make"].value > disk.free:
        more = _short(found["bytes_to_make"].value / 1e9)
        wrong.append(f"{more} GB are forecast and {_short(disk.free / 1e9)} GB are free in {plan.parent}")
    free = os.statvfs(plan.parent)
    if free.f_files and found["inodes_to_make"] > free.f_favail:
        wrong.append(f"{found['inodes_to_make']} files and folders are forecast and {free.f_favail} are free")
    if wrong:
        raise UserError(
            f"nothing was started: {'; '.join(wrong)}. Raise the limit or free some disk, or ask for fewer years,"
            " product.members or reanalyse.steps"
        )


def device(prior: Prior) -> str:
    """What the stretches were timed on."""
    where = prior.maps.device
    return torch.cuda.get_device_name(where) if where.type == "cuda" else f"cpu, {torch.get_num_threads()} thread(s)"


def table(network: str, found: dict) -> list[str]:
    """A forecast as lines for a terminal."""
    gb = 1e-9
    rows = [
        ("a job, seconds (the longest)", found["job_seconds"]),
        ("  of these before its first step", found["start_seconds"]),
        ("device hours, all jobs", found["device_hours"]),
        ("device hours, jobs to make", found["device_hours_to_make"]),
        *((f"wall hours on {count} device(s)", each) for count, each in found["wall_hours"].items()),
        ("analyses, GB", found["analyses_bytes"] * gb),
        ("archive, GB", found["archive_bytes"] * gb),
        ("GB to make", found["bytes_to_make"] * gb),
        ("a job's memory, GB", found["host_bytes"] * gb),
        ("a job's memory on its GPU, GB", found["device_bytes"] * gb),
    ]
    head = [
        f"Network {network}: {found['shards']} shards, {found['jobs']} jobs, {found['to_make']} to make;"
        f" {found['evaluations']:.3g} network evaluations of a frame and member.",
        f"{found['analyses_files']} files of analyses, {found['archive_objects']} objects of the archive;"
        f" {found['inodes_to_make']} files and folders to make.",
        f"Timed on {found['device']}, {found['date']}: stretches of "
        + ", ".join(f"{t['frames']} frames ({t['seconds']:.1f} s)" for t in found["timed"])
        + ".",
        f"{'forecast':34}{'':>10}{'from':>10}{'to':>10}",
    ]
    return head + [f"{name:34}{''.join(f'{_short(v):>10}' for v in asdict(f).values())}" for name, f in rows if f.value]


def _short(value: float) -> str:
    """Three digits, without powers of ten where there need be none."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 1e-3 else f"{value:.1e}"
