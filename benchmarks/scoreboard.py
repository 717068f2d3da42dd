"""The scoreboard: every method on one prior, with the same observations, the same scores and the same machine.

    python benchmarks/scoreboard.py --json results/scoreboard.json --image docs/images/scoreboard.png --tables FILE
    python benchmarks/scoreboard.py --json FILE --case "europe sparse2" --method LETKF "SDA, tuned"
    python benchmarks/scoreboard.py --quick

Cases: Lorenz-96 with every, every second and every fourth variable observed, and Europe with its two networks. The
workflow trains a prior that is missing (config/lorenz96.yaml; Europe's with `--data`). Every row is measured in a
process of its own, so that its peak memory is known; rows that the file has already are kept. A method has a row with
its constants (a rival's are those of its paper) and, marked `tuned`, one with those of its grid that have the
least CRPS on other frames, of the validation period.

Writes a list of `{case, method, rmse, crps, spread_skill, spectral_error, evaluations, backward_passes, seconds,
peak_mb, members, frames, settings, precision, threads, processor, quick}`. Scores are `[value, low, high]` with 90 %
intervals (`scores.significance`; null for few frames): RMSE of the ensemble mean and fair CRPS in standard deviations,
means over channels, and spread/skill; null where the sample diverged, with a `note`. `spectral_error` is the mean over
zonal wavenumbers of |E_member / E_truth - 1|. Network evaluations, backward passes and seconds are per analysed frame
and member.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import cases
import numpy as np
import panels
import torch
from cases import Case
from lorenz96 import QUICK
from matplotlib import pyplot as plt

from hindsight import machine
from hindsight import prior as priors
from hindsight.baselines import covariance, each_frame, ensemble_filter, forecasts
from hindsight.baselines.ensf import FORECASTS, EnsembleScoreFilter
from hindsight.baselines.four_d_var import FourDVar
from hindsight.baselines.letkf import LETKF
from hindsight.baselines.localisation import Localisation
from hindsight.baselines.optimal_interpolation import OptimalInterpolation
from hindsight.baselines.three_d_var import ThreeDVar
from hindsight.errors import UserError
from hindsight.fields.frames import Frames
from hindsight.operators.rows import Rows, normalise
from hindsight.scores import ensemble, significance, spectra
from hindsight.settings import Ensemble, Reanalyse, Settings
from hindsight.settings.baselines import FourDVar as FourDVarSettings
from hindsight.settings.baselines import Minimisation

CASES = ("lorenz96 all", "lorenz96 every2", "lorenz96 every4", "europe sparse10", "europe sparse2")
LORENZ, EUROPE = "lorenz96", "europe"
DRAWN, ANCESTRAL, DETERMINISTIC, SECOND = (
    {"step": "covariance"},
    {"step": "ddim"},
    {"step": "ddim", "eta": 0.0},
    {"step": "second_order"},
)
DOMAIN_SETTINGS = {  # as in the configuration of each domain, but for Lorenz-96's tolerance
    LORENZ: {"sigma_max": 20.0, "sigma_min": 0.03, "stride": 16, "batch": 64, "solver_tolerance": 1e-3},
    EUROPE: {"frames": 128, "stride": 128, "batch": 4},
}
GUIDANCE = {LORENZ: {"method": "fused"}, EUROPE: {"method": "analytic"}}  # the domains' own
SAMPLER = {LORENZ: ANCESTRAL, EUROPE: DRAWN}
LAG, CONTEXT = {LORENZ: 48, EUROPE: 72}, {LORENZ: 32, EUROPE: 8}  # hours, frames
PARTICLE_CONTEXT = 4  # frames in view in regime particle_filter, whose past is certain
HOP = {LORENZ: 24, EUROPE: 24}  # hours that the sliding window moves by, with a lag
STEPS = {LORENZ: {"batch": 24, "sliding": 8, "particle_filter": 12}, EUROPE: {}}  # 6 for others
FRAMES = {LORENZ: (152, slice(40, 144)), EUROPE: (64, slice(8, 56))}


@dataclass(frozen=True)
class Method:
    """A method of the board.

    Attributes:
        settings: of `reanalyse`, or the options of a baseline.
        grid: the constants that are tuned, by their dotted names, and the values that are tried.
        baseline: name of the function that runs it; empty: it is a regime or a guidance on the prior.
        domains: in which it runs.
    """

    settings: dict = field(default_factory=dict)
    grid: dict[str, list] = field(default_factory=dict)
    baseline: str = ""
    domains: tuple[str, ...] = (LORENZ, EUROPE)


OURS = {
    "batch": Method({"regime": "batch"}),
    "batch, few steps": Method({"regime": "batch", "steps": 3}),
    "batch, 2 passes": Method({"regime": "batch", "selection": {"passes": 2, "sigma": 1.0}}, domains=(LORENZ,)),
    "fixed lag": Method({"regime": "fixed_lag"}),
    "nowcast": Method({"regime": "nowcast"}),
    "sliding": Method(
        {"regime": "sliding", "window": {"carried": 1.0}},
        {"window.carried": [0.5, 2.0], "window.weights": ["predictive", "misfit"]},
    ),
    "filter, sliding": Method(
        {"regime": "sliding", "lag_hours": 0, "window": {"carried": 1.0}, "steps": 5},
        {"window.carried": [0.5, 2.0], "window.weights": ["predictive", "mean", "misfit"]},
    ),
    "particle filter": Method(
        {"regime": "particle_filter"}, {"window.effective": [0.25, 0.5, 0.75], "window.weights": ["predictive", "mean"]}
    ),
}
RIVALS = {
    "SDA": Method(
        {
            "guidance": {"method": "sda", "gamma": 0.01},
            "sampler": DETERMINISTIC | {"corrections": 1, "correction_size": 0.25},
            "steps": 64,
        },
        {"guidance.gamma": [0.03, 0.1, 0.3, 1.0]},
    ),
    "Appa": Method(
        {
            "guidance": {"method": "mmps", "iterations": 2},
            "sampler": DETERMINISTIC | {"corrections": 2, "correction_size": 0.1},
            "steps": 32,
        }
    ),
    "DPS": Method(
        {"guidance": {"method": "dps", "zeta": 1.0}, "sampler": DETERMINISTIC, "steps": 100},
        {"guidance.zeta": [0.1, 0.3, 3.0]},
    ),
    "FA-APF": Method(
        {
            "regime": "particle_filter",
            "window": {"weights": "mean", "effective": 0.2},
            "guidance": {"method": "mmps", "iterations": 2},
            "sampler": SECOND | {"corrections": 2, "correction_size": 0.2},
            "steps": 32,
        },
        {"window.effective": [0.4, 0.7], "sampler.corrections": [0, 2]},
    ),
    "DAWIS, filter": Method(
        {
            "regime": "sliding",
            "lag_hours": 0,
            "context": 7,
            "window": {"carried": 1.5, "carried_newest": 2.33, "inversion_steps": 100, "effective": 1.0},
            "guidance": {"method": "mmps"},
            "sampler": DETERMINISTIC,
            "steps": 100,
        },
        {"window.carried": [0.5, 1.5], "window.carried_newest": [2.33, 9.0]},
    ),
    "ForcingDAS, full sequence": Method(
        {"design": "forcingdas", "regime": "batch", "guidance": {"zeta": 2.0}}, {"guidance.zeta": [0.1, 0.3, 1.0]}
    ),
    "ForcingDAS, pyramid": Method(
        {"design": "forcingdas", "regime": "fixed_lag", "guidance": {"zeta": 2.0}}, {"guidance.zeta": [0.1, 0.3, 1.0]}
    ),
    "ForcingDAS, autoregressive": Method(
        {"design": "forcingdas", "regime": "nowcast", "guidance": {"zeta": 2.0}},
        {"guidance.zeta": [0.1, 0.3, 1.0]},
        domains=(EUROPE,),
    ),
}
CLASSICAL = {
    "optimal interpolation": Method({"span": 1}, {"span": [3, 5]}, "optimal_interpolation"),
    "3D-Var": Method(baseline="three_d_var"),
    "4D-Var": Method(baseline="four_d_var"),
    "LETKF": Method(
        {"model": "linear_prior", "localisation_km": 2500.0, "relaxation": 0.5},
        {"localisation_km": [2500.0, 5000.0, 10000.0], "relaxation": [0.0, 0.3, 0.6]},
        "letkf",
    ),
    "LETKF, equations": Method(
        {"model": "dynamics", "localisation_km": 2500.0, "relaxation": 0.5},
        {"localisation_km": [2500.0, 5000.0, 10000.0], "relaxation": [0.0, 0.3, 0.6]},
        "letkf",
        (LORENZ,),
    ),
    "EnSF": Method({"model": "linear_prior", "steps": 100}, {"steps": [30, 300]}, "ensf"),
    "EnSF, equations": Method({"model": "dynamics", "steps": 100}, {"steps": [30, 300]}, "ensf", (LORENZ,)),
}
METHODS = OURS | RIVALS | CLASSICAL
TUNED = [f"{name}, tuned" for name, method in METHODS.items() if method.grid]


@dataclass
class Problem:
    """A case, the run that its prior is of, and its domain."""

    case: Case
    run: Path
    domain: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the rows go; rows that it has are kept")
    parser.add_argument("--image", type=Path, help="where the picture goes")
    parser.add_argument("--tables", type=Path, help="where the rows go as tables, in Markdown")
    parser.add_argument("--case", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--method", nargs="+", choices=[*METHODS, *TUNED], help="default: all")
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="of config/europe.yaml")
    parser.add_argument("--quick", action="store_true", help="a prior trained for seconds, few frames, few methods")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        return print(json.dumps(measure(**json.loads(chosen.one))))
    rows = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.is_file() else []
    quick = ["batch", "particle filter", "SDA, tuned", "LETKF", "optimal interpolation"]
    methods = chosen.method or (quick if chosen.quick else [*METHODS, *TUNED])
    for case, method in itertools.product(["lorenz96 every2"] if chosen.quick else chosen.case, methods):
        kept = any((row["case"], row["method"]) == (case, method) for row in rows)
        if kept or case.split()[0] not in METHODS[method.removesuffix(", tuned")].domains:
            continue
        about = {"members": chosen.members, "threads": chosen.threads, "quick": chosen.quick, "data": str(chosen.data)}
        rows.append(measure_in_new_process({"case": case, "method": method, **about}))
        if chosen.json:
            cases.write(rows, chosen.json)
    if chosen.image:
        draw(rows, chosen.image)
    if chosen.tables:
        chosen.tables.write_text(tables(rows))


def measure_in_new_process(request: dict) -> dict:
    """One row, measured in a new process."""
    done = subprocess.run([sys.executable, __file__, "--one", json.dumps(request)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{request}\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), flush=True)
    return found


def measure(case: str, method: str, members: int, threads: int, quick: bool, data: str) -> dict:
    """Run a method on a case, tuned before if it is asked for, and score it."""
    torch.set_num_threads(threads)
    name, chosen = method.removesuffix(", tuned"), {}
    if name != method:
        chosen = tune(pose(case, "validation", quick, data), METHODS[name], 4)
    test = pose(case, "test", quick, data)
    found = {"case": case, "method": method, "quick": quick, "members": members, "frames": len(test.case.times)}
    found |= {"settings": with_values(METHODS[name].settings, chosen), "precision": test.case.prior.precision}
    found |= {"threads": threads, "processor": machine.device_name(test.case.prior.maps.device)}
    began, member_frames = time.monotonic(), members * len(test.case.times)
    try:
        fields, cost = analyse(test, METHODS[name], chosen, members)
    except UserError as error:
        if "diverged" not in f"{error}":
            raise
        nothing = dict.fromkeys(("rmse", "crps", "spread_skill", "spectral_error"))
        return (
            found | nothing | {"seconds": (time.monotonic() - began) / member_frames, "note": str(error).split(";")[0]}
        )
    found |= {"seconds": (time.monotonic() - began) / member_frames, **cost} | score(test.case, fields)
    return found | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def pose(case: str, split: str, quick: bool, data: str) -> Problem:
    """A case with the frames of its test or its validation period."""
    domain, network = case.split()
    name, more = (QUICK["run"], QUICK) if quick else (domain, {"data": data} if domain == EUROPE else None)
    config = f"config/{domain}.yaml"
    path = cases.make(f"results/{name}/train/prior.safetensors", config, more)
    cases.make(f"results/{name}/{cases.CONFIGURATION}", config, more)
    run, (frames, scored) = path.parents[1], FRAMES[domain]
    if quick or split == "validation":
        frames, scored = (24, slice(6, 22)) if quick else (48, slice(8, 44))
    prior = priors.load(path, machine.device("auto"))
    if domain == LORENZ:
        every = int(network.removeprefix("every")) if network != "all" else 1
        return Problem(cases.ring(prior, frames, every, scored, 2026 if split == "test" else 2025), run, domain)
    found = cases.observed(run, network, split, frames, prior)
    found.scored = scored
    return Problem(found, run, domain)


def tune(validation: Problem, method: Method, members: int) -> dict:
    """The constants of a method's grid with the least CRPS."""
    best, least = {}, np.inf
    for values in itertools.product(*method.grid.values()):
        chosen = dict(zip(method.grid, values))
        try:
            fields, _ = analyse(validation, method, chosen, members)
        except UserError as error:
            if "diverged" not in f"{error}":
                raise
            continue
        if (crps := score(validation.case, fields)["crps"][0]) < least:
            best, least = chosen, crps
    return best


