"""Functions kept of every zonal wavenumber, against the error of an analysis and its cost.

    python benchmarks/functions.py --json results/functions.json --image docs/images/functions.png

The built-in world in nine channels (geopotential and both winds at three levels), 16 x 32 points, 6-hourly: a linear
prior is fitted to two years with some number of `train.linear_prior.modes`, with and without the residual, and
analyses four stretches of five days of the next year by the linear prior alone (no network, eight members), from 60
stations that observe the three channels at 850 hPa with an error of 0.1 standard deviations. Writes `{"curve": [row],
"globe": [row], "processor", …}`. Rows of `curve`: `modes` (of a wavenumber), `residual`, `share` of the variance of
the test period outside what the prior gives variance to, `error` and `spread` of all channels weighted by area, their
`ratio`, the same `at_stations`, `coefficients`, `megabytes` of the file, `fit_seconds`, `transform_ms` (a field to
coefficients and back), `analysis_seconds` (of a stretch). Rows of `globe`: `transform_ms` and `megabytes` of random
functions for 69 channels at 1.5 degrees, with as many `modes`. One thread, float32. `--quick`: one year, fewer rows.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from hindsight import machine
from hindsight.diffusion.channelwise import Channelwise, complex_waves
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.dynamics.quasi_geostrophic_world import QuasiGeostrophicWorld
from hindsight.fields.grid import Grid
from hindsight.operators.linear import LinearObservations
from hindsight.settings.download import Synthetic
from hindsight.settings.train import LinearPrior
from hindsight.train import linear_prior

STEP, STRETCH, MEMBERS, STATIONS, ERROR = 6 * 3600.0, 20, 8, 60, 0.1
NAMES = ("geopotential", "u_component_of_wind", "v_component_of_wind")
LEVELS = 3
WINDS = [(3 + level, 6 + level) for level in range(LEVELS)]  # channels: three levels of every name


class Held:
    """Normalised departures in memory, with the interface of `Frames`."""

    def __init__(self, values: np.ndarray, grid: Grid) -> None:
        self.values, self.grid, self.shape = values, grid, values.shape[1:]
        self.segment = np.zeros(len(values), int)

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Frames from `first` to before `last`, (n, D)."""
        return self.values[first:last].reshape(last - first, -1)

    def blocks(self, overlap: int = 0) -> list[tuple[int, int, int]]:
        """Blocks of 256 frames."""
        starts = range(0, len(self.values), 256)
        return [(max(a - overlap, 0), a, min(a + 256, len(self.values))) for a in starts]


