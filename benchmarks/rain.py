"""Nowcasts of rain from past frames alone: the prior of config/rain.yaml beside pysteps, on the same frames.

    python benchmarks/rain.py --data ../shared/data --json results/rain.json

Each nowcast knows `--context` frames of KNMI's composites and foresees 12, an hour. Writes for each method `crps`
(mm/h, mean over leads and starts; fair, and the mean absolute error of a single field), `csi` and `fss` by threshold
(mm/h), the latter in squares of `fss_points` points, `spread_skill` of ensembles, each by lead, and `seconds` of a
nowcast. Events of an ensemble are those of its mean. All methods are scored where each of them has values (`share` of
the points): beyond, rain comes from outside of what is known. The workflow trains the prior if it is missing. pysteps
runs in its own environment (.pysteps), which is made if it is missing. `--quick` takes two starts and the fast methods,
and trains for seconds.
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
import pandas as pd
import torch
import xarray as xr
from cases import Case

from hindsight import machine
from hindsight import prior as priors
from hindsight.fields import store
from hindsight.fields.plane import DEGREE
from hindsight.prior import Prior
from hindsight.scores import ensemble, events
from hindsight.settings import Reanalyse

ROOT = Path(__file__).parents[1]
PYSTEPS = ("pysteps==1.21.5", "opencv-python-headless", "scikit-image", "pywavelets")
METHODS = ("persistence", "extrapolation", "S-PROG", "ANVIL", "STEPS", "LINDA")
OURS = "hindsight"
LEADS, MINUTES = 12, 5
THRESHOLDS, SIZE = (0.1, 1.0), 10  # mm/h; points of the squares of the fractions skill score
ERROR = 0.05  # of the known frames, in units of the logarithm
QUICK = {"train": {"steps": 3, "validate_every": 3, "backbone": {"width": 8, "multipliers": [1]}}, "run": "rain_quick"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data", help="has radar_knmi_20100826/")
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--starts", type=int, default=7, help="nowcasts, as far apart as the frames allow")
    parser.add_argument("--context", type=int, default=8, help="known frames")
    parser.add_argument("--steps", type=int, default=12, help="sampling steps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two minutes: a check that it runs")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    name, more = ("rain_quick", QUICK) if chosen.quick else ("rain", {})
    path = cases.make(
        f"results/{name}/train/prior.safetensors", "config/rain.yaml", more | {"data": str(chosen.data.resolve())}
    )
    prior, rain = priors.load(path, machine.device("auto")), frames(path.parents[1])
    last = starts(rain["time"].values, 2 if chosen.quick else chosen.starts, np.datetime64("2010-08-26T05:35"))
    methods = METHODS[:3] if chosen.quick else METHODS
    made = peers(rain.values, last, chosen.members, spacing(rain), methods)
    known = np.all([np.isfinite(made[name]).all(1) for name in methods], 0)  # (S, leads, H, W)
    truth = np.stack([rain.values[first + 1 : first + 1 + LEADS] for first in last])
    found = {"starts": len(last), "members": chosen.members, "share": float(known.mean()), "fss_points": SIZE}
    found |= {"device": cases.device_name(prior.maps.device), "quick": chosen.quick}
    for method in methods:
        found[method] = scores(made[method], truth, known) | {"seconds": float(made[f"seconds_{method}"])}
    members, seconds = nowcasts(prior, rain, last, chosen.members, chosen.context, chosen.steps)
    found[OURS] = scores(members, truth, known) | {"seconds": seconds}
    for method in (*methods, OURS):
        print(method, json.dumps(found[method]), flush=True)
    cases.write(found, chosen.json)


def frames(run: Path) -> xr.DataArray:
    """The rain of a run in all its periods, (T, H, W), mm/h."""
    dataset = store.read(run / "preprocess/fields.zarr")
    return dataset["fields"].isel(time=dataset["available"].values).sel(channel="rain", drop=True).load()


def starts(times: np.ndarray, count: int, first: np.datetime64) -> list[int]:
    """The numbers of the last known frames of nowcasts, evenly from a time to as late as their leads are known."""
    begin = int(np.searchsorted(times, first))
    return np.unique(np.linspace(begin, len(times) - 1 - LEADS, count).round().astype(int)).tolist()


def spacing(rain: xr.DataArray) -> float:
    """Kilometres between points."""
    return float(np.diff(rain["latitude"].values).mean() * DEGREE)


def nowcasts(
    prior: Prior, rain: xr.DataArray, last: list[int], members: int, context: int, steps: int
) -> tuple[np.ndarray, float]:
    """Members of nowcasts by the prior (S, E, leads, H, W), and the seconds of one."""
    settings = Reanalyse(steps=steps, frames=prior.metadata.window, stride=prior.metadata.window // 2, batch=16)
    made, began = [], time.perf_counter()
    for number in last:
        span = rain.isel(time=slice(number + 1 - context, number + 1 + LEADS))
        case = Case(
            prior, span["time"].values, span.values[:, None], known_points(span[:context]), slice(context, None)
        )
        made.append(case.analysed(settings, members).fields[:, context:, 0])
    return np.stack(made), (time.perf_counter() - began) / len(made)


def known_points(rain: xr.DataArray) -> pd.DataFrame:
    """An observation of every point of frames (T, H, W)."""
    table = rain.rename("value").to_dataframe().reset_index()
    return table.assign(channel="rain", error=ERROR)[["time", "latitude", "longitude", "channel", "value", "error"]]


def scores(members: np.ndarray, truth: np.ndarray, known: np.ndarray) -> dict:
    """Scores by lead, of members (S, E, leads, H, W) against the truth (S, leads, H, W) where points are `known`."""
    members = np.where(known[:, None], members, 0.0)
    truth = np.where(known, truth, 0.0)
    mean = members.mean(1)
    single = members.shape[1] == 1
    error = np.abs(members - truth[:, None]).mean(1)
    crps = error if single else error - np.stack([ensemble.mean_difference(one) for one in members]) / 2
    weights = known / known.sum((0, 2, 3), keepdims=True)
    by_lead = lambda values: (values * weights).sum((0, 2, 3))
    found = {"crps": float(by_lead(crps).mean()), "crps_by_lead": by_lead(crps).tolist()}
    if not single:
        variance, square = by_lead(members.var(1, ddof=1)), by_lead((mean - truth) ** 2)
        found["spread_skill"] = np.sqrt((1 + 1 / members.shape[1]) * variance / square).tolist()
    return found | {
        "csi": {f"{limit:g}": success(mean, truth, limit).tolist() for limit in THRESHOLDS},
        "fss": {f"{limit:g}": skill(mean, truth, limit).tolist() for limit in THRESHOLDS},
    }


def success(forecast: np.ndarray, truth: np.ndarray, limit: float) -> np.ndarray:
    """Critical success index by lead, of all starts together; (leads,)."""
    found, alike = [], np.ones(truth.shape[2:])
    for lead in range(forecast.shape[1]):
        counts = events.contingency(forecast[None, :, lead], truth[:, lead], limit, alike)
        found.append(events.critical_success({name: values.mean() for name, values in counts.items()}))
    return np.array(found)


def skill(forecast: np.ndarray, truth: np.ndarray, limit: float) -> np.ndarray:
    """Fractions skill score by lead in squares of `SIZE` points, of all starts together; (leads,)."""
    found = []
    for lead in range(forecast.shape[1]):
        part = events.neighbourhoods(forecast[None, :, lead], truth[:, lead], limit, SIZE, np.ones(truth.shape[2:]))
        found.append(events.fractions_skill({name: values.mean() for name, values in part.items()}))
    return np.array(found)


def peers(rain: np.ndarray, last: list[int], members: int, kilometres: float, methods: tuple[str, ...]) -> dict:
    """Nowcasts of pysteps by method (S, E, leads, H, W), rows from south to north, and the seconds of one."""
    with tempfile.TemporaryDirectory() as folder:
        case, out = Path(folder) / "case.npz", Path(folder) / "out.npz"
        given = {"starts": last, "members": members, "kilometres": kilometres, "methods": list(methods)}
        np.savez(case, rain=rain[:, ::-1], leads=LEADS, minutes=MINUTES, **given)
        script = str(ROOT / "benchmarks/peer_pysteps.py")
        done = subprocess.run([interpreter(), script, case, out], stdout=sys.stderr)
        if done.returncode:
            sys.exit("pysteps failed")
        with np.load(out) as found:
            return {name: value[..., ::-1, :] if value.ndim > 2 else value for name, value in found.items()}


def interpreter() -> str:
    """The Python that has pysteps; its environment is made if it is missing."""
    home = ROOT / ".pysteps"
    python = home / "bin/python"
    if subprocess.run([python, "-c", "import pysteps"], capture_output=True).returncode if python.exists() else True:
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", *PYSTEPS], check=True)
    return str(python)


if __name__ == "__main__":
    main()
