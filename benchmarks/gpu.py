"""Everything that needs a GPU, in one command: `make gpu-check`.

    python benchmarks/gpu.py --json results/gpu.json

Runs the tests that compare the GPU with the CPU and with itself (tests/gpu), then measures on the GPU: training steps
of two networks and of the published DiT-B (benchmarks/training.py), and an analysis of eight members of sixty frames
of a globe of 32 x 64 points, twice (`again_s` is without compilation and first allocations). Writes `{"device",
"torch", "date", "tests", "training", "analysis"}`. Without a GPU it says so, and measures nothing. `--device cpu`
measures on the CPU, to check the benchmark itself; `--quick` takes a few small steps.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cases
import efficiency
import numpy as np
import torch
import training

from hindsight import machine, settings
from hindsight.reanalyse import timing
from hindsight.reanalyse.assimilation import Task
from hindsight.settings import Train

MEMBERS, FRAMES = 8, 60
BACKBONES = {"unet": (training.BACKBONES["unet"], 64), "transformer": (training.BACKBONES["transformer"], 64)}


def main() -> int:
    """Check and measure, print the figures, and write them; 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--device", default="cuda", help="what to measure on")
    parser.add_argument("--quick", action="store_true", help="a minute: a check that it runs")
    chosen = parser.parse_args()
    if chosen.device != "cpu" and not torch.cuda.is_available():
        print(f"no GPU: nothing was checked or measured; {machine.unused_gpu() or 'this machine has none'}")
        return 0
    machine.compute_reproducibly(1)
    device = torch.device(chosen.device)
    found = {
        "device": machine.device_name(device),
        "torch": torch.__version__,
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "quick": chosen.quick,
    }
    for name, measure in (("tests", tests), ("training", trained), ("analysis", analysed)):
        found[name] = measure(device, chosen.quick)
        print(json.dumps({name: found[name]}), flush=True)
        cases.write(found, chosen.json)
    return int(found["tests"]["failed"] > 0)


def tests(device: torch.device, quick: bool) -> dict[str, object]:
    """Numbers of tests/gpu that passed, failed and were skipped on the device, and the names of those that failed."""
    command = [sys.executable, "-m", "pytest", "-rf", "-n", "0", "-k", device.type, "tests/gpu"]
    done = subprocess.run(
        command, cwd=cases.ROOT, capture_output=True, text=True, env=os.environ | {"HINDSIGHT_NO_SKIPS": "0"}
    )
    counts = {word: _count(word, done.stdout) for word in ("passed", "failed", "skipped")}
    counts["failed"] += _count("error", done.stdout) + (not any(counts.values()))
    return counts | {"failures": re.findall(r"^(?:FAILED|ERROR) (.*)", done.stdout, re.MULTILINE)}


def _count(word: str, said: str) -> int:
    found = re.findall(rf"(\d+) {word}", said)
    return int(found[-1]) if found else 0


def trained(device: torch.device, quick: bool) -> list[dict[str, object]]:
    """Training steps; `peak_share` as in benchmarks/training.py."""
    rows = []
    for name, (backbone, batch) in BACKBONES.items():
        given = {"backbone": training.SMALL[name] if quick else backbone, "coordinates": False, "window": 12}
        asked = Train.model_validate(given | {"batch": 2 if quick else batch, "precision": "bfloat16"})
        row = training.timed(training.square(asked), asked, device, 2 if quick else 20)
        peak = training.fastest(device, half=True)
        rows.append({"backbone": name, "dtype": "bfloat16", **row, "peak_share": row["flop_per_second"] / peak})
    return rows if quick or device.type != "cuda" else [*rows, training.published(device, 6)]


def analysed(device: torch.device, quick: bool) -> dict[str, object]:
    """An analysis of a globe from random stations, and the share of the network in its time."""
    members, frames = (2, 12) if quick else (MEMBERS, FRAMES)
    test = {"start": "2002-01-01T00:00", "end": "2002-12-31T18:00"}
    asked = settings.read(efficiency.CONFIG | {"domain": efficiency.CONFIG["domain"] | {"test": test}})
    times = np.datetime64("2002-01-01T00", "ns") + np.arange(frames) * np.timedelta64(6, "h")
    seen = efficiency.stations(efficiency.weather(frames, 1), times)
    task, prior = Task(times, seen, list(range(members)), 1), efficiency.blank(asked).to(device)
    first, again = (timing.analyse(prior, task, asked.reanalyse) for _ in range(2))
    return {
        "members": members,
        "frames": frames,
        "points": list(efficiency.GLOBE.shape),
        "observations": len(seen),
        "dtype": prior.precision,
        "evaluations": again.work.evaluations,
        "first_s": first.seconds,
        "again_s": again.seconds,
        "network_share": again.network / again.seconds,
        "device_gb": again.device / 1e9,
        "same_bytes": first.fields.tobytes() == again.fields.tobytes(),
    }


if __name__ == "__main__":
    sys.exit(main())
