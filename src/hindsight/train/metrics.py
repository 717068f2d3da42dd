"""Metrics of training: the learning curve as a table and a figure, and TensorBoard scalars.

Table and figure are rewritten at each validation, so that they can be watched during training.
"""

import csv
from pathlib import Path

import matplotlib
from tensorboardX import SummaryWriter

from hindsight.fields import store

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

LEVEL = "sigma_"  # prefix of columns with the validation error at one noise level of all frames
KIND = "kind_"  # prefix of columns with the validation error for one kind of noise levels


class MetricsWriter:
    """Writes the metrics of a training run.

    Args:
        curve: path of the table.
        figure: path of the figure.
        scalars: folder for TensorBoard; scalars that it holds from step `done` on are discarded.
        done: number of steps done before.
    """

    def __init__(self, curve: Path, figure: Path, scalars: Path, done: int = 0) -> None:
        self.curve, self.figure = curve, figure
        self._writer = SummaryWriter(str(scalars), purge_step=done)

    def step(self, step: int, **numbers: float) -> None:
        """Write the scalars of one step, by name."""
        for name, value in numbers.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    def validation(self, rows: list[dict]) -> None:
        """Write the learning curve, whose last row is new, and the scalars of that row."""
        for name, value in rows[-1].items():
            if name.startswith((LEVEL, KIND)):
                self._writer.add_scalar(f"validation/{name}", value, rows[-1]["step"])
        self._writer.flush()
        self.write(rows)

    def write(self, rows: list[dict]) -> None:
        """Write table and figure of the learning curve."""
        write_curve(rows, self.curve)
        draw(rows, self.figure)

    def close(self) -> None:
        """Close the TensorBoard file."""
        self._writer.close()


def write_curve(rows: list[dict], path: Path) -> None:
    """Write the learning curve as CSV."""

    def write(partial: Path) -> None:
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)

    store.replace(path, write)


def draw(rows: list[dict], path: Path) -> None:
    """Draw the training loss, and the validation error at each noise level and of each kind, relative to step 0."""
    steps, names = [row["step"] for row in rows], [name for name in rows[0] if name.startswith(LEVEL)]
    colourmap = plt.get_cmap("viridis")
    with plt.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.4), layout="constrained")
        left.plot(steps, [row["loss"] for row in rows], color="#0072B2", marker="." if len(rows) < 40 else "")
        left.set(xlabel="optimiser steps", ylabel="training loss, mean since the last validation")
        for k, name in enumerate(names):
            share = [row[name] / rows[0][name] for row in rows]
            label = f"σ = {name.removeprefix(LEVEL)}   {rows[-1][name]:.3f}"
            right.plot(steps, share, color=colourmap(k / max(len(names) - 1, 1) * 0.9), label=label)
        for name, dashes in zip([name for name in rows[0] if name.startswith(KIND)], ("--", ":", "-.")):
            share = [row[name] / rows[0][name] for row in rows]
            label = f"{name.removeprefix(KIND)}   {rows[-1][name]:.3f}"
            right.plot(steps, share, color="black", linestyle=dashes, linewidth=1, label=label)
        right.axhline(1, color="0.6", linewidth=0.8)
        right.set(xlabel="optimiser steps", ylabel="validation error / error at step 0")
        outside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        right.legend(frameon=False, fontsize=8, title="error now (levels: sd)", title_fontsize=8, **outside)
        store.replace(path, lambda partial: figure.savefig(partial, format="png", dpi=130, metadata={"Software": None}))
        plt.close(figure)
