"""Panels of the error over the cost, one for each case, which benchmarks share."""

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def error_over_cost(names: list[str], cost: str, fill: Callable[[plt.Axes, str], None], path: Path) -> None:
    """Draw a panel for each case, logarithmic in both directions, with one legend below them.

    Args:
        names: of the cases.
        cost: label of the axis of the cost.
        fill: draws a case.
        path: where the picture goes.
    """
    deep, across = -(-len(names) // 2), min(2, len(names))
    figure, panels = plt.subplots(deep, across, figsize=(11, 4 * deep), squeeze=False, layout="constrained")
    for panel, name in zip(panels.flat, names):
        fill(panel, name)
        panel.set(xscale="log", yscale="log", xlabel=cost, ylabel="RMSE of the mean (standard deviations)")
        panel.set_title(name, fontsize=10)
        panel.grid(alpha=0.3, which="both", lw=0.4)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else "")
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    handles = {label: handle for p in panels.flat for handle, label in zip(*p.get_legend_handles_labels())}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