def analyse(problem: Problem, method: Method, chosen: dict, members: int) -> tuple[np.ndarray, dict]:
    """Members of an analysis (E, T, C, H, W), and what it took per frame and member."""
    own = with_values(method.settings, chosen)
    if method.baseline:
        return globals()[method.baseline](problem, members, **own), {"evaluations": 0, "backward_passes": 0}
    made = problem.case.analysed(sampling(problem.domain, own), members)
    member_frames = members * len(problem.case.times)
    return made.fields, {
        "evaluations": made.cost.evaluations / member_frames,
        "backward_passes": made.cost.backward / member_frames,
    }


def sampling(domain: str, own: dict) -> Reanalyse:
    """The settings of a regime or guidance: its own, and for the others those of the domain."""
    regime = own.get("regime", "batch")
    base = DOMAIN_SETTINGS[domain] | {"steps": STEPS[domain].get(regime, 6), "retries": 0}
    if own.get("design") != "forcingdas":
        base |= {"guidance": GUIDANCE[domain], "sampler": SAMPLER[domain]}
    if regime != "batch":
        base |= {"context": PARTICLE_CONTEXT if regime == "particle_filter" else CONTEXT[domain]}
    if regime in ("fixed_lag", "sliding", "particle_filter"):
        base |= {"lag_hours": 0 if regime == "particle_filter" else LAG[domain]}
    if own.get("design") == "forcingdas":
        base = {name: value for name, value in base.items() if name not in ("steps", "sigma_min")}
    if regime == "sliding" and own.get("lag_hours") != 0:
        own = with_values(own, {"window.hop_hours": HOP[domain]})
    return Reanalyse.model_validate(base | own)


