"""Screen the reports of an interval against the climatology and each other, and correct the bias of stations."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import intervals, store, usage
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.observe.neighbours import Judgement, Neighbours
from hindsight.operators.rows import Rows, normalise
from hindsight.prior import read_linear
from hindsight.progress import Progress
from hindsight.settings import DomainWithoutPeriods, RealReports
from hindsight.settings.quality import Bias, Quality

LASTING = 0.5  # share of the expected spread of departures that lasts for a season; measured in Europe


def run(
    domain: DomainWithoutPeriods,
    settings: RealReports,
    *,
    interval: str,
    observations: list[Path],
    linear_prior: Path,
    climatology: Path,
    statistics: Path,
    static: Path,
    calibration: list[Path],
    screened: Path,
) -> None:
    """Check the reports of an interval against the climatology and each other, and correct the bias of stations."""
    grid, quality = Grid.of(xr.load_dataset(static)), settings.quality
    process, scaling = read_linear(linear_prior, climatology, statistics, grid)
    span = intervals.parse(interval, domain.step_hours)
    step = intervals.time_step(domain.step_hours)
    reach = (int((quality.bias.days or 0) * 24 / 2 / domain.step_hours) + quality.frames) * step
    table = tables.read(observations, span.times[0] - reach, span.times[-1] + reach)
    table = table.assign(**{name: value for name, value in tables.OPTIONAL.items() if name not in table})
    usable = calibrated(table[table["quality"] == 0].reset_index(drop=True), calibration)
    rows = normalise(usable, domain.channels, grid, scaling, domain.step_hours)
    judge = Neighbours(process, quality, usable, rows, domain.step_hours)
    inside = usable["time"].between(span.times[0], span.times[-1]).to_numpy()
    own_rows = screen(judge, usable, rows, inside, quality, f"observe.screen {interval}")
    others = table[(table["quality"] != 0) & table["time"].between(span.times[0], span.times[-1])]
    whole = pd.concat([own_rows, others], ignore_index=True).sort_values(
        ["time", "channel", "station"], kind="stable", ignore_index=True
    )
    store.replace(screened, lambda partial: whole.to_parquet(partial, index=False))
    counts = usage.sentence(usage.count(whole, usage.reasons(whole)))
    print(f"{interval}: {counts}", file=sys.stderr)


def calibrated(table: pd.DataFrame, calibration: list[Path]) -> pd.DataFrame:
    """Reports minus the bias of their stations in the training period (kept in `bias`), with the errors found there.

    A station's error is at least half of that in the settings.

    Args:
        table: usable rows, (N,).
        calibration: the file of `observe.calibrate`, or none.
    """
    if not calibration:
        return table
    known = pd.read_csv(calibration[0], dtype={"station": str}).set_index(["station", "channel"])
    found = known.reindex(pd.MultiIndex.from_frame(table[["station", "channel"]].astype(str)))
    bias, error = found["bias"].fillna(0.0).to_numpy(), found["error"].to_numpy()
    error = np.where(np.isfinite(error), np.maximum(error, table["error"] / 2), table["error"])
    return table.assign(bias=bias, value=table["value"] - bias, error=error)


def screen(
    judge: Neighbours, table: pd.DataFrame, rows: Rows, inside: np.ndarray, quality: Quality, name: str
) -> pd.DataFrame:
    """Judge reports twice, before and after the bias of their stations is subtracted; once if no bias is estimated.

    Args:
        judge: of these rows.
        table: the observation table of usable reports, (N,).
        rows: the same, normalised.
        inside: the reports of the interval, (N,); the others are there as neighbours.
        quality: settings.
        name: of the job, for its progress.

    Returns:
        The rows of the interval, with `bias`, `quality` and `reasons`; and, bias subtracted, in the channel's units:
        `innovation` (observation minus climatology), `departure` (minus the estimate by all other reports) and
        `from_others` (minus the estimate by the other series), each with its standard deviation `…_spread`.
    """
    kept = np.abs(rows.value) <= quality.background * np.sqrt(
        4 + rows.error**2
    )  # the local spread may be twice that of the channel
    corrected = quality.bias.days is not None and table["platform"].isin(quality.bias.platforms).any()
    frames = np.unique(judge.frame) if corrected else np.zeros(0, int), np.unique(judge.frame[inside])
    count, count_inside = (int((kept & np.isin(judge.frame, some)).sum()) for some in frames)
    watch = Progress(name, count + count_inside, "reports")
    watch(0)
    first = _judged(judge, frames[0], rows.value, kept, watch)
    usable_departure = np.where(first.rejected, np.nan, first.from_others)
    spread, earlier = np.sqrt(first.variance_from_others), table["bias"]
    bias = station_bias(judge, table, usable_departure, spread, rows.error, quality.bias)
    second = _judged(judge, frames[1], rows.value - bias, kept, lambda done: watch(count + done))
    innovation = rows.value - bias
    far = ~kept | (np.abs(innovation) > quality.background * np.where(second.expected > 0, second.expected, np.inf))
    results = {
        "innovation": innovation,
        "innovation_spread": second.expected,
        "departure": second.departure,
        "departure_spread": np.sqrt(second.variance),
        "from_others": second.from_others,
        "from_others_spread": np.sqrt(second.variance_from_others),
        "bias": bias,
    }
    table = table.assign(**{name: value * rows.unit for name, value in results.items()})
    table = table.assign(value=table["value"] - table["bias"], bias=table["bias"] + earlier)
    table = usage.with_reason(table, usage.BACKGROUND, far)
    return usage.with_reason(table, usage.NEIGHBOURS, second.rejected)[inside]


def _judged(
    judge: Neighbours, frames: np.ndarray, value: np.ndarray, kept: np.ndarray, progress: Callable[[int], None]
) -> Judgement:
    """The judgement of all rows of some frames; NaN for rows of other frames."""
    result, done = Judgement(*(np.full(len(value), np.nan) for _ in range(5)), np.zeros(len(value), bool)), 0
    for at, judgement in judge.judge(frames, value, kept):
        for name in Judgement.__dataclass_fields__:
            getattr(result, name)[at] = getattr(judgement, name)
        progress(done := done + len(at))
    return result


def station_bias(
    judge: Neighbours,
    table: pd.DataFrame,
    departure: np.ndarray,
    spread: np.ndarray,
    error: np.ndarray,
    settings: Bias,
) -> np.ndarray:
    """The slowly varying bias of each report's station and channel, (N,), in the units of `departure`.

    The mean of n departures within the window around a report is shrunk towards zero: a bias of variance b^2
    (`size`^2 error^2) is observed with the variance s^2 / m (m independent departures of variance s^2) and the
    lasting part of v^2, v being the expected spread of departures:

        bias = mean b^2 / (b^2 + s^2 / m + (LASTING v)^2),      m = n / (reports in `memory_days`).

    Args:
        judge: of the same rows, for stations and frames.
        table: for times and platforms.
        departure: from the estimate by the other series; NaN where there is none.
        spread: standard deviation of that estimate.
        error: observation errors.
        settings: of the bias.
    """
    result = np.zeros(len(table))
    if settings.days is None:
        return result
    days = table["time"].to_numpy("datetime64[ns]").astype("int64") / 86400e9
    corrected = table["platform"].isin(settings.platforms).to_numpy()
    for rows in pd.Series(np.arange(len(table))).groupby(judge.series).indices.values():
        rows = rows[corrected[rows]]
        result[rows] = _running_bias(days[rows], departure[rows], spread[rows], error[rows], settings)
    return result


def _running_bias(
    days: np.ndarray, departure: np.ndarray, spread: np.ndarray, error: np.ndarray, settings: Bias
) -> np.ndarray:
    """The bias at each of the times (days) of one station."""
    order = np.argsort(days, kind="stable")
    valid = order[np.isfinite(departure[order])]
    sums = np.concatenate([np.zeros((1, 4)), np.cumsum(_powers(departure[valid], spread[valid]), 0)])
    low, high = (np.searchsorted(days[valid], days + side * settings.days / 2) for side in (-1, 1))
    count, total, square, lasting = (sums[high] - sums[low]).T
    safe = np.maximum(count, 1)
    mean = total / safe
    variance = np.maximum(square / safe - mean**2, error**2 / 4)
    between = np.median(np.diff(days[order])) if len(order) > 1 else settings.memory_days
    alike = max(1.0, settings.memory_days / max(between, 1e-6))  # reports within the memory
    size = (settings.size * error) ** 2
    return np.where(count > 0, mean * size / (size + variance * alike / safe + LASTING**2 * lasting / safe), 0.0)


def _powers(values: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.stack([np.ones(len(values)), values, values**2, spread**2], 1)
