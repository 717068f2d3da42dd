"""What a run of training leaves to look at: the learning curve as a table and a picture, and TensorBoard's scalars.

The table and the picture are made anew at every look at the validation period, so they can be watched while it runs.
"""

import csv
from pathlib import Path

import matplotlib
from tensorboardX import SummaryWriter

from hindsight.fields import store

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

PREFIX = "sigma_"  # of the columns with validation errors, all frames at one level
KIND = "kind_"  # of those with errors at one kind of levels


class Diary:
    """A run's diary.

    Args:
        curve: where the table goes.
        figure: where the picture goes.
        scalars: folder for TensorBoard; what it holds from step `done` on is struck out.
        done: steps done before.
    """

    def __init__(self, curve: Path, figure: Path, scalars: Path, done: int = 0) -> None:
        self.curve, self.figure = curve, figure
        self._writer = SummaryWriter(str(scalars), purge_step=done)

    def step(self, step: int, **numbers: float) -> None:
        """Numbers of one step, by name."""
        for name, value in numbers.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    def look(self, rows: list[dict]) -> None:
        """The curve so far; its last row is new."""
        for name, value in rows[-1].items():
            if name.startswith((PREFIX, KIND)):
                self._writer.add_scalar(f"validation/{name}", value, rows[-1]["step"])
        self._writer.flush()
        self.show(rows)

    def show(self, rows: list[dict]) -> None:
        """The table and the picture of the curve so far."""
        write_curve(rows, self.curve)
        draw(rows, self.figure)

    def close(self) -> None:
        """The last page."""
        self._writer.close()


def write_curve(rows: list[dict], path: Path) -> None:
    """The learning curve as CSV."""

    def write(partial: Path) -> None:
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)

    store.replace(path, write)


def draw(rows: list[dict], path: Path) -> None:
    """The training loss, and the validation error of every noise level beside what it was at the start."""
    steps, names = [row["step"] for row in rows], [name for name in rows[0] if name.startswith(PREFIX)]
    colours = plt.get_cmap("viridis")
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.4), layout="constrained")
        left.plot(steps, [row["loss"] for row in rows], color="#0072B2", marker="." if len(rows) < 40 else "")
        left.set(xlabel="optimiser steps", ylabel="training loss, mean since the last look")
        for k, name in enumerate(names):
            share = [row[name] / rows[0][name] for row in rows]
            label = f"σ = {name.removeprefix(PREFIX)}   {rows[-1][name]:.3f}"
            right.plot(steps, share, color=colours(k / max(len(names) - 1, 1) * 0.9), label=label)
        for name, dashes in zip([name for name in rows[0] if name.startswith(KIND)], ("--", ":", "-.")):
            share = [row[name] / rows[0][name] for row in rows]
            label = f"{name.removeprefix(KIND)}   {rows[-1][name]:.3f}"
            right.plot(steps, share, color="black", linestyle=dashes, linewidth=1, label=label)
        right.axhline(1, color="0.6", linewidth=0.8)
        right.set(xlabel="optimiser steps", ylabel="validation error / error at step 0")
        beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        right.legend(frameon=False, fontsize=8, title="noise level, error now (sd)", title_fontsize=8, **beside)
        store.replace(path, lambda partial: figure.savefig(partial, format="png", dpi=130, metadata={"Software": None}))
        plt.close(figure)
