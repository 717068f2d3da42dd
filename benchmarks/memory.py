"""Peak memory of a reanalysis job for a period of 100 and of 400 frames.

    python benchmarks/memory.py [--run results/europe] [--json FILE]

Cuts both periods into shards as the run does, runs every shard in a new process, and prints the largest resident memory
of any job. It must not grow with the period.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from hindsight.fields import shards
from hindsight.settings import Settings, stage_settings

JOB = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def peak(run: Path, chosen: Settings, network: str, frames: int) -> dict:
    """Run a period of `frames` frames, shard by shard; return the largest peak of a job (MB) and the number of jobs."""
    start = chosen.domain.test.start
    test = {"start": start, "end": start + timedelta(hours=chosen.domain.step_hours * (frames - 1))}
    cut = Settings.model_validate(chosen.model_dump() | {"domain": chosen.domain.model_dump() | {"test": test}})
    known = shards.cut(cut.domain, cut.product)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "reanalyse.json"
        settings.write_text(stage_settings(cut, "reanalyse"))
        peaks = [_job(run, network, settings, cut, shard) for shard in known]
    return {"frames": frames, "jobs": len(known), "peak_mb": round(max(peaks))}


def _job(run: Path, network: str, settings: Path, chosen: Settings, shard: shards.Shard) -> float:
    before, after = chosen.reanalyse.halo_frames(chosen.domain.step_hours)
    own, seen = (shard.with_halo(*halo, chosen.domain) for halo in ((0, 0), (before, after)))
    members = chosen.product.block(0)
    command = [
        sys.executable,
        "-m",
        "hindsight",
        "reanalyse.shard",
        "--settings",
        settings,
        "--prior",
        run / "train/prior.safetensors",
        "--climatology",
        run / "preprocess/climatology.nc",
        "--statistics",
        run / "preprocess/statistics.nc",
        "--observations",
        *sorted((run / f"observe/{network}").glob("*.parquet")),
        "--shard",
        own.name,
        "--stretch",
        seen.name,
        "--members",
        f"{members[0]}-{members[-1]}",
        "--analysis",
        settings.with_name(f"{shard.name}.nc"),
    ]
    done = subprocess.run([sys.executable, "-c", JOB, *map(str, command)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the peak memory for both periods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("results/europe"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    chosen = Settings.model_validate_json((arguments.run / "settings/configuration.json").read_text())
    network = next(iter(chosen.observe.networks))
    found = [peak(arguments.run, chosen, network, frames) for frames in (100, 400)]
    for one in found:
        print(
            f"{one['frames']} frames in {one['jobs']} jobs of at most {chosen.product.shard_frames} frames and "
            f"{chosen.reanalyse.halo} of halo a side, {chosen.product.members} members: peak {one['peak_mb']} MB"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