def with_values(settings: dict, chosen: dict) -> dict:
    """Settings with values at dotted names."""
    found = json.loads(json.dumps(settings))
    for name, value in chosen.items():
        *path, last = name.split(".")
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


def score(case: Case, fields: np.ndarray) -> dict:
    """Scores of members (E, T, C, H, W) with intervals, and the spectral error of the members."""
    scaling, grid = case.prior.scaling, case.prior.metadata.grid
    flat = lambda x: x.reshape(*x.shape[: x.ndim - 2], -1)[..., case.scored, :, :]
    climatology = scaling.climatology(case.times)
    series = ensemble.statistics(flat(fields), flat(case.truth), flat(climatology), grid.weights.ravel())
    means = {name: significance.weighted_means(values) for name, values in series.items()}  # (waves, C)
    scores = ensemble.scores(means)
    found = {}
    for name, unit in (("rmse", scaling.spread), ("crps", scaling.spread), ("spread_skill", 1.0)):
        values = (scores[name] / unit).mean(-1)
        limits = significance.interval(values, 0.9, "log")
        found[name] = [float(values[0]), *(float(limit) if np.isfinite(limit) else None for limit in limits)]
    power = [
        [spectra.zonal(x[..., case.scored, c, :, :], grid.periodic) for x in (fields, case.truth)]
        for c in range(fields.shape[2])
    ]
    error = [np.abs(ours[1:] / truth[1:] - 1).mean() for ours, truth in power]
    return found | {"spectral_error": float(np.mean(error))}


