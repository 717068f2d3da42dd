"""The figure of the audit: representations, AUROC and errors of training and held-out frames."""

from pathlib import Path

import matplotlib
import numpy as np

from hindsight.fields import store

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

COLOURS = {"training": "#D55E00", "held_out": "#0072B2"}
MARKS = {  # statistics by noise level, and how they are drawn
    "deviation": ("#009E73", "standard deviation"),
    "peakedness": ("#CC79A7", "L4 / L2"),
    "skill": ("#000000", "error / linear prior's"),
    "linear": ("#999999", "error of the linear prior"),
}
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}


def draw(result: dict, path: Path) -> None:
    """Draw what an audit found.

    Left: the share of frames with a standard deviation of the representation below each value, in both periods. Middle:
    AUROC by noise level with 95 % intervals. Right: error relative to the linear prior's, in both periods.
    """
    with plt.rc_context(STYLE):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11.5, 3.2), layout="constrained")
        for name, values in result["deviation"].items():
            share = np.linspace(0, 1, len(values))
            left.plot(values, share, color=COLOURS[name], label=name.replace("_", " "))
        left.set(xlabel="standard deviation of the representation / mean", ylabel="share of frames below")
        left.legend(fontsize=8)
        _auroc(middle, result["levels"])
        _errors(right, result["levels"])
        store.replace(path, lambda partial: figure.savefig(partial, format="png", dpi=132, metadata={"Software": None}))
        plt.close(figure)


def _auroc(axis: plt.Axes, levels: list[dict]) -> None:
    sigma = np.array([level["sigma"] for level in levels])
    axis.axhline(0.5, color="0.6", linewidth=0.8)
    for shift, (key, (colour, label)) in zip((0.91, 0.97, 1.03, 1.09), MARKS.items()):
        value, lower, upper = (
            np.array([level[key][part] for level in levels], float) for part in ("auroc", "lower", "upper")
        )
        reach = np.nan_to_num(np.maximum([value - lower, upper - value], 0))
        axis.errorbar(sigma * shift, value, yerr=reach, fmt="o", color=colour, markersize=4, elinewidth=1, label=label)
    axis.set(xscale="log", ylim=(0, 1), xlabel="noise level σ", ylabel="AUROC, training over held out")
    axis.legend(fontsize=7, ncols=2)


def _errors(axis: plt.Axes, levels: list[dict]) -> None:
    sigma = [level["sigma"] for level in levels]
    axis.axhline(1, color="0.6", linewidth=0.8)
    for name, colour in COLOURS.items():
        share = [level["error"][name] / level["linear_error"][name] for level in levels]
        axis.plot(sigma, share, "o-", color=colour, markersize=4, label=name.replace("_", " "))
    axis.set(xscale="log", xlabel="noise level σ", ylabel="error / error of the linear prior")
    axis.legend(fontsize=8)
