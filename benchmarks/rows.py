"""Memory and time of the observation solver by the number of observations, at places that change with every frame.

    python benchmarks/rows.py --json results/rows.json
    python benchmarks/rows.py --quick

The state is that of Europe's run (three channels on 21 x 24 points), in 24 frames with 4 members. The linear prior is
empirical: functions and variances of a made-up field that is smooth in space, with memories of its own. Observations of
a draw from it lie at random between grid points; with `--own-slopes` each is a sum of two channels with slopes of each
member's own, as station pressure is. Each case runs in a process of its own: the guidance is built and draws one sample
of the linear prior given the observations, at infinite noise, where the system is worst conditioned. Writes
`{"processor", "threads", "precision", "cases": [{"rows", "error", "form", "seconds", "processor_seconds",
"peak_mb", "iterations", "residual", "functions"}, …]}`: `peak_mb` is the peak memory of the whole process, `residual`
the largest of a member, |b - (H P H^T + R) v| / |b|, computed afterwards in double precision without matrices.
"""

import argparse
import itertools
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
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.modes import Empirical
from hindsight.diffusion.observation_system import MatrixFree
from hindsight.operators.linear import LinearObservations

CHANNELS, SHAPE, FRAMES, MEMBERS = 3, (21, 24), 24, 4
FUNCTIONS, COUPLED, SAMPLES = 1000, 100, 3000
LENGTH = 2.5  # of the correlation, grid points
ROWS, QUICK = [1000, 3000, 10000, 30000, 100000], [1000, 30000]
MEMORY = {"by default": 2.0, "dense": 1e3, "matrix-free": 0.0}  # GB


def main() -> None:
    """Measure every case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="observations in all frames")
    parser.add_argument("--errors", type=float, nargs="+", default=[0.1], help="of observations, standard deviations")
    parser.add_argument("--forms", choices=MEMORY, nargs="+", default=["by default"])
    parser.add_argument("--own-slopes", action="store_true", help="sums of two channels, other ones for each member")
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK[0]} and {QUICK[1]} rows")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        return print(json.dumps(measure(*json.loads(chosen.case))), flush=True)
    found: dict = {"processor": machine.device_name("cpu"), "threads": 1, "precision": "float32", "cases": []}
    counts = QUICK if chosen.quick else chosen.rows
    for form, error, rows in itertools.product(chosen.forms, chosen.errors, counts):
        case = json.dumps([rows, form, error, chosen.own_slopes])
        done = subprocess.run([sys.executable, __file__, "--case", case], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{rows} rows, {form}, errors of {error}, failed:\n{done.stderr}")
        found["cases"].append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(found["cases"][-1]), flush=True)
    cases.write(found, chosen.json)


def measure(rows: int, form: str, error: float = 0.1, own_slopes: bool = False) -> dict:
    """Seconds, peak memory, iterations and residual of one case."""
    torch.set_num_threads(1)
    process, seen = linear_prior(), observations(rows, error)
    generator = torch.Generator().manual_seed(1)
    white = lambda purpose, size=process.size: torch.randn(MEMBERS, FRAMES, size, generator=generator)
    level = torch.full((FRAMES,), torch.inf)
    truth = process.posterior(level[None]).draw(white("truth")[:1])
    seen = sloped(seen, generator) if own_slopes else seen
    errors = error * torch.randn(seen.value.shape, generator=generator)
    seen = replace(seen, value=seen.forward(truth.expand(MEMBERS if own_slopes else 1, -1, -1)).squeeze(0) + errors)
    began, spent = time.perf_counter(), time.process_time()
    prior = Unguided(process, lambda noisy, posterior, falls, points: posterior.mean(noisy))
    guide = Analytic(prior, seen, iterations=400, memory=MEMORY[form], shape=SHAPE)
    counted, solved = counting(guide), recording(guide)
    guide.start(torch.zeros(MEMBERS, FRAMES, process.size), level, white)
    seconds = time.perf_counter() - began, time.process_time() - spent
    return {
        "rows": rows,
        "error": error,
        "form": f"{form}: {type(guide.system).__name__}",
        "seconds": round(seconds[0], 1),
        "processor_seconds": round(seconds[1], 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "iterations": len(counted),
        "residual": float(f"{residual(guide, *solved[0]):.1e}"),
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


def recording(guide: Analytic) -> list[tuple]:
    """A list of every right side, its posterior and its solution."""
    found, inner = [], guide._solve

    def solve(right: torch.Tensor, posterior: Posterior) -> tuple[torch.Tensor, Posterior]:
        solution, used = inner(right, posterior)
        found.append((right, posterior, solution))
        return solution, used

    guide._solve = solve
    return found


def residual(guide: Analytic, right: torch.Tensor, posterior: Posterior, solution: torch.Tensor) -> float:
    """The largest of a member, relative to its right side."""
    system, v = MatrixFree(guide.process, guide.observations, SHAPE), solution.double()
    image = system.at_places(posterior.double.covariance_of_modes(system.into_modes(v)))
    variance = guide.observations.error.double().square() * guide.observations.present
    left = (right - image - variance * v).flatten(1).norm(dim=1)
    return float((left / right.double().flatten(1).norm(dim=1)).max())


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


def observations(rows: int, error: float) -> LinearObservations:
    """As many rows in every frame, at random places between four grid points of a random channel."""
    generator, shape = torch.Generator().manual_seed(2), (FRAMES, -(-rows // FRAMES))
    draw = lambda limit: torch.rand(shape, generator=generator) * (limit - 1.001)
    (north, up), (east, over) = ((x.floor().long(), x - x.floor()) for x in map(draw, SHAPE))
    first = torch.randint(CHANNELS, shape, generator=generator) * SHAPE[0] * SHAPE[1] + north * SHAPE[1] + east
    point = torch.stack([first, first + 1, first + SHAPE[1], first + SHAPE[1] + 1], -1)
    weight = torch.stack([(1 - up) * (1 - over), (1 - up) * over, up * (1 - over), up * over], -1)
    one = torch.ones(shape)
    return LinearObservations(point, weight, 0 * one, error * one, one)


def sloped(seen: LinearObservations, generator: torch.Generator) -> LinearObservations:
    """The same rows with a tenth of the next channel at the place, and slopes that differ by 2 % between members."""
    above = (seen.point + SHAPE[0] * SHAPE[1]) % (CHANNELS * SHAPE[0] * SHAPE[1])
    point, base = torch.cat([seen.point, above], -1), torch.cat([seen.weight, 0.1 * seen.weight], -1)
    slopes = 1 + 0.02 * torch.randn(MEMBERS, *seen.value.shape, 2, generator=generator)
    weight = (base.unflatten(-1, (2, -1)) * slopes[..., None]).flatten(-2)
    own = {name: getattr(seen, name).expand(MEMBERS, -1, -1) for name in ("value", "error")}
    return replace(seen, point=point, weight=weight, base=base, slopes=slopes, **own)


if __name__ == "__main__":
    main()
