"""Read the parts of analyses and observations that the report shows: a few frames, and series at two stations."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import analyses as analysis_files
from hindsight.fields.grid import Grid, great_circle
from hindsight.operators.footprint import observation_operator


@dataclass(frozen=True)
class Series:
    """Truth (T, C), members (E, T, C) and observations (rows of the table) at one station."""

    latitude: float
    longitude: float
    withheld: bool
    truth: np.ndarray
    members: np.ndarray
    observations: pd.DataFrame


def read_frames(paths: list[Path], times: np.ndarray) -> xr.DataArray:
    """Read frames of one analysis shard by shard; (realization, time, channel, latitude, longitude)."""
    parts = []
    for blocks in analysis_files.by_shard(paths):
        selected = np.isin(analysis_files.header(blocks[0])["time"].values, times)
        if selected.any():
            parts.append(analysis_files.read(blocks)["analysis"].isel(time=selected))
    return xr.concat(parts, "time", coords="minimal")


def means(paths: list[Path]) -> Iterator[xr.DataArray]:
    """The ensemble mean of one analysis shard by shard; (time, channel, latitude, longitude) each."""
    for blocks in analysis_files.by_shard(paths):
        yield analysis_files.read(blocks)["analysis"].mean("realization")


def choose_stations(table: pd.DataFrame, channel: str, place: tuple[float, float] | None) -> pd.DataFrame:
    """Choose one used and, if any, one withheld station: the nearest to a place, or the most variable."""
    of_channel = table[table["channel"] == channel]
    candidates = of_channel.groupby("station").first()
    if place is None:
        candidates["order"] = -of_channel.groupby("station")["value"].std().fillna(0.0)
    else:
        candidates["order"] = great_circle(
            *place, candidates["latitude"].to_numpy(), candidates["longitude"].to_numpy()
        )
    return candidates.sort_values("order").groupby("withheld").head(1).sort_values("withheld").reset_index()


def series(
    paths: list[Path], truth: xr.DataArray, table: pd.DataFrame, chosen: pd.DataFrame, grid: Grid
) -> list[Series]:
    """Truth, members and observations at chosen stations, in the frames of the truth.

    Args:
        paths: the files of one analysis.
        truth: (time, channel, latitude, longitude).
        table: observations of the network.
        chosen: from `choose_stations`.
        grid: of the fields.
    """
    operator = observation_operator(grid, chosen)
    values = read_frames(paths, truth["time"].values).values
    members = operator.apply(values.reshape(*values.shape[:3], -1))
    at_stations = operator.apply(truth.values.reshape(*truth.shape[:2], -1))
    rows = table[table["time"].isin(truth["time"].values)]
    return [
        Series(
            float(one.latitude),
            float(one.longitude),
            bool(one.withheld),
            at_stations[..., k],
            members[..., k],
            rows[rows["station"] == one.station],
        )
        for k, one in enumerate(chosen.itertuples())
    ]