def optimal_interpolation(problem: Problem, members: int, span: int) -> np.ndarray:
    """Optimal interpolation."""
    return _each_frame(problem, members, OptimalInterpolation.from_covariance(_covariance(problem, span), span))


def three_d_var(problem: Problem, members: int) -> np.ndarray:
    """3D-Var."""
    root = covariance.cholesky(_covariance(problem, 1))
    return _each_frame(problem, members, ThreeDVar(root, 1, Minimisation()))


def four_d_var(problem: Problem, members: int) -> np.ndarray:
    """Weak-constraint 4D-Var of all frames together."""
    method = FourDVar(problem.case.prior.process, FourDVarSettings())
    return _physical(problem, method.members(_rows(problem), problem.case.times, _step(problem), _product(members)))


def letkf(problem: Problem, members: int, model: str, localisation_km: float, relaxation: float) -> np.ndarray:
    """LETKF, with the linear prior or the equations as its model."""
    grid = problem.case.prior.metadata.grid
    return _filtered(problem, members, model, LETKF(Localisation(grid, False, localisation_km), relaxation))


def ensf(problem: Problem, members: int, model: str, steps: int) -> np.ndarray:
    """The ensemble score filter."""
    return _filtered(problem, members, model, EnsembleScoreFilter(steps, _product(members), _step(problem)))


