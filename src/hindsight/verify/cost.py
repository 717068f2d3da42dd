"""The cost of a run, from the benchmark files of Snakemake: time and memory of each kind of job."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hindsight.errors import UserError
from hindsight.fields.analyses import header

STAGES = ("download", "preprocess", "observe", "train", "reanalyse", "baselines", "verify")
FORECAST = ("device_hours", "analyses_bytes", "host_bytes")  # of a plan, each with its range
MEBI = 2**20  # Snakemake's MB
BY_NETWORK = ("observe", "reanalyse", "baselines", "verify")  # stages whose jobs are named by network, shard and block


@dataclass(frozen=True)
class JobKind:
    """Jobs of one kind: their number, total wall and processor seconds, longest wall seconds, largest memory (MB)."""

    name: str
    jobs: int
    seconds: float
    longest: float
    processor: float
    memory: float


def job_kinds(folder: Path, names: set[str]) -> list[JobKind]:
    """Every kind of job that ran before the report and was measured, in the order of the data flow.

    Args:
        folder: `{stage}/{step}-{network}-{shard}-{block}.tsv` of one run; may be missing.
        names: networks, shards and blocks of this run; files of others are ignored.

    Raises:
        UserError: if a file is not a benchmark.
    """
    found = []
    for stage in STAGES:
        files: dict[str, list[Path]] = {}
        for path in sorted((folder / stage).glob("*.tsv")):
            step, *parts = path.stem.split("-")
            if (stage, step) != ("verify", "report") and (stage not in BY_NETWORK or names.issuperset(parts)):
                files.setdefault(step, []).append(path)
        found += [_kind(f"{stage}: {step.replace('_', ' ')}", paths) for step, paths in files.items()]
    return found


def _kind(name: str, paths: list[Path]) -> JobKind:
    jobs = pd.concat([_read(path) for path in paths])
    return JobKind(
        name, len(jobs), jobs["s"].sum(), jobs["s"].max(), jobs["cpu_time"].sum(min_count=1), jobs["max_rss"].max()
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", na_values=["-"])[["s", "max_rss", "cpu_time"]].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a benchmark of Snakemake ({error!r}); delete it") from None


def evaluations(analyses: list[Path]) -> float | None:
    """Mean network evaluations per frame and member, halos included; None if the jobs did not count them."""
    counted = [header(path).attrs.get("evaluations") for path in analyses]
    return None if not counted or None in counted else sum(map(float, counted)) / len(counted)


def precision(analyses: list[Path]) -> str | None:
    """Precision of the network, from the analyses; several joined by "and"; None if no file has it."""
    names = {header(path).attrs.get("precision") for path in analyses} - {None}
    return " and ".join(sorted(names)) or None


@dataclass(frozen=True)
class Forecast:
    """A forecast of a network's plan with its range, and the measured use; None if it was not measured."""

    network: str
    name: str
    planned: float
    low: float
    high: float
    used: float | None

    @property
    def ratio(self) -> float | None:
        """Planned over used."""
        return self.planned / self.used if self.used else None


def forecasts(benchmarks: Path, analyses: list[Path]) -> list[Forecast]:
    """Forecast and use for every network with a plan beside its analyses, `{network}/plan.json`.

    Args:
        benchmarks: folder of the run's benchmark files; may be missing.
        analyses: `{network}/diffusion/{shard}-{block}.nc`, all of the run.

    Raises:
        UserError: if a plan cannot be read.
    """
    found, networks = [], dict.fromkeys(path.parents[1] for path in analyses)
    for folder in networks:
        if (folder / "plan.json").is_file():
            own = [path for path in analyses if path.parents[1] == folder]
            found += _forecasts_of(
                folder, own, [benchmarks / f"reanalyse/shard-{folder.name}-{p.stem}.tsv" for p in own]
            )
    return found


def _forecasts_of(folder: Path, analyses: list[Path], benchmarks: list[Path]) -> list[Forecast]:
    plan = _plan(folder / "plan.json")
    complete = all(path.is_file() for path in benchmarks)
    jobs = pd.concat([_read(path) for path in benchmarks]) if complete else None
    counts = [int(plan["jobs"])] * 3
    hours, size, memory = ([plan[name][k] for k in ("value", "low", "high")] for name in FORECAST)
    rows = [
        ("jobs", counts, len(analyses)),
        ("network evaluations", [plan["evaluations"]] * 3, _evaluations(analyses)),
        ("device time", [3600 * hour for hour in hours], None if jobs is None else jobs["s"].sum()),
        ("analyses on disk", size, sum(path.stat().st_size for path in analyses)),
        ("most memory of a job", memory, None if jobs is None else jobs["max_rss"].max() * MEBI),
    ]
    return [Forecast(folder.name, name, *map(float, planned), _measured(used)) for name, planned, used in rows]


def _plan(path: Path) -> dict:
    try:
        plan = json.loads(path.read_text())
        return {name: plan[name] for name in ("jobs", "evaluations", *FORECAST)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a plan ({error!r}); delete it and run snakemake again") from None


def _evaluations(analyses: list[Path]) -> float | None:
    """Network evaluations of all frames and members; None if a job did not count them."""
    headers = [header(path) for path in analyses]
    if any("evaluations" not in one.attrs for one in headers):
        return None
    return sum(float(one.attrs["evaluations"]) * one.sizes["time"] * one.sizes["realization"] for one in headers)


def _measured(used: float | None) -> float | None:
    return None if used is None or pd.isna(used) else float(used)


def format_value(row: Forecast, value: float) -> str:
    """Format a value of a forecast with its unit."""
    if row.name == "device time":
        return format_duration(value)
    return format_size(value / MEBI) if row.name in ("analyses on disk", "most memory of a job") else f"{value:.0f}"


def format_duration(seconds: float) -> str:
    """Format a duration."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def format_size(megabytes: float) -> str:
    """Format an amount of memory, which is NaN for a job too short to be measured."""
    if pd.isna(megabytes):
        return "not measured"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
