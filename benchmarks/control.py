"""A trained controller beside guidances that search, on the same prior: error, spread, evaluations and seconds.

    python benchmarks/control.py --json results/control.json

Waves on a line (config/kuramoto_sivashinsky.yaml) and Lorenz's ring (config/lorenz96.yaml), 10 % of the points observed
in every frame, a short and a long roll-out, ensembles of 16. Writes `{WORLD: {"short" | "long": {METHOD: …}}}`:
root-mean-square error of the ensemble mean, fair CRPS (both in standard deviations) and spread/skill over the scored
frames, error in their first and their last quarter, network evaluations and backward passes per frame and member, and
seconds. Methods:

* `controlled`: the controller, frame after frame with a look-ahead of three frames;
* `sda`, `dps`: the same roll-out with these guidances, at the strength with the least CRPS in the validation period;
* `sda, batch`: all frames together, likewise tuned;
* `default`: what the configuration does.

The workflow trains prior and controller if they are missing. `--quick` trains for seconds and scores few frames: a
check that the benchmark runs.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import cases
import torch
import yaml
from cases import Case

from hindsight import controller as controllers
from hindsight import machine
from hindsight import prior as priors
from hindsight.errors import UserError
from hindsight.progress import Progress
from hindsight.reanalyse import regimes
from hindsight.settings import Reanalyse, Settings

WORLDS = ("kuramoto_sivashinsky", "lorenz96")
NETWORK = {"kind": "random", "share": 0.1, "withheld": 0}
ERRORS = {"kuramoto_sivashinsky": {"noise": 0.05}, "lorenz96": {"error": 1.0}}
LENGTHS = {"short": 28, "long": 128}  # frames; those of the papers, 140 and 640, are a fifth of a time unit apart
SPIN_UP = 8  # frames that are not scored
ROLLOUT = {
    "regime": "fixed_lag",
    "lag_hours": 18,
    "past": "fixed",
    "context": 8,
    "stride": 4,
    "steps": 8,
    "sigma_max": 10.0,
    "sigma_min": 0.03,
    "sampler": {"step": "ddim"},
}
CONTROLLED = ROLLOUT | {"guidance": {"method": "controlled"}, "selection": {"passes": 0}}
STRENGTHS = {  # of guidances that are tuned: what they do, and which strengths are tried
    "sda": (ROLLOUT | {"guidance": {"method": "sda"}}, "gamma", (0.01, 0.1, 1.0)),
    "dps": (
        ROLLOUT | {"guidance": {"method": "dps"}, "sampler": {"step": "ddim", "eta": 0.0}},
        "zeta",
        (0.1, 0.5, 2.0),
    ),
    "sda, batch": (
        {"steps": 24, "sigma_min": 0.03, "sampler": {"step": "ddim"}, "guidance": {"method": "sda"}},
        "gamma",
        (0.01, 0.1, 1.0),
    ),
}
QUICK = {
    "train": {"steps": 20, "batch": 4, "backbone": {"width": 8, "blocks": 2}},
    "controller": {"steps": 60, "batch": 2, "frames": 8, "network": {"width": 8, "blocks": 1}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=WORLDS, help="others in the file are kept")
    parser.add_argument("--cost", choices=("truth", "observations"), default="truth", help="of the controller")
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="minutes: a check that it runs, not how good it is")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    found = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.is_file() else {}
    for world in chosen.worlds:
        run = made(world, chosen.cost, chosen.quick)
        lengths = {"short": 12} if chosen.quick else LENGTHS
        found[world] = compared(run, lengths, 4 if chosen.quick else chosen.members, chosen.quick)
        found[world] |= {"device": cases.device_name(torch.device("cpu")), "cost": chosen.cost, "quick": chosen.quick}
        print(world, json.dumps(found[world]), flush=True)
        cases.write(found, chosen.json)


def made(world: str, cost: str, quick: bool) -> Path:
    """The folder of a run with a prior and its controller; the workflow makes them if they are missing."""
    name = f"{world}_control" + "_quick" * quick
    more = {"run": name, "reanalyse": CONTROLLED, "controller": {"cost": cost}}
    more["observe"] = {"networks": {"sparse10": NETWORK | ERRORS[world]}}
    if quick:
        more |= {"train": QUICK["train"], "controller": more["controller"] | QUICK["controller"]}
    for file in ("train/controller.safetensors", cases.CONFIGURATION):
        path = cases.make(f"results/{name}/{file}", f"config/{world}.yaml", more)
    return path.parents[1]


def compared(run: Path, lengths: dict[str, int], members: int, quick: bool) -> dict:
    """Scores of every method at every length."""
    prior, found = priors.load(run / "train/prior.safetensors", machine.device("auto")), {}
    methods = {"controlled": CONTROLLED, "default": default(run)}
    tuning = cases.observed(run, "sparse10", "validation", SPIN_UP + (4 if quick else 24), prior)
    tuning.scored = slice(SPIN_UP, None)
    for name, (settings, strength, values) in STRENGTHS.items():
        methods[name] = tuned(tuning, settings, strength, values[1:2] if quick else values)
    for name, frames in lengths.items():
        case = cases.observed(run, "sparse10", "test", frames, prior)
        case.scored = slice(SPIN_UP, None)
        found[name] = {method: scored(case, settings, run, members) for method, settings in methods.items()}
    return found | {"strengths": {name: methods[name]["guidance"] for name in STRENGTHS}}


def default(run: Path) -> dict:
    """The settings of the analysis in the configuration that the run began from."""
    world = run.name.removesuffix("_quick").removesuffix("_control")
    given = yaml.safe_load((cases.ROOT / f"config/{world}.yaml").read_text())
    return Settings.model_validate(given).reanalyse.model_dump(mode="json")


def tuned(case: Case, settings: dict, strength: str, values: tuple[float, ...]) -> dict:
    """The settings with the strength that has the least CRPS; one that diverges has none."""
    best = {}
    for value in values:
        tried = settings | {"guidance": settings["guidance"] | {strength: value}}
        best[scored(case, tried, None, 4)["crps"]] = tried
    return best[min(best)]


def scored(case: Case, settings: dict, run: Path | None, members: int) -> dict:
    """Scores and cost of an analysis; errors are infinite if it diverged."""
    chosen = Reanalyse.model_validate({"batch": 64} | settings)
    if chosen.guidance.traits.controller:
        path = run / "train/prior.safetensors"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        case.prior.control = controllers.load(run / "train/controller.safetensors", case.prior, digest, chosen)
    label = f"{chosen.guidance.method} {chosen.regime}"
    progress = Progress(label, regimes.steps(chosen, len(case.times), case.prior.metadata.step_hours))
    began = time.perf_counter()
    try:
        sample = case.analysed(chosen, members, progress=progress)
    except UserError as error:
        print(f"{label}: {error}", flush=True)
        return {name: float("inf") for name in ("rmse", "crps")}
    seconds, cells = time.perf_counter() - began, len(case.times) * members
    return {
        **{name: values[0] for name, values in case.scores(sample.fields).items()},
        **quarters(case, sample.fields),
        "evaluations": sample.cost.evaluations / cells,
        "backward": sample.cost.backward / cells,
        "seconds": seconds,
        "retries": sample.retries,
        **({"at_bound": sample.cost.at_bound / sample.cost.controlled} if sample.cost.controlled else {}),
    }


def quarters(case: Case, fields: object) -> dict[str, float]:
    """The error in the first and the last quarter of the scored frames, in standard deviations."""
    error = ((fields.mean(0) - case.truth)[case.scored] / case.prior.scaling.spread[:, None, None]) ** 2
    part = max(len(error) // 4, 1)
    return {"rmse_first": float(error[:part].mean() ** 0.5), "rmse_last": float(error[-part:].mean() ** 0.5)}


if __name__ == "__main__":
    main()