def weather(years: int) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Normalised departures (T, C, H, W), weighted by area, of the training years and of a year after them."""
    world = QuasiGeostrophicWorld(Synthetic(truncation=15, latitudes=16, step_minutes=120.0))
    begin, count = np.array(["2000-01-01"], "datetime64[ns]"), round(1461 * (years + 1))
    states, found = world.spin_up(begin), np.empty((count, LEVELS * len(NAMES), 16, 32), np.float32)
    for n in range(count):
        here = world.weather(states)
        found[n] = np.concatenate([here[name][0] for name in NAMES])
        states = world.advance(states, world.seconds(begin) + n * STEP, STEP)
    phase = 2 * np.pi * np.arange(count) * STEP / (365.2425 * 86400)
    design = np.stack([np.ones(count), *(f(k * phase) for k in (1, 2) for f in (np.cos, np.sin))], 1)
    train = round(1461 * years)
    fitted = np.linalg.lstsq(design[:train], found[:train].reshape(train, -1), rcond=None)[0]
    found -= (design @ fitted).reshape(found.shape).astype(np.float32)
    grid = Grid(world.latitude, np.arange(32) * 11.25)
    weights = grid.weights / grid.weights.mean()
    found /= np.sqrt((found[:train].astype(float) ** 2 * weights).mean((0, 2, 3)))[:, None, None]
    found *= np.sqrt(grid.weights)
    return found[:train], found[train:], grid


def observed(truth: np.ndarray, grid: Grid, seed: int) -> LinearObservations:
    """The three channels at 850 hPa at random stations, of a stretch of frames (T, C, H, W)."""
    generator, (height, width) = np.random.default_rng(seed), truth.shape[2:]
    row = generator.choice(height, STATIONS, p=grid.weights[:, 0] / grid.weights[:, 0].sum())
    place = row * width + generator.integers(0, width, STATIONS)
    point = np.concatenate([c * height * width + place for c in (2, 5, 8)])
    measure = np.tile(np.sqrt(grid.weights[row, 0]), 3)  # stations report values, not weighted ones
    shape = (len(truth), len(point))
    value = truth.reshape(len(truth), -1)[:, point] / measure + ERROR * generator.standard_normal(shape)
    tensor = lambda x: torch.tensor(np.broadcast_to(x, shape).copy(), dtype=torch.float32)
    weight = tensor(1 / measure)[..., None]
    points = torch.tensor(np.broadcast_to(point, shape).copy())[..., None]
    return LinearObservations(points, weight, tensor(value), tensor(ERROR), tensor(1.0))


def analyse(process: GaussMarkov, truth: np.ndarray, grid: Grid, seed: int) -> tuple[torch.Tensor, LinearObservations]:
    """Eight members of a stretch by the linear prior alone (E, T, D), and its observations."""
    seen, generator = observed(truth, grid, seed), torch.Generator().manual_seed(seed)
    prior = Unguided(process, lambda noisy, posterior, falls, points: posterior.mean(noisy))
    guidance = Analytic(prior, seen, tolerance=1e-3, iterations=400, shape=grid.shape)
    size = {"state": process.size, "observation": seen.value.shape[-1]}
    white = lambda purpose, count=None, keys=None, **more: torch.randn(
        MEMBERS, len(truth), size[purpose], generator=generator
    )
    level = torch.full((len(truth),), torch.inf)
    return guidance.start(torch.zeros(MEMBERS, len(truth), process.size), level, white), seen


def score(process: GaussMarkov, test: np.ndarray, grid: Grid, stretches: int) -> dict:
    """Error and spread of the analyses of some stretches, everywhere and at the stations."""
    sums, began = {name: [] for name in ("error", "spread", "error_there", "spread_there")}, time.perf_counter()
    for k in range(stretches):
        truth = test[k * len(test) // stretches :][:STRETCH]
        members, seen = analyse(process, truth, grid, k)
        state = torch.as_tensor(truth).flatten(1)
        for name, values, right in (
            ("", members, state),
            ("_there", seen.forward(members), seen.forward(state[None])[0]),
        ):
            sums[f"error{name}"].append((values.mean(0) - right).square().mean().item())
            sums[f"spread{name}"].append(values.var(0).mean().item() * (1 + 1 / MEMBERS))
    root = {name: float(np.sqrt(np.mean(values))) for name, values in sums.items()}
    return {
        "error": root["error"],
        "spread": root["spread"],
        "ratio": root["spread"] / root["error"],
        "at_stations": {"error": root["error_there"], "ratio": root["spread_there"] / root["error_there"]},
        "analysis_seconds": (time.perf_counter() - began) / stretches,
    }


def row(train: np.ndarray, test: np.ndarray, grid: Grid, modes: int | None, residual: bool, stretches: int) -> dict:
    """Fit with some number of modes, and analyse."""
    settings = LinearPrior(basis="waves", modes=modes, residual=residual, coupled_modes=48)
    began = time.perf_counter()
    process = linear_prior.fit(Held(train, grid), settings, winds=WINDS)
    seconds = time.perf_counter() - began
    fields = torch.as_tensor(test[:64]).flatten(1)
    left = fields - process.modes.expand(process.modes.project(fields))
    return {
        "modes": modes or "all",
        "residual": residual,
        "share": (left.square().sum() / fields.square().sum()).item(),
        **score(process, test, grid, stretches),
        "coefficients": len(process.variance),
        "megabytes": sum(tensor.nbytes for tensor in process.tensors().values()) / 1e6,
        "fit_seconds": seconds,
        "transform_ms": 1e3 * timed(lambda: process.modes.expand(process.modes.project(fields))) / len(fields),
    }


def globe(modes: int, channels: int = 69, height: int = 121, width: int = 240, fields: int = 4) -> dict:
    """The cost of a transform at 1.5 degrees: random functions, not orthonormal, of that many channels."""
    waves, generator = width // 2 + 1, torch.Generator().manual_seed(0)
    table = torch.randn(waves, channels, height, height, 2, generator=generator)
    chosen = torch.arange(modes).expand(waves, -1).clone()
    rotation = torch.randn(waves, modes, modes, 2, generator=generator)
    columns, turned = modes + channels * height, complex_waves(waves, width)
    one = torch.cat([torch.arange(modes), torch.arange(2 * modes, columns)])  # all that are not turned together
    real = (torch.arange(waves)[:, None] * columns + one).flatten()
    imaginary = (torch.arange(waves)[turned, None] * columns + one).flatten() + waves * columns
    found = Channelwise(table, chosen, rotation, torch.cat([real, imaginary]), torch.tensor(width))
    x = torch.randn(fields, found.size, generator=generator)
    seconds = timed(lambda: found.expand(found.project(x)), 2)
    size = sum(tensor.nbytes for tensor in found.tensors().values()) / 1e6
    return {"modes": modes, "transform_ms": 1e3 * seconds / fields, "megabytes": size}


def timed(work: Callable[[], object], repeats: int = 5) -> float:
    """The least time of some calls, after one that does not count; s."""
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def draw(rows: list[dict], image: Path) -> None:
    """Error, and spread over error, by the number of functions kept."""
    plt.rcParams.update({"font.size": 9})
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for residual, tone, label in ((True, "#0072B2", "residual kept"), (False, "#D55E00", "residual zero")):
        chosen = [r for r in rows if r["residual"] is residual and r["modes"] != "all"]
        modes = [r["modes"] for r in chosen]
        for axis, key in zip(axes, ("error", "ratio", "megabytes")):
            axis.plot(modes, [r[key] for r in chosen], "o-", color=tone, label=label, ms=4)
    whole = next(r for r in rows if r["modes"] == "all")
    for axis, key, title in zip(
        axes,
        ("error", "ratio", "megabytes"),
        ("error of the mean (standard deviations)", "spread / error", "linear prior (MB)"),
    ):
        axis.axhline(whole[key], color="0.5", lw=1, ls="--", label="all modes, residual zero (default)")
        axis.set(xscale="log", xlabel="functions of all channels, of each wavenumber", title=title)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3, lw=0.4)
    axes[0].legend(frameon=False, fontsize=8)
    image.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(image, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--image", type=Path, help="where the picture goes")
    parser.add_argument("--quick", action="store_true", help="one year, fewer rows")
    parser.add_argument("--globe", action="store_true", help="only the cost at 1.5 degrees")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict = {"quick": chosen.quick, "processor": machine.device_name("cpu"), "threads": 1, "precision": "float32"}
    counts = (2, 8, 32) if chosen.quick else (1, 4, 16, 32, 64, 96, 144)
    if not chosen.globe:
        train, test, grid = weather(1 if chosen.quick else 2)
        cases = [(count, residual) for count in counts for residual in (True, False)] + [(None, False)]
        found["curve"] = []
        for case in cases:
            found["curve"].append(row(train, test, grid, *case, 3 if chosen.quick else 4))
            print(json.dumps(found["curve"][-1]), flush=True)
        if chosen.image:
            draw(found["curve"], chosen.image)
    found["globe"] = [] if chosen.quick else [globe(modes) for modes in (100, 300, 600)]
    print(json.dumps(found["globe"]), flush=True)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
