"""The smallest run there is, Lorenz's ring, by the local profile and through SLURM."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.workflow import runs, test_lorenz96

CLUSTER = Path(__file__).parent / "cluster"
# Everything else is the profile's own.
IN_TESTS = ("--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "15", "--jobs", "4")


def configuration(changes: dict | None = None) -> dict:
    """The ring with one network and one shard."""
    return runs.merged(test_lorenz96.one_network(), changes or {})


def environment(cluster: Path | None = None) -> dict[str, str]:
    """The environment of a run; with a cluster's, as `. DIR/env` would make it."""
    found = runs.environment() | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    if cluster is None:
        return found
    return found | {"SLURM_CONF": f"{cluster}/slurm.conf", "PATH": f"{cluster}/bin:{found['PATH']}"}


def command(folder: Path, profile: str, *arguments: str) -> list[str]:
    """The command line of a run in a folder."""
    return [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(runs.ROOT / "Snakefile"),
        "--profile",
        str(runs.ROOT / "profiles" / profile),
        "--configfile",
        str(folder / "config.yaml"),
        "--directory",
        str(folder),
        *arguments,
    ]


def make(
    folder: Path, config: dict, profile: str, *arguments: str, cluster: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess:
    """Make a run in a folder; what Snakemake printed is in `stdout`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        command(folder, profile, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(cluster),
    )
    assert not check or done.returncode == 0, done.stdout[-6000:]
    return done
