"""Lorenz-96 compared with DAPPER: a learned prior and methods that use the equations.

    python benchmarks/lorenz96.py --json results/lorenz96.json

Every variable, every second and every fourth is observed with unit error every 0.05 time units; both sides get the
same truth and the same observations. Writes `{"all" | "every2" | "every4": {"filter", "smoother", "smoother_regime",
"spread_skill", "enkf", "ienks_smoother", …}}`: time means of the spatial root-mean-square error of the ensemble mean
over the scored frames, and spread/skill of the better smoother. The workflow trains the prior (config/lorenz96.yaml)
if it is missing. DAPPER runs in its own environment (.dapper), which is made if it is missing. `--quick` trains for
seconds and scores few frames: a check that the benchmark runs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
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

ROOT = Path(__file__).parents[1]
DAPPER = "dapper==1.7.1"
NETWORKS = {"all": 1, "every2": 2, "every4": 4}
QUICK = {
    "run": "lorenz96_quick",
    "download": {"dataset": "lorenz96_quick", "synthetic": {"start": "1999-01-01T00:00"}},
    "domain": {"train": {"start": "1999-01-01T00:00"}, "validation": {"end": "2000-03-31T18:00"}},
    "train": {"steps": 30, "batch": 8, "backbone": {"width": 16, "blocks": 4}},
}
COMMON = {
    "sigma_max": 20.0,
    "sigma_min": 0.03,
    "guidance": {"method": "fused"},
    "sampler": {"step": "ddim"},
    "stride": 16,
    "batch": 64,
}
SLIDING = {"regime": "sliding", "context": 32, "window": {"carried": 1.0}}
FILTER = Reanalyse(**COMMON, **SLIDING, lag_hours=0, steps=5)
SMOOTHERS = {
    "sliding": Reanalyse(**COMMON, **SLIDING | {"window": {"carried": 1.0, "hop_hours": 24}}, lag_hours=96, steps=8),
    "batch": Reanalyse(**COMMON, steps=24),
    "batch, 2 passes": Reanalyse(**COMMON, steps=24, selection={"passes": 2, "sigma": 1.0}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--prior", type=Path, help="a prior trained elsewhere")
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two minutes: a check that it runs")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    prior = priors.load(chosen.prior or trained(chosen.quick), machine.device("auto"))
    frames, members = (24, 4) if chosen.quick else (232, chosen.members)
    scored = slice(8, 20) if chosen.quick else slice(48, 200)
    truth = cases.simulated(frames)
    found = {"quick": True} if chosen.quick else {}
    for name, every in NETWORKS.items():
        found[name] = compared(prior, truth, every, scored, members)
        print(name, json.dumps(found[name]), flush=True)
    cases.write(found, chosen.json)


def trained(quick: bool) -> Path:
    """The prior of config/lorenz96.yaml; the workflow makes it if it is missing."""
    run = QUICK["run"] if quick else "lorenz96"
    return cases.make(f"results/{run}/train/prior.safetensors", "config/lorenz96.yaml", QUICK if quick else None)


def compared(prior: priors.Prior, truth: np.ndarray, every: int, scored: slice, members: int) -> dict:
    """All scores when one variable of `every` is observed."""
    case = cases.ring(prior, len(truth) - 1, every, scored)
    observations = case.table["value"].to_numpy().reshape(len(case.times), -1)
    found = peers(truth, observations, every, scored)
    began = time.monotonic()
    sample = analysed(case, members, FILTER)
    found["filter"], found["filter_spread_skill"] = (f(sample, truth[1:], scored) for f in (error, calibration))
    found["filter_seconds"] = time.monotonic() - began
    found["smoothers"] = {}
    for name, settings in SMOOTHERS.items():
        began = time.monotonic()
        sample = analysed(case, members, settings)
        found["smoothers"][name] = {
            "smoother": error(sample, truth[1:], scored),
            "spread_skill": calibration(sample, truth[1:], scored),
            "seconds": time.monotonic() - began,
        }
    best = min(SMOOTHERS, key=lambda name: found["smoothers"][name]["smoother"])
    found |= {"smoother_regime": best, "smoother": found["smoothers"][best]["smoother"]}
    return found | {"spread_skill": found["smoothers"][best]["spread_skill"]}


def analysed(case: Case, members: int, settings: Reanalyse) -> np.ndarray:
    """Members of an analysis, (E, T, 40)."""
    progress = Progress(settings.regime, regimes.steps(settings, len(case.times), 6))
    return case.analysed(settings, members, progress=progress).fields[:, :, 0, 0]


def error(sample: np.ndarray, truth: np.ndarray, scored: slice) -> float:
    """Time mean of the spatial root-mean-square error of the ensemble mean."""
    departure = (sample.mean(0) - truth)[scored]
    return float(np.sqrt((departure**2).mean(1)).mean())


def calibration(sample: np.ndarray, truth: np.ndarray, scored: slice) -> float:
    """Spread over skill, with the factor of a finite ensemble (Fortin et al. 2014)."""
    members = len(sample)
    variance = sample.var(0, ddof=1)[scored].mean() * (members + 1) / members
    return float(np.sqrt(variance / ((sample.mean(0) - truth)[scored] ** 2).mean()))


def peers(truth: np.ndarray, observations: np.ndarray, every: int, scored: slice) -> dict:
    """DAPPER's scores for the same truth and observations."""
    with tempfile.TemporaryDirectory() as folder:
        case, out = Path(folder) / "case.npz", Path(folder) / "out.json"
        np.savez(case, truth=truth, observations=observations, every=every, first=scored.start, last=scored.stop)
        script = str(ROOT / "benchmarks/peer_dapper.py")
        done = subprocess.run([interpreter(), script, case, out], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"DAPPER failed:\n{done.stderr[-2000:]}")
        return json.loads(out.read_text())


def interpreter() -> str:
    """The Python that has DAPPER; its environment is made if it is missing."""
    home = ROOT / ".dapper"
    python = home / "bin/python"
    if subprocess.run([python, "-c", "import dapper"], capture_output=True).returncode if python.exists() else True:
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", DAPPER], check=True)
    return str(python)


if __name__ == "__main__":
    main()
