"""The storm that the report shows: the low furthest below its mean, or the frame that the settings name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.settings.lexicon import CHANNELS

FRAMES_READ = 256  # frames in memory at a time
MARGIN = 0.15  # share at each edge, but for periodic longitudes and poles, where storms are cut, and so ignored
POLEWARD = 75.0  # degrees of latitude beyond which storms are ignored, because maps are stretched there
SIDE = 2  # frames shown on either side
USUAL_HOURS = 12  # between the frames shown
PARTS = 8  # but at most an eighth of the period between them

ReadBlocks = Callable[[], Iterator[xr.DataArray]]  # yields consecutive blocks of fields, (time, channel, …) each


@dataclass(frozen=True)
class Storm:
    """A storm: the channel that shows it, the frame in which it is deepest, and its centre."""

    channel: str
    frame: int
    latitude: float
    longitude: float

    @property
    def description(self) -> str:
        """Its name in the report: a storm only if the channel is pressure or geopotential, where it is a low."""
        return "the storm" if _is_low(self.channel) else "the largest departure from the mean"


def find(fields: xr.DataArray | ReadBlocks, grid: Grid, requested: datetime | None) -> Storm:
    """Find the frame and point where pressure or geopotential is furthest below its mean over the period.

    In a channel of another kind, departures of either sign count.

    Args:
        fields: the truth in the period (time, channel, latitude, longitude), or a function that yields it in blocks.
        grid: of the fields.
        requested: a time; if given, only the frame nearest to it is searched.

    Raises:
        UserError: if the requested time is outside the period.
    """
    pieces = fields if callable(fields) else partial(_pieces, fields)
    available, times, total, name = [], [], 0.0, ""
    for piece in pieces():
        name = name or storm_channel([str(channel) for channel in piece["channel"].values])
        values = piece.sel(channel=name).values
        available.append(~np.isnan(values).any((1, 2)))
        times.append(piece["time"].values)
        total = total + np.nansum(values, 0, dtype=float)
    known, when = np.concatenate(available), np.concatenate(times)
    mean, chosen = total / max(known.sum(), 1), known
    if requested is not None:
        chosen = np.arange(len(when)) == _nearest(when, requested, known)
    best, first = (-np.inf, 0, 0), 0
    for piece in pieces():
        depth = mean - piece.sel(channel=name).values
        candidates = _inside(grid) & chosen[first : first + len(depth), None, None]  # not missing
        depth = np.where(candidates, depth if _is_low(name) else np.abs(depth), -np.inf).reshape(len(depth), -1)
        t, point = np.unravel_index(depth.argmax(), depth.shape)
        best, first = max(best, (float(depth[t, point]), first + int(t), int(point))), first + len(depth)
    row, column = np.unravel_index(best[2], grid.shape)
    return Storm(name, best[1], float(grid.latitude[row]), float(grid.longitude[column]))


def _pieces(fields: xr.DataArray) -> Iterator[xr.DataArray]:
    """Fields in pieces of consecutive frames."""
    for first in range(0, fields.sizes["time"], FRAMES_READ):
        yield fields.isel(time=slice(first, first + FRAMES_READ))


def storm_channel(channels: list[str]) -> str:
    """The channel for finding storms: sea level pressure, else geopotential at the lowest level, else the last one."""
    geopotentials = [name for name in channels if CHANNELS[name].variable == "geopotential"]
    if "msl" in channels:
        return "msl"
    return max(geopotentials, key=lambda name: CHANNELS[name].level) if geopotentials else channels[-1]


def frames_around(storm: Storm, frames: int, step_hours: float) -> np.ndarray:
    """Numbers of the frames shown: around that of the storm, and inside the period."""
    stride = max(1, min(round(USUAL_HOURS / step_hours), frames // PARTS))
    chosen = storm.frame + stride * np.arange(-SIDE, SIDE + 1)
    return chosen[(chosen >= 0) & (chosen < frames)]


def _is_low(channel: str) -> bool:
    return channel == "msl" or CHANNELS[channel].variable == "geopotential"


def _nearest(times: np.ndarray, requested: datetime, available: np.ndarray) -> int:
    time = np.datetime64(requested, "ns")
    if not times[0] <= time <= times[-1]:
        first, last = times[[0, -1]].astype("datetime64[h]")
        raise UserError(
            f"verify.storm ({requested:%Y-%m-%dT%H:%M}) is not in the test period; choose {first} to {last}"
        )
    return int(np.flatnonzero(available)[np.abs(times[available] - time).argmin()])


def _inside(grid: Grid) -> np.ndarray:
    """Points where storms are searched for, (H, W)."""

    def middle(size: int, whole: bool) -> np.ndarray:
        edge = 0 if whole else int(MARGIN * size)
        return (np.arange(size) >= edge) & (np.arange(size) < size - edge)

    rows, not_polar = middle(grid.shape[0], grid.is_global), np.abs(grid.latitude) <= POLEWARD
    inside = rows & not_polar if (rows & not_polar).any() else rows
    return inside[:, None] & middle(grid.shape[1], grid.periodic) & grid.where
