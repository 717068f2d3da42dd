"""Memory and time of the observation solver by the number of observations, at places that change with every frame.

    python benchmarks/rows.py --json results/rows.json

The state is that of Europe's run (three channels on 21 x 24 points), in 24 frames with 4 members. The linear prior is
empirical: functions and variances of a made-up field that is smooth in space, with memories of its own. Observations of
a draw from it, with errors of 0.1 standard deviations, lie at random between grid points. Each case runs in a process
of its own: the guidance is built and draws one sample of the linear prior given the observations, at infinite noise,
where the system is worst conditioned. Writes `{"processor", "threads", "precision", "cases":
[{"rows", "form", "seconds", "peak_gb", "iterations", "functions"}, …]}`; `peak_gb` is the peak memory of the whole
process.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cases
import torch

from hindsight import machine
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.modes import Empirical
from hindsight.operators.linear import LinearObservations

CHANNELS, SHAPE, FRAMES, MEMBERS = 3, (21, 24), 24, 4
FUNCTIONS, COUPLED, SAMPLES = 1000, 100, 3000
ERROR, LENGTH = 0.1, 2.5  # standard deviations; grid points
MEMORY = {"by default": 2.0, "dense": 1e3, "matrix-free": 0.0}  # GB


def main() -> None:
    """Measure every case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10000, 100000], help="observations in all frames")
    parser.add_argument("--forms", choices=MEMORY, nargs="+", default=["matrix-free", "by default"])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        rows, form = chosen.case.split(",")
        return print(json.dumps(measure(int(rows), form)), flush=True)
    found: dict = {"processor": machine.device_name("cpu"), "threads": 1, "precision": "float32", "cases": []}
    for form in chosen.forms:
        for rows in chosen.rows:
            command = [sys.executable, __file__, "--case", f"{rows},{form}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{rows} rows, {form}, failed:\n{done.stderr}")
            found["cases"].append(json.loads(done.stdout.splitlines()[-1]))
            print(json.dumps(found["cases"][-1]), flush=True)
    cases.write(found, chosen.json)


def measure(rows: int, form: str) -> dict:
    """Seconds and peak memory of one case."""
    torch.set_num_threads(1)
    process, seen = linear_prior(), observations(rows)
    generator = torch.Generator().manual_seed(1)
    white = lambda purpose, size=process.size: torch.randn(MEMBERS, FRAMES, size, generator=generator)
    level = torch.full((FRAMES,), torch.inf)
    truth = process.posterior(level[None]).draw(white("truth")[:1])
    errors = ERROR * torch.randn(seen.value.shape, generator=generator)
    seen = replace(seen, value=seen.forward(truth)[0] + errors)
    began = time.perf_counter()
    prior = Unguided(process, lambda noisy, posterior, falls, points: posterior.mean(noisy))
    guide = Analytic(prior, seen, iterations=400, memory=MEMORY[form], shape=SHAPE)
    counted = counting(guide)
    guide.start(torch.zeros(MEMBERS, FRAMES, process.size), level, white)
    return {
        "rows": rows,
        "form": f"{form}: {type(guide.system).__name__}",
        "seconds": round(time.perf_counter() - began, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
        "iterations": len(counted),
        "functions": len(process.variance),
    }


def counting(guide: Analytic) -> list[int]:
    """A list that grows by one with every product with the system."""
    products, inner = [], guide.system.at_places

    def count(coefficients: torch.Tensor) -> torch.Tensor:
        products.append(1)
        return inner(coefficients)

    guide.system.at_places = count
    return products


def linear_prior() -> GaussMarkov:
    """An empirical prior: functions and variances of smooth fields, of which the leading ones are coupled in time."""
    generator = torch.Generator().manual_seed(0)
    fields = torch.stack([smooth(generator) for _ in range(CHANNELS)], 1).flatten(1)  # (samples, D)
    functions, deviation, _ = torch.linalg.svd(fields.T / SAMPLES**0.5, full_matrices=False)
    turn = torch.linalg.qr(torch.randn(2, COUPLED, COUPLED, generator=generator))[0]
    coupling = (turn[0] * torch.linspace(0.95, 0.3, COUPLED) @ turn[1].mT)[None]
    variance = deviation[:FUNCTIONS].square().clamp(min=1e-6)
    persistence = torch.linspace(0.6, 0.1, FUNCTIONS - COUPLED)
    return GaussMarkov(Empirical(functions[:, :FUNCTIONS].contiguous()), variance, coupling, persistence)


def smooth(generator: torch.Generator) -> torch.Tensor:
    """Fields (samples, H * W) of unit variance, correlated over `LENGTH` grid points, with a rough remainder."""
    roots = []
    for count in SHAPE:
        place = torch.arange(count, dtype=torch.float32)
        covariance = torch.exp(-0.5 * ((place[:, None] - place) / LENGTH).square()) + 1e-3 * torch.eye(count)
        roots.append(torch.linalg.cholesky(covariance))
    white = torch.randn(SAMPLES, *SHAPE, generator=generator)
    return (roots[0] @ white @ roots[1].T).flatten(1)


def observations(rows: int) -> LinearObservations:
    """As many rows in every frame, at random places between four grid points of a random channel."""
    generator, shape = torch.Generator().manual_seed(2), (FRAMES, -(-rows // FRAMES))
    draw = lambda limit: torch.rand(shape, generator=generator) * (limit - 1.001)
    (north, up), (east, over) = ((x.floor().long(), x - x.floor()) for x in map(draw, SHAPE))
    first = torch.randint(CHANNELS, shape, generator=generator) * SHAPE[0] * SHAPE[1] + north * SHAPE[1] + east
    point = torch.stack([first, first + 1, first + SHAPE[1], first + SHAPE[1] + 1], -1)
    weight = torch.stack([(1 - up) * (1 - over), (1 - up) * over, up * (1 - over), up * over], -1)
    one = torch.ones(shape)
    return LinearObservations(point, weight, 0 * one, ERROR * one, one)


if __name__ == "__main__":
    main()
