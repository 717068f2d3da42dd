"""Pictures and tables of the report on departures from observations: over time, and at the worst stations."""

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.pyplot import Axes

from hindsight.fields.usage import CODES, USED, WITHHELD
from hindsight.settings.lexicon import CHANNELS, ON_LEVELS
from hindsight.settings.units import readable_units
from hindsight.verify import style
from hindsight.verify.departures import ALL, OURS
from hindsight.verify.regions import WHOLE

FEWEST = 10  # least number of rows of a station that is shown
STYLES = {USED: "--", WITHHELD: "-"}
SHADES = {USED: "#5a5a5a", WITHHELD: "#b4b4b4"}  # grey, since colours stand for analyses
OTHERS = ["#cc79a7", "#f0e442", "#56b4e9", "#8c564b", "#d55e00", "#009e73"]


def over_time(monthly: pd.DataFrame, network: str, label: str) -> Figure:
    """Number of observations of a network in each month by use, and below it the RMSE of the departures.

    Args:
        monthly: `departures_by_month.csv`.
        network: its name.
        label: of the truth or reference.
    """
    of = monthly[(monthly["network"] == network) & (monthly["region"] == WHOLE) & (monthly["platform"] == ALL)]
    channels = list(dict.fromkeys(of["channel"]))
    figure, axes = style.panels(2, max(len(channels), 2), 2.1)
    for spare in axes[:, len(channels) :].ravel():
        spare.remove()
    for (above, below), channel in zip(axes.T, channels):
        part = of[of["channel"] == channel]
        _counts(above, part[part["analysis"] == OURS])
        above.set_title(f"{network}, {channel}")
        _curves(below, part, label)
        below.set_ylabel(label_of(channel))
    axes[0, 0].set_ylabel("observations a month")
    drawn = [axis for axis in axes.ravel() if axis.figure]  # a channel may have no withheld observations
    style.legend(np.array(drawn)[:, None], columns=4 if len(channels) > 2 else 3)
    return figure


def _counts(axis: Axes, part: pd.DataFrame) -> None:
    """Bars of the number of rows in each month, by use from below in the order of the codes."""
    table = part.pivot_table(index="month", columns="use", values="rows", aggfunc="sum", fill_value=0)
    table = table[sorted(table, key=CODES.__getitem__)]
    at, total = _months(table.index), np.zeros(len(table))
    chosen = colours_of(map(str, table), SHADES)
    for use, rows in table.items():
        axis.bar(at, rows, bottom=total, width=25, color=chosen[str(use)], label=str(use))
        total = total + rows.to_numpy()
    _dates(axis)


def colours_of(uses: Iterable[str], fixed: dict[str, str]) -> dict[str, str]:
    """Colours of uses: those that are fixed, and `OTHERS` in turn, so that only many share one."""
    others = itertools.cycle(OTHERS)
    return {use: fixed.get(use) or next(others) for use in uses}


def _curves(axis: Axes, part: pd.DataFrame, label: str) -> None:
    """RMSE of departures of every analysis but the climatology by month, by use, and that of the truth or reference."""
    for use, line in STYLES.items():
        of = part[part["use"] == use].sort_values("month")
        for name, one in of.groupby("analysis"):
            if name != "climatology":
                look = {"color": style.colour(str(name)), "linewidth": 1.2, "linestyle": line}
                axis.plot(_months(one["month"]), one["rmse"], **look, label=f"{style.readable(str(name))}, {use}")
        last = of[of["analysis"] == OURS]
        if use == WITHHELD and last["reference_rmse"].notna().any():
            axis.plot(
                _months(last["month"]), last["reference_rmse"], color="black", linewidth=1, label=f"{label}, {use}"
            )
    axis.set_ylim(0, None)
    _dates(axis)


def worst(stations: pd.DataFrame, count: int = 10) -> pd.DataFrame:
    """The rows of the stations whose departures are largest, with `ratio`, their RMSE relative to the expected.

    Args:
        stations: `stations.csv`.
        count: of rows, at most.
    """
    of = stations[(stations["analysis"] == OURS) & (stations["rows"] >= FEWEST) & stations["use"].isin(STYLES)]
    ratio = of.assign(ratio=1 / of["spread_skill"]).dropna(subset=["ratio"])
    return ratio.sort_values("ratio", ascending=False).head(count)


def worst_table(chosen: pd.DataFrame) -> dict[str, list]:
    """The stations of `worst` as a table: `head`, the titles of the columns, and `rows` of texts."""
    head = ["station", "network", "use", "channel", "place", "observations", "mean departure", "RMSE"]
    rows = [
        [
            row.station,
            row.network,
            row.use,
            row.channel,
            style.format_place(row.latitude, row.longitude),
            f"{row.rows:,}",
            style.with_minus_sign(f"{row.bias:+.3g}"),
            f"{row.rmse:.3g}",
            f"{row.ratio:.2f}",
        ]
        for row in chosen.itertuples()
    ]
    return {"head": [*head, "RMSE / expected"], "rows": rows}


def worst_series(chosen: pd.DataFrame, series: pd.DataFrame) -> Figure:
    """Departures over time of the stations of `worst`: mean and RMSE, and what spread and error lead to expect.

    Args:
        chosen: from `worst`.
        series: `station_series.csv`.
    """
    across = 2 if len(chosen) > 1 else 1
    figure, axes = style.panels(-(-len(chosen) // across), max(across, 2), 1.35)
    keys = ["network", "use", "platform", "channel", "station"]
    for spare in axes.ravel()[len(chosen) :]:
        spare.remove()
    for axis, (_, one) in zip(axes.ravel(), chosen.iterrows()):
        part = series[(series[keys] == one[keys]).all(axis=1)].dropna(subset=["rmse"])
        at = part["start"].to_numpy("datetime64[ns]")
        axis.fill_between(at, -2 * part["expected"], 2 * part["expected"], color="#dddddd", linewidth=0)
        axis.axhline(0, color="black", linewidth=0.5)
        axis.plot(at, part["bias"], "o-", color=style.colour(OURS), markersize=2, linewidth=1)
        axis.plot(at, part["rmse"], "--", color=style.colour(OURS), linewidth=0.8)
        axis.set_title(f"{one['station']}, {one['network']}, {one['use']}")
        axis.set_ylabel(label_of(one["channel"]))
        _dates(axis)
    return figure


def label_of(observed: str) -> str:
    """Name of what is observed with its unit, which is that of a channel of the same quantity."""
    known = CHANNELS.get(observed) or CHANNELS.get({"sp": "msl", "t_free": "t850"}.get(observed, ""))
    if known is None and (variable := observed.split(" ")[0]) in ON_LEVELS:
        known = next(channel for name, channel in CHANNELS.items() if name.startswith(variable) and channel.level)
    unit = readable_units(known.units) if known else ""
    return f"{observed} ({unit})" if unit else observed


def _months(text: pd.Index | pd.Series) -> np.ndarray:
    """The middle of months."""
    return np.asarray(text, dtype="datetime64[M]").astype("datetime64[D]") + 14


def _dates(axis: Axes) -> None:
    locator = AutoDateLocator(maxticks=5)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
