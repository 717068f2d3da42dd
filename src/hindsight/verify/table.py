"""Print a table of scores at the end of a run."""

from pathlib import Path

import xarray as xr

from hindsight.errors import UserError
from hindsight.scores import significance

METRICS = ("rmse", "crps", "acc", "spread_skill")


def run(*, scores: Path, report: Path) -> None:
    """Print the scores of every network, the path of the report and how to open it."""
    try:
        found = xr.load_dataset(scores)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the scores {scores} ({error}); run snakemake to make them") from None
    print("\n".join(lines(found)))
    print(f"\nThe report: {report}\nOpen it in a browser: {report.resolve().as_uri()}")


def lines(scores: xr.Dataset) -> list[str]:
    """The lines of the table, best analysis first."""
    channels = list(scores["channel"].values)
    units = list(scores["units"].values)
    rows = []
    for network in scores["network"].values:
        part = scores["score"].sel(network=network)
        order = part.sel(metric="crps").mean("channel").argsort().values
        rows += ["", f"{network}, {scores.attrs['period']}, {scores.attrs['members']} members"]
        head = "".join(f"{metric:>{10 * len(channels)}}" for metric in METRICS)
        rows += [
            f"{'':22}{head}",
            f"{'':22}" + "".join(f"{c:>10}" for _ in METRICS for c in channels),
            f"{'':22}" + "".join(f"{u:>10}" for u in units * 2),
        ]
        for analysis in scores["analysis"].values[order]:
            values = part.sel(analysis=analysis)
            numbers = "".join(
                f"{_short(float(values.sel(metric=m, channel=c)), m):>10}" for m in METRICS for c in channels
            )
            rows.append(f"{analysis:22}{numbers}")
    if bool(scores["lower"].isnull().all()):
        rows += [
            "",
            f"No score has a confidence interval: at least {significance.LEAST_FRAMES} scored frames are needed.",
        ]
    return rows


def _short(value: float, metric: str) -> str:
    return f"{value:.3f}" if metric in ("acc", "spread_skill") else f"{value:.4g}"
