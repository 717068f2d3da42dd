"""Calibrate stations against the fields of the training period: bias, and standard deviation of departures.

The prior learns from these fields, so reports are made comparable with them. In the training period, which is never
scored, the usual departure of a station from the fields is its bias (a wrong height, the hours that a mean is taken
over), and the scatter from day to day its error: that of the instrument and of representativeness together.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import calendar, intervals, store, usage
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.operators.evaluate import evaluate
from hindsight.progress import Progress
from hindsight.settings import TrainingDomain

NAMES = ["station", "channel"]
COLUMNS = [*NAMES, "reports", "bias", "error"]
FEWEST = 60  # least reports of a calibrated station
LIMIT = 4.0  # scaled median absolute deviations, beyond which a departure counts as one at the limit
DEVIATION = 1.4826  # median absolute deviations in a standard deviation of a normal distribution


def run(domain: TrainingDomain, *, observations: list[Path], fields: Path, calibration: Path) -> None:
    """Compare the reports of the training period with its fields, and write bias and error of each station."""
    dataset, watch = store.read(fields), Progress("observe.calibrate", len(observations), "tables")
    parts = [pd.DataFrame(columns=[*NAMES, "departure"])]
    for number, path in enumerate(observations):
        watch(number)
        table = tables.read([path], np.datetime64(domain.train.start), np.datetime64(domain.train.end))
        parts.append(departures(table[table["quality"] == 0], dataset, domain))
    watch(len(observations))
    found = summary(pd.concat(parts, ignore_index=True))
    store.replace(calibration, lambda partial: found.to_csv(partial, index=False))


def departures(table: pd.DataFrame, dataset: xr.Dataset, domain: TrainingDomain) -> pd.DataFrame:
    """Reports minus what their operators take from the fields, in the channels' units.

    Args:
        table: usable rows of an observation table.
        dataset: the fields.
        domain: channels, time step and training period.

    Returns:
        Columns station, channel, departure; without rows that need frames outside of the training period, missing
        ones, or such as lie more than two frames beyond the table's first and last report.
    """
    table = table[usage.observable(table, domain.channels)].reset_index(drop=True)
    if table.empty:
        return pd.DataFrame(columns=[*NAMES, "departure"])
    step = intervals.time_step(domain.step_hours)
    first = max(table["time"].min() - 2 * step, pd.Timestamp(domain.train.start))
    last = min(table["time"].max() + 2 * step, pd.Timestamp(domain.train.end))
    frames = dataset.sel(time=slice(first, last))
    values = np.where(calendar.available(frames)[:, None, None, None], frames["fields"].values, np.nan)
    grid = Grid.of(dataset)
    expected = evaluate(table, domain.channels, grid, frames["time"].values, values)
    found = table[NAMES].assign(departure=table["value"].to_numpy() - expected)
    return found[np.isfinite(found["departure"])]


def summary(departures: pd.DataFrame) -> pd.DataFrame:
    """Bias and error of each station and channel with at least `FEWEST` reports.

    They are the median and the standard deviation of departures that are limited to `LIMIT` scaled median absolute
    deviations, so that a few gross errors do not move them.
    """
    groups = departures.astype({"departure": float}).groupby(NAMES)["departure"]
    found = groups.agg(reports="size", bias="median", error=_limited_deviation).reset_index()
    return found[found["reports"] >= FEWEST][COLUMNS].reset_index(drop=True)


def _limited_deviation(values: pd.Series) -> float:
    away = (values - values.median()).to_numpy()
    limit = LIMIT * DEVIATION * np.median(np.abs(away))
    return float(np.sqrt(np.mean(np.clip(away, -limit, limit) ** 2)))
