"""Regimes, guidances and samplers compared with the Kalman filter and the fixed-lag and Rauch-Tung-Striebel smoothers.

    python benchmarks/exact_smoother.py --json results/exact_smoother.json --image docs/images/exact.png

The prior is a stationary linear-Gaussian process (12 values in 12 frames, correlated in space and time), whose denoiser
has a closed form, so that every difference is the sampler's. Observations lie between grid points, with unequal
errors, and every fifth frame has none. Writes `{"nowcast" | "fixed_lag" | "batch": {"mean_error", "spread_error",
"steps", …}}`: root-mean-square differences of mean and spread from the exact ones, in units of the exact posterior
standard deviation, with the sampling error for this number of members (`mean_chance`); the same for other samplers and
step counts under `convergence`; for the sliding window of particles, by the noise level of carried frames and by when
members are weighted (before: predictive weights, after: misfits), under `sliding`; without weights, by noise and by
inversion (DAWIS), under `inversion`; and for particle filters and smoothers under `particles`. `kl` is the
Kullback-Leibler divergence KL(sample | exact) of a frame, both as Gaussians, per value; a sample of E members from the
exact distribution has (D + 3) / 4E on average (`kl_chance`). `evaluations` counts those of a frame and member.
`--quick` takes fewer members.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hindsight.diffusion import frame_random, noise, predictive, sampler, schedule, selection, steps  # noqa: E402
from hindsight.diffusion.guidance.analytic import Analytic  # noqa: E402
from hindsight.diffusion.guidance.unguided import Unguided  # noqa: E402
from hindsight.operators.linear import LinearObservations  # noqa: E402
from tests.oracles import linear_gaussian as oracle  # noqa: E402

SIZE, FRAMES, LAG, STEPS = 12, 12, 3, 8
STEP = {
    "covariance": lambda: steps.build("covariance"),
    "ddim, ancestral": lambda: steps.build("ddim", eta=1.0),
    "ddim, deterministic": lambda: steps.build("ddim", eta=0.0),
    "second order": lambda: steps.build("second_order"),
}
REGIMES = {
    "nowcast": (lambda levels: schedule.moving_window(FRAMES, levels, 0, FRAMES), 0),
    "fixed_lag": (lambda levels: schedule.moving_window(FRAMES, levels, LAG, FRAMES), LAG),
    "batch": (lambda levels: schedule.batch(FRAMES, levels), FRAMES),
    "nowcast, past fixed": (lambda levels: schedule.staircase(FRAMES, levels, 0, FRAMES), 0),
    "fixed_lag, past fixed": (lambda levels: schedule.staircase(FRAMES, levels, LAG, FRAMES), LAG),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--image", type=Path, help="where the picture goes")
    parser.add_argument("--members", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help="fewer members and step counts")
    chosen = parser.parse_args()
    members = 1000 if chosen.quick else chosen.members
    process, seen = oracle.process(SIZE), observed()
    found: dict = {"quick": True} if chosen.quick else {}
    for name in ("nowcast", "fixed_lag", "batch"):
        found[name] = departures(process, seen, name, "covariance", STEPS, members)
        print(name, found[name], flush=True)
    found["convergence"] = convergence(process, seen, members, [1, 4, 16] if chosen.quick else [1, 2, 4, 8, 16, 32])
    found["sliding"] = sliding(process, seen, members, [0.3, 3.0] if chosen.quick else [0.1, 0.3, 1.0, 3.0, 20.0])
    found["inversion"] = inversion(process, seen, members, [3.0] if chosen.quick else [0.3, 1.0, 3.0, (1.5, 9.0)])
    found["particles"] = particles(process, seen, [20, 1000] if chosen.quick else [20, 80, 320, 1280, 5000])
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1))
    if chosen.image:
        draw(found["convergence"], found["batch"]["mean_chance"], chosen.image)


def convergence(process: object, seen: LinearObservations, members: int, counts: list[int]) -> list[dict]:
    """Departures by the number of steps: every sampler in batch, and both kinds of past with the default sampler."""
    cases = [("batch", step) for step in STEP]
    cases += [(name, "covariance") for name in REGIMES if name != "batch"]
    rows = []
    for regime, step in cases:
        for count in counts:
            made = departures(process, seen, regime, step, count, members)
            rows.append({"regime": regime, "step": step, **made})
            print(rows[-1], flush=True)
    return rows


def sliding(process: object, seen: LinearObservations, members: int, levels: list[float]) -> list[dict]:
    """Departures of the sliding window from the fixed-lag smoother: without weights, by misfits, and by predictions."""
    found = []
    for carried in levels:
        for weigh in ("never", "after", "before"):
            ladder = noise.levels(STEPS, 0.02, 20.0, 7.0)
            cycles = schedule.moving_window(FRAMES, ladder, LAG, 2 * LAG, 1, carried, weigh)
            effective = 0.05 if weigh == "before" else 0.5
            sample = sampled(process, seen, cycles, STEP["covariance"](), members, effective=effective)
            found.append(
                {"carried": carried, "weighted": weigh, "members": members, **differences(process, seen, sample, LAG)}
            )
            print(found[-1], flush=True)
    return found


def inversion(process: object, seen: LinearObservations, members: int, levels: list) -> list[dict]:
    """Departures of a window without weights whose carried frames go back to their levels by noise and by inversion."""
    found, ladder = [], noise.levels(100, 0.02, 20.0, 7.0)
    for carried in levels:
        for count, step in (
            (0, "covariance"),
            (100, "covariance"),
            (0, "ddim, deterministic"),
            (100, "ddim, deterministic"),
        ):
            cycles = schedule.moving_window(FRAMES, ladder, LAG, 2 * LAG, 1, carried, inversion=count)
            sample = sampled(process, seen, cycles, STEP[step](), members)
            about = {"carried": carried, "inversion_steps": count, "step": step, "members": members}
            found.append(about | differences(process, seen, sample, LAG))
            print(found[-1], flush=True)
    return found


def particles(process: object, seen: LinearObservations, counts: list[int]) -> list[dict]:
    """Departures of the particle filter and smoother by the number of members, means over independent ensembles."""
    found = []
    for lag, count in ((0, 1), (LAG, LAG + 1)):
        cycles = schedule.staircase(FRAMES, noise.levels(count, 0.02, 20.0, 7.0), lag, FRAMES, "before")
        for members in counts:
            repeats = range(max(1, min(40, counts[-1] // members)))
            parts = []
            for seed in repeats:
                sample = sampled(process, seen, cycles, STEP["covariance"](), members, seed, effective=0.05)
                parts.append(differences(process, seen, sample, lag))
            means = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
            found.append({"lag": lag, "steps": count, "evaluations": count + 1, "members": members, **means})
            print(found[-1], flush=True)
    return found


def departures(process: object, seen: LinearObservations, regime: str, step: str, count: int, members: int) -> dict:
    """Departures of mean and spread from the exact ones with `count` sampling steps."""
    lay, lag = REGIMES[regime]
    cycles = lay(noise.levels(count, 0.02, 20.0, 7.0))
    sample = sampled(process, seen, cycles, STEP[step](), members)
    chance = {"mean_chance": members**-0.5, "spread_chance": (2 * members) ** -0.5}
    return {"steps": count, **differences(process, seen, sample, lag), **chance}


def differences(process: object, seen: LinearObservations, sample: torch.Tensor, lag: int) -> dict:
    """Departures of members (E, T, D) from the exact mean and spread, in exact posterior standard deviations."""
    sample = sample.double().numpy()
    mean, covariance = oracle.fixed_lag(process, *rows(seen), lag)
    deviation = np.sqrt(np.array([np.diag(p) for p in covariance]))
    root = lambda x: float(np.sqrt((x**2).mean()))
    ratio = sample.std(0, ddof=1) / deviation
    departure = {"mean_error": root((sample.mean(0) - mean) / deviation), "spread_error": root(ratio - 1)}
    if len(sample) <= SIZE:  # the sample's covariance is singular
        return departure
    divergence = np.mean([divergences(sample[:, t], mean[t], covariance[t]) for t in range(FRAMES)])
    return departure | {"kl": float(divergence) / SIZE, "kl_chance": (SIZE + 3) / 4 / len(sample)}


def divergences(sample: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """KL divergence of the Gaussian of a sample (E, D) from N(mean, covariance)."""
    precision, own = np.linalg.inv(covariance), np.cov(sample.T)
    off, (_, log_own), (_, log_exact) = sample.mean(0) - mean, np.linalg.slogdet(own), np.linalg.slogdet(covariance)
    return 0.5 * (np.trace(precision @ own) + off @ precision @ off - len(mean) + log_exact - log_own)


def sampled(
    process: object,
    seen: LinearObservations,
    cycles: list,
    step: steps.Step,
    members: int,
    seed: int = 0,
    effective: float = 0.5,
) -> torch.Tensor:
    """Members of the finished frames, (E, T, D)."""

    def white(view: slice, counts: np.ndarray, purpose: str, size: int | None = None) -> torch.Tensor:
        key = [view.start, *(int(c) % 2**32 for c in counts), frame_random.PURPOSES.index(purpose), seed]
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        return torch.randn(members, len(counts), SIZE if size is None else size, generator=generator)

    denoise = lambda noisy, posterior, moving, points: posterior.mean(noisy)
    unguided = lambda view: Unguided(process, denoise)
    guided = lambda view: Analytic(unguided(view), seen.frames(view), tolerance=1e-6)

    def weigh(fields: torch.Tensor, level: np.ndarray, cycle: schedule.Cycle) -> torch.Tensor:
        if cycle.weigh == "after":
            cost = selection.misfit(fields, seen.frames(cycle.view))
        else:
            level, top = (torch.tensor(values, dtype=torch.float32) for values in (level, cycle.rows[0]))
            cost = predictive.misfit(guided(cycle.view), fields, level, top, torch.zeros_like(fields))
        weights = selection.tempered(cost.sum((1, 2))[:, None], effective * members)
        chosen = selection.resampled(weights, float(np.random.default_rng([seed, cycle.first]).random()))
        return selection.take(fields, chosen[..., None])

    state = sampler.State(torch.zeros(members, FRAMES, SIZE), np.full(FRAMES, np.inf))
    found, before = torch.empty_like(state.fields), 0
    for after in sampler.sample(cycles, state, guided, sampler.StepSettings(step), white, weigh, unguided=unguided):
        found[:, before : after.finished] = after.fields[:, before : after.finished]
        before = after.finished
    return found


def observed() -> LinearObservations:
    """Three places between grid points, with unequal errors; every fifth frame is not observed."""
    generator = np.random.default_rng(3)
    point, weight = torch.zeros(FRAMES, 3, 4, dtype=torch.long), torch.zeros(FRAMES, 3, 4)
    for k, place in enumerate([1, 5, 9]):
        point[:, k, :2] = torch.tensor([place, place + 1])
        weight[:, k, :2] = torch.tensor([0.7, 0.3])
    present = torch.ones(FRAMES, 3)
    present[4::5] = 0
    error = torch.tensor(generator.uniform(0.1, 0.6, 3), dtype=torch.float32).expand(FRAMES, 3)
    value = torch.tensor(generator.standard_normal((FRAMES, 3)), dtype=torch.float32)
    return LinearObservations(point, weight, value, error, present)


def rows(seen: LinearObservations) -> tuple[list, list, list]:
    """Operators, errors and values of each frame, for the exact answer."""
    operators, errors, values = [], [], []
    for t in range(FRAMES):
        here = seen.present[t] > 0
        operators.append(seen.rows(t, SIZE)[here].double().numpy())
        errors.append(seen.error[t][here].double().numpy())
        values.append(seen.value[t][here].double().numpy())
    return operators, errors, values


def draw(found: list[dict], chance: float, path: Path) -> None:
    """Draw departures over the number of steps."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
    for panel, what, title in zip(panels, ("mean_error", "spread_error"), ("mean", "spread")):
        for regime, step in dict.fromkeys((row["regime"], row["step"]) for row in found):
            line = [row for row in found if (row["regime"], row["step"]) == (regime, step)]
            style = "--" if "fixed" in regime.partition(",")[2] else "-"
            label = f"{regime}: {step}" if regime == "batch" else regime
            panel.loglog([r["steps"] for r in line], [r[what] for r in line], style, marker="o", ms=3, label=label)
        level = chance if what == "mean_error" else chance / 2**0.5
        panel.axhline(level, color="0.5", lw=0.8)
        panel.text(1, level * 1.1, "chance", color="0.4", fontsize=8)
        panel.set_title(f"Departure of the {title} from the exact one", fontsize=10)
        panel.set_xlabel("denoising steps")
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter("")
    panels[0].set_ylabel("exact posterior standard deviations")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
