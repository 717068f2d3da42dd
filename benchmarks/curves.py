"""Learning curves on the data of a run, with different linear priors and networks.

    python benchmarks/curves.py --run navier_stokes --variants space_time white --json results/curves.json

Trains every variant for the same number of steps on the same batches, otherwise with the settings of the run, and adds
`{RUN: {VARIANT: {"curve", "parameters", "gflop_per_frame", "seconds_per_step"}}}` to the file. Errors are those of
validation windows, all frames at one noise level, in standard deviations; `--figure` draws them. The run must be
preprocessed; the workflow does it
(`snakemake --configfile config/RUN.yaml -- results/RUN/{train/linear_prior.safetensors,preprocess/static.nc}`).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import cases
import matplotlib
import torch

from hindsight import machine
from hindsight import prior as priors
from hindsight.backbones import size
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.settings import Train, load
from hindsight.settings.domain import TrainingDomain
from hindsight.settings.section import with_defaults
from hindsight.train import linear_prior, loop
from hindsight.train.metrics import LEVEL
from hindsight.train.prior import build, windows
from hindsight.train.windows import scaling_for

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

TRANSFORMER = {"kind": "transformer", "patch": 4, "width": 128, "depth": 4, "heads": 4, "embedding": 128}
LABELS = {"space_time": "space-time, U-Net", "white": "white, U-Net", "transformer": "space-time, transformer"}
SHOWN = (0.3, 1.0, 3.0)  # noise levels in the picture
VARIANTS = {
    "space_time": {},
    "space": {"linear_prior": {"form": "space"}},
    "white": {"linear_prior": {"form": "white"}},
    "transformer": {"backbone": TRANSFORMER},
    "full resolution": {"backbone": {"patch": 1}},
    "patch 2": {"backbone": {"patch": 2}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="a folder in results/")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["space_time", "white", "transformer"])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the figures go; other runs and variants in it are kept")
    parser.add_argument("--figure", type=Path, help="where a picture of all that is in the file goes (PNG)")
    parser.add_argument("--quick", action="store_true", help="four steps: a check that it runs")
    chosen = parser.parse_args()
    steps = 4 if chosen.quick else chosen.steps
    found = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.is_file() else {}
    for name in chosen.variants:
        own = {"steps": steps, "validate_every": max(steps // 8, 1), "threads": chosen.threads, "keep": "last"}
        found.setdefault(chosen.run, {})[name] = row = learnt(cases.ROOT / "results" / chosen.run, VARIANTS[name], own)
        print(chosen.run, name, json.dumps(row["curve"][-1]), f"{row['seconds_per_step']:.2f} s a step", flush=True)
        cases.write(found, chosen.json)
    if chosen.figure:
        draw(found, chosen.figure)


def learnt(run: Path, variant: dict, own: dict) -> dict:
    """Train a variant on a run's data."""
    domain, base = load(run / "settings/train.json", [TrainingDomain, Train])
    settings = Train.model_validate(with_defaults(own, with_defaults(variant, base.model_dump(mode="json"))))
    torch.set_num_threads(settings.threads)
    inputs = {name: run / f"preprocess/{name}.nc" for name in ("climatology", "statistics")}
    fields = run / "preprocess/fields.zarr"
    grid = Grid.of(store.read(fields))
    seen = scaling_for(settings, grid, inputs["climatology"], inputs["statistics"])
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "linear_prior.safetensors"
        linear_prior.run(domain, settings, fields=fields, **inputs, linear_prior=start)
        prior = build(domain, settings, grid, seen, run / "preprocess/static.nc", start, {})
        prior = prior.to(torch.device(machine.device(settings.device)))
        training, validation = (windows(domain, settings, name, fields, seen) for name in ("train", "validation"))
        began = time.monotonic()
        _, curve = loop.train(prior, training, validation, settings, Path(folder) / "checkpoint", {})
    inputs, conditions = priors.input_sizes(prior.metadata, prior.maps)
    work = size.flops(prior.network, inputs, conditions, settings.window, tuple(prior.maps.shape[-2:]))
    return {
        "curve": curve,
        "parameters": size.parameters(prior.network),
        "gflop_per_frame": work / 1e9,
        "seconds_per_step": (time.monotonic() - began) / settings.steps,  # validation included
        "frames_per_step": settings.batch * settings.window,
    }


def draw(found: dict, path: Path) -> None:
    """Draw one row per run, one column per noise level, one line per variant."""
    colours = dict(zip(VARIANTS, ("#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00")))
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(
            len(found), len(SHOWN), figsize=(3.4 * len(SHOWN), 2.6 * len(found)), squeeze=False, layout="constrained"
        )
        for row, (run, variants) in zip(axes, found.items()):
            for axis, level in zip(row, SHOWN):
                for name, one in variants.items():
                    steps, errors = zip(*((r["step"], r[f"{LEVEL}{level:g}"]) for r in one["curve"]))
                    axis.plot(steps, errors, color=colours[name], label=LABELS.get(name, name))
                axis.set_title(f"{run.replace('_', ' ')}, σ = {level:g}", loc="left", fontsize=9)
                axis.set_ylim(bottom=0)
            row[0].set_ylabel("validation error (sd)")
            row[0].legend(frameon=False, fontsize=8)
        for axis in axes[-1]:
            axis.set_xlabel("optimiser steps")
        figure.savefig(path, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
