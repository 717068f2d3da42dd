"""Learning curves of the forms of the prior's start: space and time, space alone, white (Karras et al.'s own).

    python benchmarks/colour.py [--run results/europe] [--steps 1500] [--forms space_time,space,white] --out FOLDER

Trains each form with the run's data and settings, writes a CSV a form and one picture. Error is that of denoised
windows of the validation year, all frames at one noise level, in standard deviations.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt

from hindsight.settings import Settings, Train
from hindsight.settings.train import Colour
from hindsight.train import colour
from hindsight.train import prior as training

COLOURS = {"space_time": "#0072B2", "space": "#009E73", "white": "#D55E00"}


def learn(run: Path, chosen: Settings, form: str, steps: int, out: Path) -> None:
    """Train one form and write its curve."""
    settings = Train.model_validate(
        chosen.train.model_dump()
        | {"steps": steps, "validate_every": 100, "colour": Colour(**chosen.train.colour.model_dump() | {"form": form})}
    )
    made = {
        "fields": run / "preprocess/fields.zarr/zarr.json",
        "climatology": run / "preprocess/climatology.nc",
        "statistics": run / "preprocess/statistics.nc",
    }
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "colour"
        colour.run(chosen.domain, settings, **made, colour=start)
        training.run(
            chosen.domain,
            settings,
            **made,
            static=run / "preprocess/static.nc",
            colour=start,
            checkpoint=Path(folder) / "checkpoint",
            prior=Path(folder) / "prior",
            curve=out / f"{form}.csv",
        )


def draw(curves: dict[str, pd.DataFrame], path: Path) -> None:
    """One panel a noise level, one line a form."""
    levels = ["sigma_0.3", "sigma_1", "sigma_3", "sigma_10"]
    figure, axes = plt.subplots(1, len(levels), figsize=(11.5, 2.8), constrained_layout=True)
    for axis, level in zip(axes, levels):
        for form, curve in curves.items():
            axis.plot(curve["step"], curve[level], color=COLOURS[form], label=form.replace("_", " and "))
        start = curves.get("space_time", next(iter(curves.values())))[level].iloc[0]
        axis.axhline(start, color="black", linewidth=0.6, linestyle=":")
        axis.set(title=f"noise {level.removeprefix('sigma_')}", xlabel="optimiser steps", ylim=(None, 1.25 * start))
    axes[0].set_ylabel("error (standard deviations)")
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Train, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("results/europe"))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--forms", default="space_time,space,white")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen = Settings.model_validate_json((arguments.run / "settings/configuration.json").read_text())
    for form in filter(None, arguments.forms.split(",")):
        learn(arguments.run, chosen, form, arguments.steps, arguments.out)
    curves = {
        form: pd.read_csv(arguments.out / f"{form}.csv")
        for form in COLOURS
        if (arguments.out / f"{form}.csv").is_file()
    }
    draw(curves, arguments.out / "learning.png")
    print(pd.concat({form: curve.iloc[[0, -1]] for form, curve in curves.items()}).round(4).to_string())


if __name__ == "__main__":
    main()
