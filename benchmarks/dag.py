"""The cost of the workflow itself: planning fifty years, finding that nothing is left to do, starting a job.

    python benchmarks/dag.py --json results/dag.json

`jobs` and `dry_run_s`: the number of jobs of fifty years, 6-hourly, in about 600 shards, and the seconds that
`snakemake --dry-run` takes for them, interpreter and settings included. `nothing_to_do_s`: the same when every file
exists. The benchmark makes these files (empty, except for the archive's markers), and `snakemake --touch` registers
them.

`overhead_per_job_s`: in a small run of real jobs (`observe.simulate`, few frames each, then `observe.usage`), the
seconds of the whole run, Snakemake's start included, minus those of the jobs' commands by their benchmark files
(`logs/**/*.tsv`, which include the start of an interpreter), divided by the number of jobs. `--quick` takes five
years and a few jobs: a check that the benchmark runs.
"""

import argparse
import csv
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from hindsight import settings
from hindsight.fields import shards

ROOT = Path(__file__).parents[1]
YEARS, QUICK_YEARS, JOBS, QUICK_JOBS = 50, 5, 40, 4
FRAMES = 16  # of a job of the small run
CONFIG = {
    "run": "dag",
    "domain": {
        "channels": ["x"],
        "step_hours": 6,
        "longitude_edges": "periodic",
        "train": {"start": "1945-01-01T00:00", "end": "1945-12-31T18:00"},
        "validation": {"start": "1946-01-01T00:00", "end": "1946-12-31T18:00"},
    },
    "download": {"source": "synthetic", "dataset": "ring", "synthetic": {"world": "lorenz96", "spin_up_days": 20}},
    "preprocess": {"annual_harmonics": 0},
    "observe": {"networks": {"half": {"kind": "regular", "every": 2, "error": 1.0, "withheld": 0}}},
    "train": {"backbone": {"kind": "line"}},
    "product": {"members": 8, "member_block": 8, "shard_frames": 120},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="few years and jobs: a check that it runs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "quick": chosen.quick}
        found |= planned(Path(folder) / "long", QUICK_YEARS if chosen.quick else YEARS)
        found |= overhead(Path(folder) / "small", QUICK_JOBS if chosen.quick else JOBS)
    found["load_average"] = os.getloadavg()[1]  # five minutes; other processes on the machine lengthen the times
    print(json.dumps(found, indent=1))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def configured(start: str, end: str, frames: int) -> dict:
    """The configuration, for a test period."""
    config = json.loads(json.dumps(CONFIG))
    config["domain"]["test"] = {"start": start, "end": end}
    config["download"]["synthetic"] |= {"start": "1945-01-01T00:00", "end": end}
    config["product"]["shard_frames"] = frames
    return config


def snakemake(folder: Path, config: dict, *words: str) -> tuple[float, str]:
    """Run the workflow in a folder; how long it took, and what it printed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--profile", ROOT / "profiles/local", "--configfile", folder / "config.yaml", "--cores", "1", *words]
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | path)
    seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(f"snakemake {' '.join(words)} failed:\n{done.stdout[-3000:]}")
    return seconds, done.stdout


def planned(folder: Path, years: int) -> dict:
    """Time a dry run of some years, before and after their files exist."""
    config = configured("1950-01-01T00:00", f"{1949 + years}-12-31T18:00", 120)
    dry, said = snakemake(folder, config, "--dry-run")
    pretend(folder, config, said)
    snakemake(folder, config, "--touch", "--quiet")
    again, nothing = snakemake(folder, config, "--dry-run")
    if "Nothing to be done" not in nothing:
        sys.exit(f"a finished run is not seen as one:\n{nothing[-3000:]}")
    return {"jobs": int(re.search(r"^total +(\d+)", said, re.M)[1]), "dry_run_s": dry, "nothing_to_do_s": again}


def pretend(folder: Path, config: dict, said: str) -> None:
    """Make every file that a dry run says it would make."""
    for line in re.findall(r"^    output: (.*)$", said, re.M):
        for name in line.split(", "):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    asked = settings.read(config)
    before, after = asked.reanalyse.halo_frames(asked.domain.step_hours)
    for shard in shards.cut(asked.domain, asked.product):
        seen = shard.with_halo(before, after, asked.domain).name
        objects = {f"{channel}/c/0/{shard.name}": "0" * 64 for channel in ("x", "mean/x", "spread/x")}
        marker = {"frames": shard.frames, "stretch": seen, "objects": objects}
        (folder / f"results/dag/archive/shards/{shard.name}.json").write_text(json.dumps(marker))


def overhead(folder: Path, jobs: int) -> dict:
    """Seconds per job that are not those of its command, from a run of small jobs."""
    hours = 6 * (FRAMES * jobs - 1)
    end = datetime.datetime(1950, 1, 1) + datetime.timedelta(hours=hours)
    config = configured("1950-01-01T00:00", f"{end:%Y-%m-%dT%H:%M}", FRAMES)
    snakemake(folder, config, "preprocess", "results/dag/settings/observe.json")
    seconds, _ = snakemake(folder, config, "observe")
    own = [took(path) for path in folder.glob("logs/dag/observe/*.tsv")]
    if len(own) != jobs + 1:  # and one that counts the observations
        sys.exit(f"{len(own)} jobs ran, not {jobs + 1}")
    count = len(own)
    return {"overhead_per_job_s": (seconds - sum(own)) / count, "own_s": sum(own) / count, "small_jobs": count}


def took(path: Path) -> float:
    """Seconds of a job's command, by its benchmark file."""
    with path.open() as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])


if __name__ == "__main__":
    main()
