"""The parts of analyses and observations that the report shows: some frames, and series at two stations."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import analyses as analysis_files
from hindsight.fields.grid import Grid, great_circle
from hindsight.operators.footprint import places


@dataclass(frozen=True)
class Series:
    """Truth (T, C), members (E, T, C) and observations of one station (rows of the table)."""

    latitude: float
    longitude: float
    withheld: bool
    truth: np.ndarray
    members: np.ndarray
    observations: pd.DataFrame


def frames(paths: list[Path], times: np.ndarray) -> xr.DataArray:
    """Some frames of one analysis, one shard in memory at a time; (realization, time, channel, latitude, longitude)."""
    parts = []
    for blocks in analysis_files.by_shard(paths):
        held = np.isin(analysis_files.head(blocks[0])["time"].values, times)
        if held.any():
            parts.append(analysis_files.read(blocks)["analysis"].isel(time=held))
    return xr.concat(parts, "time", coords="minimal")


def stations(table: pd.DataFrame, channel: str, place: tuple[float, float] | None) -> pd.DataFrame:
    """A station that was used, then one that was withheld if any was: nearest to a place, or where it varies most."""
    of_channel = table[table["channel"] == channel]
    found = of_channel.groupby("station").first()
    if place is None:
        found["order"] = -of_channel.groupby("station")["value"].std().fillna(0.0)
    else:
        found["order"] = great_circle(*place, found["latitude"].to_numpy(), found["longitude"].to_numpy())
    return found.sort_values("order").groupby("withheld").head(1).sort_values("withheld").reset_index()


def series(
    paths: list[Path], truth: xr.DataArray, table: pd.DataFrame, chosen: pd.DataFrame, grid: Grid
) -> list[Series]:
    """Truth, members and observations at chosen stations, in the frames of the truth.

    Args:
        paths: the files of one analysis.
        truth: (time, channel, latitude, longitude).
        table: observations of the network.
        chosen: from `stations`.
        grid: where.
    """
    operator = places(grid, chosen)
    values = frames(paths, truth["time"].values).values
    members = operator.numpy(values.reshape(*values.shape[:3], -1))
    there = operator.numpy(truth.values.reshape(*truth.shape[:2], -1))
    rows = table[table["time"].isin(truth["time"].values)]
    return [
        Series(
            float(one.latitude),
            float(one.longitude),
            bool(one.withheld),
            there[..., k],
            members[..., k],
            rows[rows["station"] == one.station],
        )
        for k, one in enumerate(chosen.itertuples())
    ]
