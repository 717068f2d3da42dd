"""Turbulence on a square: one prior in every regime, compared with ForcingDAS's samplers and schedules on that prior.

    python benchmarks/navier_stokes.py --json results/navier_stokes.json

The state (64 x 64 points, a frame per time unit) is observed at 5 % or 10 % of its points, or at a quarter of its
resolution, with errors of 0.05 standard deviations. Writes `{"sparse5" | "sparse10" | "super4": {"nowcast",
"fixed_lag", "batch", "forcingdas", …}}`: mean over the scored frames of |p - g| / |g|, p the mean of the members;
`forcingdas` is their batch (`full_sequence`), and with `--streams` `published` has their other two as well. Under
`details` stand the error of a single member, the spectral error of a member (mean over frames and rings of
wavenumbers of |E_p - E_g| / E_g, kinetic energy), how much the error drifts over the scored frames (relative to its
mean), spread/skill, network evaluations and backward passes per frame and member, and seconds. The workflow trains
the prior (config/navier_stokes.yaml) if it is missing. `--quick` takes a prior trained for seconds, few frames and
few sampling steps.
"""

import argparse
import json
import time
from pathlib import Path

import cases
import numpy as np
import torch
from cases import Case

from hindsight import machine
from hindsight import prior as priors
from hindsight.progress import Progress
from hindsight.reanalyse import regimes
from hindsight.settings import Reanalyse

NETWORKS = ("sparse5", "sparse10", "super4")
REGIMES = {
    "nowcast": {"regime": "nowcast", "context": 6},
    "fixed_lag": {"regime": "fixed_lag", "lag_hours": 12, "context": 6},
    "batch": {"regime": "batch", "frames": 64, "stride": 64},
}
ITERATIONS = {"nowcast": 2, "fixed_lag": 2, "batch": 6}  # of the solver: batch solves for all frames at once
THEIRS = {  # zeta: the best of 0.1, 0.5 and 2 on sparse10; levels above 40 were not learnt
    "design": "forcingdas",
    "sigma_max": 40.0,
    "guidance": {"zeta": 0.5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--prior", type=Path, help="a prior trained elsewhere, of the same design")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, help="others in the file are kept")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--published-members", type=int, default=2, help="of ForcingDAS's, which cost more")
    parser.add_argument("--streams", action="store_true", help="ForcingDAS's nowcast and fixed lag too: an hour")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two minutes: a check that it runs, not how good it is")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    name, more = ("resume", cases.SHORT_SQUARE) if chosen.quick else ("navier_stokes", None)
    path = cases.make(f"results/{name}/train/prior.safetensors", cases.SQUARE, more)
    cases.make(f"results/{name}/{cases.CONFIGURATION}", cases.SQUARE, more)
    prior = priors.load(chosen.prior or path, machine.device("auto"))
    frames, scored = (12, slice(4, 10)) if chosen.quick else (34, slice(8, 32))
    members = (2, 2) if chosen.quick else (chosen.members, chosen.published_members)
    found = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.is_file() else {}
    found |= {"quick": True} if chosen.quick else {}
    for network in chosen.networks:
        case = cases.observed(path.parents[1], network, "test", frames, prior)
        case.scored = scored
        fewer = {"steps": 3} if chosen.quick else {}
        found[network] = compared(case, *members, chosen.streams or chosen.quick, fewer)
        print(network, json.dumps(found[network]), flush=True)
        cases.write(found, chosen.json)


def compared(case: Case, members: int, published: int, streams: bool, fewer: dict) -> dict:
    """Scores of every regime, of ForcingDAS's batch schedule, and with `streams` of its other two."""
    ours = {name: run(case, {**guided(name), **own, **fewer}, members) for name, own in REGIMES.items()}
    wanted = REGIMES if streams else {"batch": REGIMES["batch"]}
    theirs = {name: run(case, {**THEIRS, **own, **fewer}, published) for name, own in wanted.items()}
    return {
        **{name: scores["nrmse"] for name, scores in ours.items()},
        "forcingdas": theirs["batch"]["nrmse"],
        "published": {name: scores["nrmse"] for name, scores in theirs.items()},
        "details": {"hindsight": ours, "forcingdas": theirs},
    }


def guided(regime: str) -> dict:
    """The sampler and guidance of a regime."""
    guidance = {"method": "mmps", "iterations": ITERATIONS[regime]}
    return {"steps": 10, "guidance": guidance, "sampler": {"step": "ddim"}}


def run(case: Case, own: dict, members: int) -> dict:
    """Scores and cost of an analysis."""
    settings, began = Reanalyse.model_validate({"batch": 16, **own}), time.monotonic()
    progress = Progress(f"{settings.design} {settings.regime}", regimes.steps(settings, len(case.times), 6))
    made = case.analysed(settings, members, progress=progress)
    fields, truth = made.fields[:, case.scored, 0], case.truth[case.scored, 0]
    cells = len(case.times) * members
    return {
        **scores(fields, truth),
        "members": members,
        "evaluations": made.cost.evaluations / cells,
        "backward": made.cost.backward / cells,
        "retries": made.retries,
        "seconds": time.monotonic() - began,
    }


def scores(fields: np.ndarray, truth: np.ndarray) -> dict:
    """Scores of members (E, T, H, W) against the truth (T, H, W)."""
    size = lambda x: np.sqrt((x**2).mean((-2, -1)))
    error = size(fields.mean(0) - truth) / size(truth)
    spread = np.sqrt(fields.var(0, ddof=1).mean() * (len(fields) + 1) / len(fields))
    drift = np.polyfit(np.linspace(-0.5, 0.5, len(error)), error, 1)[0]
    return {
        "nrmse": float(error.mean()),
        "nrmse_of_a_member": float((size(fields - truth) / size(truth)).mean()),
        "spectral_error": float(np.abs(energy(fields) / energy(truth) - 1).mean()),
        "drift": float(drift / error.mean()),
        "spread_skill": float(spread / np.sqrt(((fields.mean(0) - truth) ** 2).mean())),
    }


def energy(vorticity: np.ndarray) -> np.ndarray:
    """Kinetic energy of (…, N, N) in rings of wavenumber 1 … N / 3, from psi = -omega / k^2."""
    points = vorticity.shape[-1]
    waves = np.fft.fftfreq(points, 1 / points)
    square = waves[: points // 2 + 1] ** 2 + waves[:, None] ** 2
    power = np.abs(np.fft.rfft2(vorticity)) ** 2 / np.maximum(square, 1)
    ring = np.sqrt(square).round().astype(int)
    return np.stack([power[..., ring == r].sum(-1) for r in range(1, points // 3 + 1)], -1)


if __name__ == "__main__":
    main()
