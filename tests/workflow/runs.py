"""Run the workflow in a folder of its own, as a person would."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests import warm

ROOT = Path(__file__).parents[2]
SHORT = {  # the Europe configuration, shortened
    "domain": {"train": {"start": "2000-01-01T12:00", "end": "2003-12-31T12:00"},
               "validation": {"start": "2008-01-01T12:00", "end": "2008-02-29T12:00"},
               "test": {"start": "2009-01-01T12:00", "end": "2009-02-09T12:00"}},
    "train": {"steps": 6, "batch": 4, "checkpoint_every": 2, "validate_every": 3, "threads": 1,
              "backbone": {"width": 8, "multipliers": [1]}},
    "product": {"members": 4, "member_block": 2, "shard_frames": 24},
    "reanalyse": {"steps": 2, "halo": 4, "threads": 1},
    "baselines": {"climatology": {"days": 15}},
    "verify": {"resamples": 50},
}

IDLE = {  # few jobs of every kind, for steps that make nothing
    "domain": {
        "step_hours": 24,
        "train": {"start": "2000-01-01", "end": "2000-01-20"},
        "validation": {"start": "2000-02-01", "end": "2000-02-02"},
        "test": {"start": "2000-03-01", "end": "2000-03-02"},
    },
    "product": {"members": 2, "member_block": 2},
    "observe": {"networks": {"plain": {}}},
    "archive": {"netcdf": "mean"},
}
STEP = """#!/bin/bash
# A step that makes what it is to make, of nothing.
printf '%s\\0' "$@" >> "$RECORD"
for word in "$@"; do
  case "$word" in
    results/* | resources/*)
      if [ ! -e "$word" ]; then
        mkdir -p "$(dirname "$word")"
        echo '{"host_bytes": {"value": 1}}' > "$word"
      fi ;;
  esac
done
"""


def merged(base: dict, changes: dict) -> dict:
    """A configuration with changes laid over it."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        inner = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if inner else value
    return result


def configuration(data: Path, changes: dict | None = None) -> dict:
    """The shortened Europe configuration on the data in a folder."""
    europe = yaml.safe_load((ROOT / "config/europe.yaml").read_text())
    return merged(merged(europe, SHORT | {"data": str(data)}), changes or {})


def snakemake(
    folder: Path, config: dict, *arguments: str, check: bool = True, real: bool = False
) -> subprocess.CompletedProcess:
    """Run snakemake in a folder with a configuration; what it printed is in `stdout`.

    It and its steps are forked from one process that has their imports (`tests/warm`), unless they are to be real ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    words = command(folder, *arguments)
    done = subprocess.run(words, text=True, env=environment(), **how) if real else warm_run(words, **how)
    assert not check or done.returncode == 0, done.stdout[-6000:]
    return done


def command(folder: Path, *arguments: str) -> list[str]:
    """The command line of a run in a folder."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--profile",
            str(ROOT / "profiles/local"), "--configfile", str(folder / "config.yaml"), "--directory", str(folder),
            "--cores", "2", *arguments]


def environment() -> dict[str, str]:
    """The environment, with the commands of this Python first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "SOURCE_DATE_EPOCH": "1767225600", "OMP_NUM_THREADS": "1"}


def warm_run(words: list[str | Path], env: dict[str, str] | None = None, **options) -> subprocess.CompletedProcess:
    """Run `python -m snakemake …` forked from a process that has its imports, and those of its steps."""
    assert words[1:3] == ["-m", "snakemake"], words
    return subprocess.run(["snakemake", *words[3:]], text=True, env=warmed(env or environment()), **options)


def warmed(environment: dict[str, str]) -> dict[str, str]:
    """An environment in which `snakemake` and `hindsight` are forked from a process that has their imports."""
    return environment | {"PATH": f"{warm.folder()}{os.pathsep}{environment['PATH']}"}


def executed(text: str) -> set[str]:
    """The rules that a run or a dry run says it executes."""
    lines = [line.split() for line in text.split("Job stats:")[-1].splitlines()] if "Job stats:" in text else []
    return {words[0] for words in lines if len(words) == 2 and words[1].isdigit()} - {"total", "all"}


def idle(folder: Path, config: dict, *arguments: str) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run the workflow with steps that only make files; the finished process, and all words that the steps were given."""
    step, record = folder.parent / "idle/hindsight", folder.parent / "record"
    for path in (folder, step.parent):
        path.mkdir(parents=True, exist_ok=True)
    step.write_text(STEP)
    step.chmod(0o755)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    own = environment()
    own |= {"RECORD": str(record), "PATH": f"{step.parent}{os.pathsep}{own['PATH']}"}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command(folder, *arguments), text=True, env=own, **how)
    return done, record.read_text().split("\0") if record.exists() else []
