"""The storm that the report shows: the deepest low of the period, or the frame that the settings name."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.settings.lexicon import CHANNELS

FRAMES_READ = 256  # frames in memory at a time
MARGIN = 0.15  # share of a limited domain at each edge where storms are ignored, because the edge would cut them
POLEWARD = 75.0  # degrees of latitude beyond which storms are ignored, because maps are stretched there
SIDE = 2  # frames shown on either side
LEAST_HOURS = 12  # between the frames shown


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


def find(fields: xr.DataArray, grid: Grid, requested: datetime | None) -> Storm:
    """Find the frame and point where pressure or geopotential is furthest below its mean over the period.

    In a channel of another kind, departures of either sign count.

    Args:
        fields: the truth in the period (time, channel, latitude, longitude), read in pieces.
        grid: of the fields.
        requested: a time; if given, only the frame nearest to it is searched.

    Raises:
        UserError: if the requested time is outside the period.
    """
    name = storm_channel([str(channel) for channel in fields["channel"].values])
    series, times = fields.sel(channel=name), fields["time"].values
    pieces = [slice(k, k + FRAMES_READ) for k in range(0, len(times), FRAMES_READ)]
    available = np.concatenate([~np.isnan(series.isel(time=piece).values).any((1, 2)) for piece in pieces])
    mean = sum(np.nansum(series.isel(time=piece).values, 0, dtype=float) for piece in pieces) / max(available.sum(), 1)
    if requested is not None:
        nearest = _nearest(times, requested, available)
        pieces = [slice(nearest, nearest + 1)]
    best = (-np.inf, 0, 0)
    for piece in pieces:
        depth = mean - series.isel(time=piece).values
        candidates = _inside(grid) & available[piece, None, None]  # not missing
        depth = np.where(candidates, depth if _is_low(name) else np.abs(depth), -np.inf).reshape(len(depth), -1)
        t, point = np.unravel_index(depth.argmax(), depth.shape)
        best = max(best, (float(depth[t, point]), piece.start + int(t), int(point)))
    row, column = np.unravel_index(best[2], grid.shape)
    return Storm(name, best[1], float(grid.latitude[row]), float(grid.longitude[column]))


def storm_channel(channels: list[str]) -> str:
    """The channel for finding storms: sea level pressure, else geopotential at the lowest level, else the last one."""
    geopotentials = [name for name in channels if CHANNELS[name].variable == "geopotential"]
    if "msl" in channels:
        return "msl"
    return max(geopotentials, key=lambda name: CHANNELS[name].level) if geopotentials else channels[-1]


def frames_around(storm: Storm, frames: int, step_hours: int) -> np.ndarray:
    """Numbers of the frames shown: around that of the storm, and inside the period."""
    stride = max(1, round(LEAST_HOURS / step_hours))
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
    return (rows & not_polar if (rows & not_polar).any() else rows)[:, None] & middle(grid.shape[1], grid.periodic)
