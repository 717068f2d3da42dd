"""What the run cost: the benchmark files that Snakemake leaves, a line a kind of job."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hindsight.errors import UserError
from hindsight.fields.analyses import head

STAGES = ("download", "preprocess", "observe", "train", "reanalyse", "baselines", "verify")
BY_NETWORK = ("observe", "reanalyse", "baselines", "verify")  # stages whose jobs are named by network, shard and block


@dataclass(frozen=True)
class Kind:
    """Jobs of one kind: how many, wall and processor seconds of all, wall seconds of the longest, most memory (MB)."""

    name: str
    jobs: int
    seconds: float
    longest: float
    processor: float
    memory: float


def kinds(folder: Path, names: set[str]) -> list[Kind]:
    """Every kind of job that the report waits for and that was measured, in the order the data flow.

    Args:
        folder: `{stage}/{step}-{network}-{shard}-{block}.tsv` of one run; may be absent.
        names: networks, shards and blocks of this run; what is left of others does not count.

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


def _kind(name: str, paths: list[Path]) -> Kind:
    jobs = pd.concat([_read(path) for path in paths])
    return Kind(
        name, len(jobs), jobs["s"].sum(), jobs["s"].max(), jobs["cpu_time"].sum(min_count=1), jobs["max_rss"].max()
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", na_values=["-"])[["s", "max_rss", "cpu_time"]].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a benchmark of Snakemake ({error!r}); delete it") from None


def passes(analyses: list[Path]) -> float | None:
    """Network evaluations of a frame and member as the jobs counted them, halos included; None where they did not."""
    counted = [head(path).attrs.get("evaluations") for path in analyses]
    return None if not counted or None in counted else sum(map(float, counted)) / len(counted)


def duration(seconds: float) -> str:
    """A time that people can grasp."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def size(megabytes: float) -> str:
    """An amount of memory; a job too short to be looked at has none."""
    if pd.isna(megabytes):
        return "not measured"
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