def _filtered(problem: Problem, members: int, model: str, method: ensemble_filter.Method) -> np.ndarray:
    """An ensemble filter, from members of the climatology on."""
    case, chosen = problem.case, _settings(problem)
    about = {"domain": chosen.domain, "world": chosen.download, "scaling": case.prior.scaling}
    grid, product = case.prior.metadata.grid, _product(members)
    ahead = forecasts.build(model, case.prior.process, product, FORECASTS, **about, grid=grid)
    values = ensemble_filter.forecast_and_analyse(
        "scoreboard", method, ahead, _rows(problem), case.times, _step(problem), 0
    )
    return _physical(problem, values)


def _each_frame(problem: Problem, members: int, method: each_frame.Method) -> np.ndarray:
    product, times = _product(members), problem.case.times
    return _physical(problem, each_frame.analyse("scoreboard", method, _rows(problem), times, _step(problem), product))


def _physical(problem: Problem, values: np.ndarray) -> np.ndarray:
    case = problem.case
    return case.prior.scaling.restore(values.reshape(*values.shape[:2], *case.truth.shape[1:]), case.times)


def _covariance(problem: Problem, span: int) -> np.ndarray:
    """The covariance of the training period."""
    period = _settings(problem).domain.train
    training = Frames(problem.run / "preprocess/fields.zarr", period, problem.case.prior.scaling)
    return covariance.lagged_covariance(training, span)


def _settings(problem: Problem) -> Settings:
    return Settings.model_validate_json((problem.run / cases.CONFIGURATION).read_text())


def _rows(problem: Problem) -> Rows:
    about = problem.case.prior.metadata
    return normalise(problem.case.table, about.channels, about.grid, problem.case.prior.scaling, about.step_hours)


def _step(problem: Problem) -> int:
    return problem.case.prior.metadata.step_hours


def _product(members: int) -> Ensemble:
    return Ensemble(members=members, seed=1)


def tables(rows: list[dict]) -> str:
    """The rows as a table for each case, the least CRPS first."""
    head = "| method | RMSE | CRPS | spread/skill | spectral error | evaluations | backward | ms | MB |"
    found = []
    for name in dict.fromkeys(row["case"] for row in rows):
        lines = [f"**{name}**", "", head, "|---|---|---|---|---|---|---|---|---|"]
        here = [row for row in rows if row["case"] == name]
        for one in sorted(here, key=lambda row: row["crps"][0] if row["crps"] else np.inf):
            scores = (
                [_interval(one[score]) for score in ("rmse", "crps", "spread_skill")]
                if one["crps"]
                else ["diverged"] * 3
            )
            cost = [_number(one.get(key)) for key in ("spectral_error", "evaluations", "backward_passes")]
            more = [_number(1000 * one["seconds"]), _number(one.get("peak_mb"))]
            lines.append("| " + " | ".join([one["method"], *scores, *cost, *more]) + " |")
        found.append("\n".join(lines))
    return "\n\n".join(found) + "\n"


def _interval(score: list[float | None]) -> str:
    value, low, high = score
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def draw(rows: list[dict], path: Path) -> None:
    """Draw the error over the cost: RMSE with its interval over milliseconds per frame and member."""
    colours = dict(zip(dict.fromkeys(row["method"] for row in rows), itertools.cycle(plt.get_cmap("tab20").colors)))

    def fill(panel: plt.Axes, name: str) -> None:
        for one in (row for row in rows if row["case"] == name and row["rmse"]):
            value, low, high = (limit if limit is not None else one["rmse"][0] for limit in one["rmse"])
            marker = "s" if one["method"].removesuffix(", tuned") in CLASSICAL else "o"
            about = {"fmt": marker, "color": colours[one["method"]], "label": one["method"], "ms": 5, "lw": 1}
            panel.errorbar(1000 * one["seconds"], value, [[value - low], [high - value]], **about)

    names = list(dict.fromkeys(row["case"] for row in rows))
    panels.error_over_cost(names, "milliseconds per analysed frame and member", fill, path)


if __name__ == "__main__":
    main()
