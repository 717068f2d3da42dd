"""Cost and accuracy of every guidance: evaluations, backward passes, seconds, memory; RMSE, CRPS, spread/skill.

    python benchmarks/guidance_cost.py --json results/guidance_cost.json --image docs/images/guidance_cost.png

Cases: Lorenz-96 with every second variable observed, 64 frames at once and four members (config/lorenz96.yaml makes
the prior), and, if results/europe has a run, Europe's validation period with its two networks. Every row is measured in
a new process, so that its peak memory is known. Writes a list of `{case, guidance, sampler, steps, evaluations,
backward_passes, seconds, peak_mb, rmse, crps, spread_skill}`: evaluations, backward passes and seconds per analysed
frame and member; RMSE and fair CRPS in standard deviations, averaged over channels; null where the sample diverged.
`--quick` takes a prior trained for seconds, few frames and few rows: a check that the benchmark runs.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import cases
import numpy as np
import panels
import torch
from lorenz96 import trained
from matplotlib import pyplot as plt

from hindsight import machine
from hindsight import prior as priors
from hindsight.errors import UserError
from hindsight.settings import Reanalyse

ANCESTRAL, STRAIGHT, SECOND, DRAWN = (
    {"step": "ddim"},
    {"step": "ddim", "eta": 0.0},
    {"step": "second_order"},
    {"step": "covariance"},
)
WAYS = [
    {"guidance": {"method": "analytic"}, "sampler": DRAWN},
    {"guidance": {"method": "analytic"}, "sampler": SECOND},
    {"guidance": {"method": "analytic"}, "sampler": DRAWN, "regime": "sliding"},
    {"guidance": {"method": "fused"}, "sampler": ANCESTRAL},
    {"guidance": {"method": "fused"}, "sampler": SECOND},
    {"guidance": {"method": "fused"}, "sampler": ANCESTRAL, "selection": {"passes": 2, "sigma": 1.0}},
    {"guidance": {"method": "fused"}, "sampler": ANCESTRAL, "regime": "sliding"},
    {"guidance": {"method": "mmps", "iterations": 1}, "sampler": ANCESTRAL},
    {"guidance": {"method": "mmps", "iterations": 3}, "sampler": SECOND},
    {"guidance": {"method": "sda", "gamma": 0.1}, "sampler": ANCESTRAL},
    {"guidance": {"method": "sda", "gamma": 0.1}, "sampler": ANCESTRAL, "selection": {"passes": 2, "sigma": 1.0}},
    {"guidance": {"method": "dps"}, "sampler": STRAIGHT},
    {"guidance": {"method": "forcing"}, "sampler": STRAIGHT},
    {"guidance": {"method": "diagonal"}, "sampler": ANCESTRAL},
]
EUROPE = Path("results/europe")
FIELDS = ("rmse", "crps", "spread_skill")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the rows go")
    parser.add_argument("--image", type=Path, help="where the picture goes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two minutes: a check that it runs")
    parser.add_argument("--only", help="run one case only")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        return print(json.dumps(measured(**json.loads(chosen.one))))
    rows = []
    for case, prior, frames, members, steps in experiments(chosen.quick):
        if chosen.only in (None, case):
            for way in WAYS:
                posed = {"case": case, "prior": str(prior), "frames": frames, "members": members, "way": way}
                for count in steps:
                    rows += row(posed | {"steps": count, "threads": chosen.threads}, chosen.quick)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(rows, indent=1))
    if chosen.image:
        draw(rows, chosen.image)


def experiments(quick: bool) -> list[tuple[str, Path, int, int, list[int]]]:
    """Cases, their priors, frames, members and step counts."""
    ring = trained(quick)
    if quick:
        return [("lorenz96 every2", ring, 12, 2, [2])]
    found = [("lorenz96 every2", ring, 64, 4, [8, 24])]
    prior = EUROPE / "train/prior.safetensors"
    if not prior.exists():
        print("no run in results/europe (make europe DATA=…): Lorenz-96 alone", file=sys.stderr)
        return found
    return found + [(f"europe {network}", prior, 40, 8, [2, 4, 8]) for network in ("sparse10", "sparse2")]


def row(asked: dict, quick: bool) -> list[dict]:
    """One row, measured in a new process; none if the guidance does not support the case."""
    done = subprocess.run([sys.executable, __file__, "--one", json.dumps(asked)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{asked}\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found is None:
        return []
    if quick:
        found["quick"] = True
    print(json.dumps(found), flush=True)
    return [found]


def measured(case: str, prior: str, frames: int, way: dict, steps: int, members: int, threads: int) -> dict | None:
    """Sample one case with one guidance and sampler, and measure it."""
    torch.set_num_threads(threads)
    loaded, (kind, name) = priors.load(Path(prior), machine.device("auto")), case.split()
    if kind == "lorenz96":
        edge = min(32, frames // 4)
        posed = cases.ring(loaded, frames, int(name.removeprefix("every")), slice(edge, frames - edge))
        levels = {"sigma_max": 20.0, "sigma_min": 0.03, "stride": 16, "solver_tolerance": 1e-3, "batch": 64}
        sliding = {"lag_hours": 96, "context": 32, "window": {"hop_hours": 24, "carried": 1.0}}
    else:
        posed = cases.validation(EUROPE, name, frames, loaded)
        levels, sliding = {"frames": 128, "stride": 128, "batch": 4}, {"lag_hours": 96, "context": 12}
    if way["guidance"]["method"] == "fused" and not posed.prior.metadata.points:
        return None
    if way.get("regime") == "sliding":
        levels |= sliding
    settings = Reanalyse(**way, steps=steps, retries=0, **levels)
    found = {"case": case, "guidance": guidance_of(way), "sampler": sampler_of(way), "steps": steps}
    began, cells = time.monotonic(), members * frames
    try:
        made = posed.analysed(settings, members)
    except UserError:
        nothing = dict.fromkeys(("evaluations", "backward_passes", "seconds", "peak_mb", *FIELDS))
        return found | nothing | {"note": "diverged"}
    seconds, scores = time.monotonic() - began, posed.scores(made.fields)
    found |= {
        "evaluations": made.cost.evaluations / cells,
        "backward_passes": made.cost.backward / cells,
        "seconds": seconds / cells,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return found | {name: float(np.mean(scores[name])) for name in FIELDS}


def guidance_of(way: dict) -> str:
    """The guidance and what comes with it, in words."""
    method, passes = way["guidance"], way.get("selection", {}).get("passes")
    words = [f"{method['method']} {method.get('iterations', '')}".strip()]
    return ", ".join(words + [f"{passes} passes"] * bool(passes) + [way.get("regime", "")] * ("regime" in way))


def sampler_of(way: dict) -> str:
    """The step, in words."""
    return way["sampler"]["step"] + (" eta 0" if way["sampler"].get("eta") == 0.0 else "")


def draw(rows: list[dict], path: Path) -> None:
    """Draw RMSE over evaluations and backward passes, one line per guidance and sampler."""
    colours = dict(zip(dict.fromkeys((r["guidance"], r["sampler"]) for r in rows), plt.get_cmap("tab20").colors))

    def fill(panel: plt.Axes, name: str) -> None:
        for way, colour in colours.items():
            line = [r for r in rows if r["case"] == name and (r["guidance"], r["sampler"]) == way and r["rmse"]]
            if line:
                cost = [r["evaluations"] + r["backward_passes"] for r in line]
                panel.plot(cost, [r["rmse"] for r in line], "o-", color=colour, ms=4, label=", ".join(way))

    names = list(dict.fromkeys(row["case"] for row in rows))
    panels.error_over_cost(names, "network evaluations and passes back, per frame and member", fill, path)


if __name__ == "__main__":
    main()
