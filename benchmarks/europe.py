"""Scores and cost of the finished Europe run.

    make europe DATA=../shared/data
    python benchmarks/europe.py [--run results/europe] [--json FILE]

Prints diffusion against optimal interpolation, both as sampled ensembles and against optimal interpolation's single
best analysis, with the cost of the run from Snakemake's own benchmark files.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.baselines import covariance
from hindsight.baselines.optimal_interpolation import OptimalInterpolation
from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.rows import normalise
from hindsight.settings import Settings


def best_single(run: Path, chosen: Settings, network: str) -> np.ndarray:
    """RMSE (standard deviations, unweighted) of the optimal-interpolation mean, without sampling."""
    dataset = store.read(run / "preprocess/fields.zarr")
    scaling = Scaling.read(run / "preprocess/climatology.nc", run / "preprocess/statistics.nc")
    test = dataset.sel(time=slice(chosen.domain.test.start, chosen.domain.test.end))
    training = Frames(run / "preprocess/fields.zarr", chosen.domain.train, scaling)
    method = OptimalInterpolation.from_covariance(covariance.lagged_covariance(training, 1), 1)
    rows = normalise(
        tables.usable(tables.read(sorted((run / f"observe/{network}").glob("*.parquet")))),
        chosen.domain.channels,
        Grid.of(dataset),
        scaling,
    )
    times = test["time"].values
    truth = scaling.normalise(test["fields"].values, times).reshape(len(times), -1)
    errors = np.empty_like(truth)
    for t, time in enumerate(times):
        here = rows.time == time
        mean = method.analyse(
            np.zeros((1, method.size)),
            rows.value[here][None],
            rows.point[here],
            rows.weight[here],
            rows.error[here],
        )
        errors[t] = mean[0] - truth[t]
    return np.sqrt((errors**2).reshape(len(times), len(chosen.domain.channels), -1).mean((0, 2)))


def sampled(run: Path, chosen: Settings, network: str) -> np.ndarray:
    """The same for the mean of the diffusion ensemble."""
    dataset = store.read(run / "preprocess/fields.zarr")
    scaling = Scaling.read(run / "preprocess/climatology.nc", run / "preprocess/statistics.nc")
    total, count = 0.0, 0
    for path in sorted((run / f"reanalyse/{network}/diffusion").glob("*.nc")):
        with xr.open_dataset(path) as part:
            truth = dataset["fields"].sel(time=part["time"]).values
            total = total + ((part["analysis"].mean("realization").values - truth) ** 2).mean((2, 3)).sum(0)
            count += part.sizes["time"]
    return np.sqrt(total / count) / scaling.spread


def cost(run: Path) -> pd.DataFrame:
    """Seconds and peak memory (MB) of every rule, from the benchmark files."""
    rows = []
    for path in sorted((Path("logs") / run.name).rglob("*.tsv")):
        table = pd.read_csv(path, sep="\t", na_values="-")
        rows.append(
            {
                "step": f"{path.parent.name}.{path.stem.split('-')[0]}",
                "seconds": table["s"].sum(),
                "peak_mb": table["max_rss"].max(),
            }
        )
    return (
        pd.DataFrame(rows)
        .groupby("step")
        .agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), peak_mb=("peak_mb", "max"))
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("results/europe"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    chosen = Settings.model_validate_json((arguments.run / "settings/configuration.json").read_text())
    scores = xr.load_dataset(arguments.run / "verify/scores.nc")
    found = {}
    for network in chosen.observe.networks:
        part = scores.sel(network=network)
        one = {metric: part["ratio"].sel(compared=metric, analysis="diffusion").values for metric in ("rmse", "crps")}
        best = best_single(arguments.run, chosen, network)
        one |= {
            "rmse_over_best_single": sampled(arguments.run, chosen, network) / best,
            "best_single_rmse": best,
            "spread_skill": part["score"].sel(analysis="diffusion", metric="spread_skill").values,
        }
        found[network] = {name: [round(float(v), 4) for v in values] for name, values in one.items()}
        print(f"\n{network}: {', '.join(chosen.domain.channels)}")
        for name, values in found[network].items():
            print(f"  {name:24}{values}")
    table = cost(arguments.run)
    print(f"\n{table.round(1).to_string()}\ncore-bound seconds in all: {table['seconds'].sum():.0f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
