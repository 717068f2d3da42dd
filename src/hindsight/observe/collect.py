"""Collect the reports of an interval: read their files and say what each observes, with which error."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import intervals, usage
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.fields.intervals import Interval
from hindsight.observe import channels, sources
from hindsight.operators import time_weights
from hindsight.operators.interpolate import bilinear
from hindsight.settings import Reporting, Scope

TOLERANCE = np.timedelta64(1, "s")
REJECTED = ("rejected",)  # flags of the provider that rule a value out
NEAR_GROUND = ("t2m", "d2m", "u10", "v10")  # depend on the height of the ground


def run(
    domain: Scope,
    settings: Reporting,
    *,
    reports: str,
    interval: str,
    files: list[Path],
    station_list: list[Path],
    static: Path,
    observations: Path,
) -> None:
    """Read the files of reports of an interval, and say what each report observes and with which error."""
    span = intervals.parse(interval, domain.step_hours)
    step = np.timedelta64(domain.step_hours, "h")
    between = span.times[0] - step, span.times[-1] + step
    spec = settings.reports[reports]
    values, notes = sources.read(spec.source, files, spec.table, next(iter(station_list), None), between)
    for note in notes:
        print(f"reports {reports}: {note.sentence}", file=sys.stderr)
    described = channels.assign(values, settings.measurements, domain.channels)
    table = at_frames(described, span, domain.step_hours)
    table = _table(table, f"{spec.source}:{reports}")
    land = xr.load_dataset(static)
    codes = reasons(table, domain.channels, Grid.of(land), land, settings.quality.height_m)
    tables.write(table.assign(quality=codes.first, reasons=codes.bits), observations, coded=True)
    counted = usage.count(table, np.array([usage.BY_CODE[code] for code in codes.first], object))
    print(f"reports {reports}, {interval}: {usage.sentence(counted)}", file=sys.stderr)


def at_frames(reports: pd.DataFrame, span: Interval, step_hours: int) -> pd.DataFrame:
    """Assign reports to frames of an interval, with weights where they lie between two or are means over time.

    Args:
        reports: from `channels.assign`; those without a time are kept, at no frame.
        span: the interval; reports that belong to frames outside of it are left to its neighbours.
        step_hours: between frames.
    """
    step, first = np.timedelta64(step_hours, "h"), span.times[0]
    time = reports["time"].to_numpy("datetime64[ns]")
    away = (time - first) / step
    known = np.isfinite(away)
    whole = np.where(known, np.round(away), -1)
    near = known & (np.abs(away - whole) * step <= TOLERANCE)
    averaged, nearest = (reports["weights"] != "").to_numpy(), reports["nearest"].to_numpy(bool)
    number = np.where(averaged | nearest | near, whole, np.floor(np.where(known, away, -1))).astype(int)
    share = away - number
    between = known & ~(averaged | nearest | near)
    weights = reports["weights"].to_numpy(object).copy()
    weights[between] = [time_weights.text({0: 1 - s, 1: s}) for s in share[between]]
    hours = np.where(nearest & known, np.abs(share) * step_hours, 0.0)
    inside = (number >= 0) & (number < span.frames)
    table = reports.assign(
        time=first + np.clip(number, 0, span.frames - 1) * step,
        time_weights=weights,
        error=np.hypot(reports["error"], reports["error_per_hour"] * hours),
        reported=time,
    )
    return table[inside].reset_index(drop=True)


def _table(reports: pd.DataFrame, source: str) -> pd.DataFrame:
    """Reports as an observation table, with the provider's `flag` besides, so far without codes."""
    names = ["time", "latitude", "longitude", "elevation", "level", "channel", "value", "error", "time_weights"]
    places = reports[[*names, "platform", "station", "flag"]]
    words = {name: places[name].fillna("").astype(str) for name in ("platform", "station", "channel")}
    return places.assign(**words, quality=0, withheld=False, source=source, footprint="", bias=0.0)


def reasons(table: pd.DataFrame, channels: list[str], grid: Grid, static: xr.Dataset, height_m: float) -> usage.Codes:
    """Codes of the reports against their use that need no other report.

    Args:
        table: an observation table, and the provider's `flag`.
        channels: of the state.
        grid: of the state.
        static: land fraction and orography, where they are available.
        height_m: largest height above or below the model's orography, for values near the ground (m).
    """
    codes = usage.codes(table, None, channels, grid)
    codes = codes.with_reason(usage.FLAGGED, table["flag"].isin(REJECTED).to_numpy())
    return codes.with_reason(usage.HEIGHT, _far_from_ground(table, grid, static, height_m))


def _far_from_ground(table: pd.DataFrame, grid: Grid, static: xr.Dataset, height_m: float) -> np.ndarray:
    """Whether values near the ground come from a height that is far from the model's."""
    height = table["elevation"].to_numpy(float)
    near_ground = table["channel"].isin(NEAR_GROUND).to_numpy() & np.isfinite(height)
    far = np.zeros(len(table), bool)
    if "orography" not in static or not near_ground.any():
        return far
    inside = np.flatnonzero(near_ground & usage.inside(table, grid))
    places = (table[name].to_numpy()[inside] for name in ("latitude", "longitude"))
    model = bilinear(grid, *places).apply(static["orography"].values.ravel())
    far[inside] = np.abs(height[inside] - model) > height_m
    return far
