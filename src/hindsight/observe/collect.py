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
from hindsight.settings import DomainWithoutPeriods, RealReports

TOLERANCE = 1 / 3600  # hours by which the time of a report may differ from that of a frame
REJECTED = ("rejected",)  # flags of the provider that rule a value out
NEAR_GROUND = ("t2m", "d2m", "u10", "v10")  # depend on the height of the ground


def run(
    domain: DomainWithoutPeriods,
    settings: RealReports,
    *,
    reports: str,
    interval: str,
    data: Path,
    static: Path,
    observations: Path,
) -> None:
    """Read the files of reports of an interval, and say what each report observes and with which error."""
    span, spec = intervals.parse(interval, domain.step_hours), settings.reports[reports]
    values, notes = sources.collect(spec, data, span.reach)
    for note in notes:
        print(f"reports {reports}: {note.sentence}", file=sys.stderr)
    described = channels.assign(values, settings.measurements, domain.channels)
    table = at_frames(described, span, domain.step_hours)
    table = as_observations(table, f"{spec.source}:{reports}")
    land = xr.load_dataset(static)
    codes = reasons(table, domain.channels, land, settings.quality.height_m)
    tables.write(table.assign(quality=codes.first, reasons=codes.bits), observations, coded=True)
    counted = usage.count(table, np.array([usage.BY_CODE[code] for code in codes.first], object))
    print(f"reports {reports}, {interval}: {usage.sentence(counted)}", file=sys.stderr)


def at_frames(reports: pd.DataFrame, span: Interval, step_hours: float) -> pd.DataFrame:
    """Assign reports to frames of an interval, with weights where they lie between two or are means over time.

    Args:
        reports: from `channels.assign`, all with a time.
        span: the interval; reports that belong to frames outside of it are left to its neighbours.
        step_hours: between frames.

    Returns:
        The reports of the interval. Of several that a station gives for the nearest frame (`nearest_frame`), the
        nearest comes first and is used.
    """
    step, first = intervals.time_step(step_hours), span.times[0]
    away = (reports["time"].to_numpy("datetime64[ns]") - first) / step
    whole, nearest = np.round(away), reports["nearest"].to_numpy(bool)
    between = ~nearest & (reports["weights"] == "").to_numpy() & (np.abs(away - whole) * step_hours > TOLERANCE)
    number = np.where(between, np.floor(away), whole).astype(int)
    share = away - number
    weights = reports["weights"].to_numpy(object).copy()
    weights[between] = [time_weights.text({0: 1 - s, 1: s}) for s in share[between]]
    hours_away = np.where(nearest, np.abs(share) * step_hours, 0.0)
    table = reports.assign(
        time=first + number * step,
        time_weights=weights,
        error=np.hypot(reports["error"], reports["error_per_hour"] * hours_away),
    )
    inside = np.flatnonzero((number >= 0) & (number < span.frames))
    return table.iloc[inside[np.argsort(hours_away[inside], kind="stable")]].reset_index(drop=True)


def as_observations(reports: pd.DataFrame, source: str) -> pd.DataFrame:
    """Reports as an observation table, with the provider's `flag` besides, so far without codes."""
    names = ["time", "latitude", "longitude", "elevation", "level", "channel", "value", "error", "time_weights"]
    kinds = reports["kind"] if "kind" in reports else reports["quantity"]
    places = reports[[*names, "platform", "station", "flag"]].assign(kind=kinds)
    words = {name: places[name].fillna("").astype(str) for name in ("platform", "station", "channel", "kind")}
    return places.assign(**words, quality=0, withheld=False, source=source, footprint="", bias=0.0)


def reasons(table: pd.DataFrame, channels: list[str], static: xr.Dataset, height_m: float) -> usage.Codes:
    """Codes of the reports against their use, of all checks but those of `screen` and `select`.

    Args:
        table: an observation table, and the provider's `flag`.
        channels: of the state.
        static: land fraction and orography, where they are available, on the state's grid.
        height_m: largest height above or below the model's orography, for values near the ground (m).
    """
    grid = Grid.of(static)
    far = np.where(_far_from_ground(table, grid, static, height_m), usage.CODES[usage.HEIGHT], 0)
    quality = np.where(table["flag"].isin(REJECTED), usage.CODES[usage.FLAGGED], far)
    return usage.codes(table.assign(quality=quality), None, channels, grid)


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
