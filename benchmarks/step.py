"""A training step of the demo: the share of the linear prior, and the speed by precision, threads and processes.

    make demo && python benchmarks/step.py --json results/step.json

Writes `{"closed_form": {"share", …}, "frames_per_second": {way: {"alone", "beside a busy core"}}, "device", …}`.
`share` is the share of `gauss_markov.ideal` in a whole step (batch, linear prior, network, backward pass, AdamW) on
the demo's batches; `share_before` is the share if `Posterior` did it, which factors in float64 and keeps inverses.
The ways are one thread in float32 and in bfloat16, two threads, two threads that wait passively, and two processes
with one thread each that share the batch (`train.processes: 2`). "Beside a busy core": another process wants a whole
core meanwhile. Figures are from the fastest step alone, and from the mean step beside the other process.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cases
import first_run
import torch
from torch import distributed

from hindsight import machine
from hindsight.diffusion.gauss_markov import Posterior, ideal
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.prior import Prior
from hindsight.settings import Train, load
from hindsight.settings.domain import TrainingDomain
from hindsight.train import batches, loop
from hindsight.train.prior import build, windows
from hindsight.train.team import Team, join
from hindsight.train.windows import Windows, scaling_for

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
WAYS = {  # precision, threads, processes, environment
    "1 thread, float32": ("float32", 1, 1, {}),
    "1 thread, bfloat16": ("bfloat16", 1, 1, {}),
    "2 threads, float32": ("float32", 2, 1, {}),
    "2 threads that wait passively, float32": ("float32", 2, 1, PASSIVE),
    "2 processes, float32": ("float32", 1, 2, {}),
}


def main() -> None:
    """Measure every way, each in new processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--made", type=Path, default=cases.ROOT / "results/demo", help="a run whose prior is trained")
    parser.add_argument("--steps", type=int, default=6, help="that are timed, after one that is not")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        return timed(chosen.made, chosen.way, chosen.steps)
    torch.set_num_threads(1)
    ways: dict[str, dict[str, float]] = {}
    found = {"closed_form": closed_form(chosen.made, chosen.steps), "frames_per_second": ways}
    found["device"] = machine.device_name("cpu")
    for way in WAYS:
        alone = max(measure(chosen, way))
        with first_run.a_busy_core():
            beside = measure(chosen, way)
        ways[way] = {"alone": alone, "beside a busy core": len(beside) / sum(1 / f for f in beside)}
        print(way, json.dumps(ways[way]), flush=True)
    print(json.dumps(found, indent=1))
    cases.write(found, chosen.json)


def measure(chosen: argparse.Namespace, way: str) -> list[float]:
    """Frames per second of each timed step of one way."""
    processes, changes = WAYS[way][2:]
    words = [str(Path(__file__)), "--way", way, "--made", str(chosen.made), "--steps", str(chosen.steps)]
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    start = [sys.executable, *(together if processes > 1 else [])]
    done = subprocess.run([*start, *words], env=os.environ | changes, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def untrained(run: Path, precision: str) -> tuple[Prior, Train, Windows]:
    """An untrained prior with the settings of a run, these settings, and the training windows."""
    domain, settings = load(run / "settings/train.json", [TrainingDomain, Train])
    settings = settings.model_copy(update={"precision": precision})
    inputs = {name: run / f"preprocess/{name}.nc" for name in ("climatology", "statistics")}
    grid = Grid.of(store.read(run / "preprocess/fields.zarr"))
    seen = scaling_for(settings, grid, inputs["climatology"], inputs["statistics"])
    prior = build(
        domain, settings, grid, seen, run / "preprocess/static.nc", run / "train/linear_prior.safetensors", {}
    )
    return prior, settings, windows(domain, settings, "train", run / "preprocess/fields.zarr", seen)


def closed_form(run: Path, steps: int) -> dict:
    """Seconds of a training step and of the linear prior in it, by `ideal` and by `Posterior`."""
    prior, settings, training = untrained(run, "float32")
    loss, optimiser = loop.Loss(prior.train(), settings), torch.optim.AdamW(prior.parameters())
    shape, rows, seconds = (len(prior.metadata.channels), *prior.metadata.grid.shape), range(settings.batch), []
    make = lambda step: batches.make(training, settings, shape, step, rows)
    for step in range(steps + 1):
        whole = clocked(lambda step=step: loop.optimiser_step(loss, make(step), settings, optimiser, step, Team()))
        batch = make(step)
        now = clocked(lambda b=batch: ideal(prior.process, b.noisy, b.sigma))
        before = clocked(lambda b=batch: Posterior(prior.process, b.sigma).mean(b.noisy))
        seconds.append((whole, now, before))
    whole, now, before = (min(column) for column in zip(*seconds[1:]))
    return {
        "seconds_per_step": whole,
        "seconds": now,
        "share": now / whole,
        "seconds_before": before,
        "share_before": before / (whole - now + before),
        "coupled": list(prior.process.coupling.shape),
    }


def timed(run: Path, way: str, steps: int) -> None:
    """Print the frames per second of each step, of all processes together."""
    precision, threads, processes, _ = WAYS[way]
    torch.set_num_threads(threads)
    team, _ = join(processes, "cpu")
    prior, settings, training = untrained(run, precision)
    loss, optimiser = team.parallel(loop.Loss(prior.train(), settings)), torch.optim.AdamW(prior.parameters())
    shape, rows, found = (len(prior.metadata.channels), *prior.metadata.grid.shape), team.rows(settings.batch), []
    for step in range(steps + 1):
        batch = batches.make(training, settings, shape, step, rows)
        took = clocked(lambda step=step, batch=batch: loop.optimiser_step(loss, batch, settings, optimiser, step, team))
        found.append(settings.batch * settings.window / took)
    if team.leads:
        print(json.dumps(found[1:]), flush=True)
    if team.size > 1:
        distributed.barrier()
    team.leave()


def clocked(work: object) -> float:
    """Seconds that a function takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
