"""Observations and analysis as curves at a few stations, from the feedback, with the interval expected of them."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.pyplot import Axes

from hindsight.fields.usage import CODES, USED, WITHHELD
from hindsight.settings import lexicon
from hindsight.verify import observed, style
from hindsight.verify.departures import OURS, with_level

SHARES = 0.1, 0.5, 0.9  # quantiles of the RMSE at which the stations that are shown lie
NORMAL = 1.6449  # standard deviations within which 90 % of a normal distribution lie
CHANNELS = 4  # at most
COLUMNS = ["analysis", "time", "level", "channel", "station", "code", "obsvalue", "biascorr", "obs_error", "an_depar"]
COLUMNS += ["an_spread", "reference_depar"]


def choose(stations: pd.DataFrame, network: str) -> pd.DataFrame:
    """Withheld (if there are none, used) stations of a network with a small, median and large RMSE, for each channel.

    Args:
        stations: `stations.csv`.
        network: its name.
    """
    rows = stations[(stations["network"] == network) & (stations["analysis"] == OURS)]
    rows = rows.dropna(subset=["rmse"]).query(f"rows >= {observed.FEWEST}")
    use = WITHHELD if (rows["use"] == WITHHELD).any() else USED
    ordered = rows[rows["use"] == use].sort_values("rmse", kind="stable")
    parts = [part.iloc[sorted({int(share * len(part)) for share in SHARES})] for _, part in ordered.groupby("channel")]
    return pd.concat(parts[:CHANNELS]) if parts else rows.iloc[:0]


def read(feedback: list[Path], chosen: pd.DataFrame, ends: np.ndarray) -> pd.DataFrame:
    """The used or withheld rows at stations from `choose` between two times, of every analysis.

    Args:
        feedback: `{network}/{analysis}/{shard}.parquet`.
        chosen: stations of one network.
        ends: first and last time.
    """
    if chosen.empty:
        return pd.DataFrame(columns=COLUMNS)
    first, last = pd.to_datetime(ends)
    codes = [CODES[use] for use in chosen["use"].unique()]
    wanted = [("time", ">=", first), ("time", "<=", last), ("station", "in", list(chosen["station"].unique()))]
    wanted.append(("code", "in", codes))
    files = [path for path in feedback if path.parts[-3] == chosen["network"].iloc[0]]
    rows = pd.concat([pd.read_parquet(path, columns=COLUMNS, filters=wanted) for path in files], ignore_index=True)
    return rows.assign(channel=with_level(rows["channel"], rows["level"].to_numpy(float)))


def draw(rows: pd.DataFrame, chosen: pd.DataFrame, label: str) -> Figure:
    """Curves at every chosen station: a row of panels for each channel.

    Args:
        rows: from `read`.
        chosen: from `choose`.
        label: of the truth or reference; empty: there is none.
    """
    channels = list(dict.fromkeys(chosen["channel"]))
    figure, axes = style.panels(len(channels), len(SHARES), 2.0)
    for line, channel in zip(axes, channels):
        stations = chosen[chosen["channel"] == channel]
        least = lexicon.CHANNELS[channel].lowest if channel in lexicon.CHANNELS else -np.inf
        for spare in line[len(stations) :]:
            spare.remove()
        for axis, station in zip(line, stations.itertuples()):
            part = rows[(rows["channel"] == channel) & (rows["station"] == station.station)]
            _panel(axis, part.sort_values("time"), label, least)
            axis.set_title(
                f"{station.station}, {station.use}, {style.format_place(station.latitude, station.longitude)}"
            )
        line[0].set_ylabel(observed.label_of(channel))
    style.legend(axes, columns=6)
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, label: str, least: float = -np.inf) -> None:
    """Observed values, their interval (not below `least`), means of analysis and baselines, truth or reference."""
    for name, part in rows.groupby("analysis"):
        value = part["obsvalue"] - part["biascorr"]
        mean, colour = value - part["an_depar"], style.colour(str(name))
        if name == "climatology":
            continue
        axis.plot(
            part["time"], mean, color=colour, linewidth=1.2 if name == OURS else 0.8, label=style.readable(str(name))
        )
        if name == OURS:
            half = NORMAL * np.hypot(part["an_spread"], part["obs_error"])
            low = np.maximum(mean - half, least)
            axis.fill_between(part["time"], low, mean + half, color=colour, alpha=0.2, linewidth=0)
            axis.plot(part["time"], value, ".", color="black", markersize=3.5, label="observed")
            if label and part["reference_depar"].notna().any():
                axis.plot(part["time"], value - part["reference_depar"], ":", color="black", linewidth=0.9, label=label)
    locator = AutoDateLocator(minticks=3, maxticks=5)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
