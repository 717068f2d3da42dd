"""Does training that is killed at random times and resumed end with the same bytes as undisturbed training?

    python benchmarks/resume.py --kills 20 --json results/resume.json

Trains a small prior of the turbulence on a square in a process that is killed (SIGKILL) at random times: while it
starts, in the middle of an epoch, while it writes a checkpoint. Then it may finish, and its prior, learning curve and
checkpoint (weights, optimiser, averages, best) are compared byte by byte with those of an undisturbed run. Writes
`{"kills", "identical", …}`. `--quick` kills three times.
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cases
from safetensors import safe_open

RUN = cases.SHORT_SQUARE["run"]
BEGUN = "parameters"  # what the log says when training begins
EARLY = 0.2  # share of the kills while it starts
SAME = ("prior.safetensors", "checkpoint.safetensors", "curve.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="seed of the times")
    parser.add_argument("--quick", action="store_true", help="three kills: a check that it runs")
    chosen = parser.parse_args()
    kills = 3 if chosen.quick else chosen.kills
    run = cases.make(f"results/{RUN}/train/linear_prior.safetensors", cases.SQUARE, cases.SHORT_SQUARE).parents[1]
    cases.make(f"results/{RUN}/preprocess/static.nc", cases.SQUARE, cases.SHORT_SQUARE)
    start, whole = undisturbed(run)
    reach, moments, steps = 4 * (whole - start) / kills, random.Random(chosen.seed), []
    shutil.rmtree(run / "killed", ignore_errors=True)
    while len(steps) < kills:
        running = train(run, run / "killed")
        if moments.random() < EARLY:
            time.sleep(moments.uniform(0, start))
        else:
            wait_for_training(run / "killed/log", running)
            time.sleep(moments.uniform(0, reach))
        if running.poll() is not None:
            print("finished before all kills had hit; starting over with shorter lives", file=sys.stderr)
            shutil.rmtree(run / "killed")
            steps, reach = [], 0.7 * reach
            continue
        running.kill()
        running.wait()
        steps.append(done(run / "killed/checkpoint.safetensors"))
        print(f"kill {len(steps)}: the checkpoint has {steps[-1]} steps", file=sys.stderr, flush=True)
    if code := train(run, run / "killed").wait():
        sys.exit(f"the resumed training failed ({code}); see {run / 'killed/log'}")
    same = {name: digest(run / "undisturbed" / name) == digest(run / "killed" / name) for name in SAME}
    found = {"kills": kills, "identical": all(same.values()), "files": same, "steps_at_kills": steps}
    print(json.dumps(found))
    cases.write(found, chosen.json)


def train(run: Path, out: Path) -> subprocess.Popen:
    """Start the training step as its rule does, with its outputs in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    made = {name: run / f"preprocess/{name}" for name in ("climatology.nc", "statistics.nc", "static.nc")}
    options = {
        "settings": run / "settings/train.json",
        "fields": run / "preprocess/fields.zarr/zarr.json",
        **{name.split(".")[0]: path for name, path in made.items()},
        "linear_prior": run / "train/linear_prior.safetensors",
        "checkpoint": out / "checkpoint.safetensors",
        "prior": out / "prior.safetensors",
        "tensorboard": out / "tensorboard",
        "curve": out / "curve.csv",
        "figure": out / "curve.png",
    }
    command = [sys.executable, "-m", "hindsight", "train.prior"]
    command += [str(word) for name, path in options.items() for word in (f"--{name}", path)]
    log = (out / "log").open("a")
    return subprocess.Popen(command, stdout=log, stderr=log)


def undisturbed(run: Path) -> tuple[float, float]:
    """Train without a kill; return the seconds until training began and until it ended."""
    shutil.rmtree(run / "undisturbed", ignore_errors=True)
    began, start = time.monotonic(), 0.0
    running = train(run, run / "undisturbed")
    while running.poll() is None:
        time.sleep(0.05)
        if not start and BEGUN in (run / "undisturbed/log").read_text():
            start = time.monotonic() - began
    if running.returncode:
        sys.exit(f"the training failed; see {run / 'undisturbed/log'}")
    return start, time.monotonic() - began


def wait_for_training(log: Path, running: subprocess.Popen) -> None:
    """Wait until the process has begun to train; the log has one line of it from each process before."""
    before = log.read_text().count(BEGUN)
    while running.poll() is None and log.read_text().count(BEGUN) == before:
        time.sleep(0.02)


def done(checkpoint: Path) -> int:
    """Number of training steps in a checkpoint; 0 if there is none."""
    if not checkpoint.is_file():
        return 0
    with safe_open(checkpoint, "pt") as file:
        return json.loads(file.metadata()["hindsight"])["step"]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
