"""The storm that the report shows: the deepest low of the period, or the frame that is asked for."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.settings.lexicon import CHANNELS

FRAMES_READ = 256  # at once
MARGIN = 0.15  # share of an open domain, at each edge, in which no storm is looked for: it would be cut
POLEWARD = 75.0  # degrees beyond which none is looked for either: maps are stretched there
SIDE = 2  # frames shown on either side
LEAST_HOURS = 12  # between the frames shown


@dataclass(frozen=True)
class Storm:
    """Which channel shows it, the frame in which it is deepest, and where its centre is."""

    channel: str
    frame: int
    latitude: float
    longitude: float

    @property
    def description(self) -> str:
        """What a page calls it: only pressure and geopotential have storms where they lie lowest."""
        return "the storm" if _is_low(self.channel) else "the largest departure from the mean"


def find(fields: xr.DataArray, grid: Grid, asked: datetime | None) -> Storm:
    """Find the frame and point that lie furthest below (for other than pressure: from) the period's mean.

    Args:
        fields: the truth in the period (time, channel, latitude, longitude), read some frames at a time.
        grid: where.
        asked: a time whose frame is to be shown, if any.

    Raises:
        UserError: if the time asked for is outside the period.
    """
    name = storm_channel([str(channel) for channel in fields["channel"].values])
    series, times = fields.sel(channel=name), fields["time"].values
    pieces = [slice(k, k + FRAMES_READ) for k in range(0, len(times), FRAMES_READ)]
    there = np.concatenate([~np.isnan(series.isel(time=piece).values).any((1, 2)) for piece in pieces])
    mean = sum(np.nansum(series.isel(time=piece).values, 0, dtype=float) for piece in pieces) / max(there.sum(), 1)
    if asked is not None:
        nearest = _nearest(times, asked, there)
        pieces = [slice(nearest, nearest + 1)]
    best = (-np.inf, 0, 0)
    for piece in pieces:
        depth = mean - series.isel(time=piece).values
        shown = _inside(grid) & there[piece, None, None]  # a frame that the source lacks shows nothing
        depth = np.where(shown, depth if _is_low(name) else np.abs(depth), -np.inf).reshape(len(depth), -1)
        t, point = np.unravel_index(depth.argmax(), depth.shape)
        best = max(best, (float(depth[t, point]), piece.start + int(t), int(point)))
    row, column = np.unravel_index(best[2], grid.shape)
    return Storm(name, best[1], float(grid.latitude[row]), float(grid.longitude[column]))


def storm_channel(channels: list[str]) -> str:
    """The channel that shows storms best: pressure, else the lowest geopotential, else the last one."""
    heights = [name for name in channels if CHANNELS[name].variable == "geopotential"]
    if "msl" in channels:
        return "msl"
    return max(heights, key=lambda name: CHANNELS[name].level) if heights else channels[-1]


def frames_about(storm: Storm, frames: int, step_hours: int) -> np.ndarray:
    """Numbers of the frames shown: about the storm's, and inside the period."""
    stride = max(1, round(LEAST_HOURS / step_hours))
    chosen = storm.frame + stride * np.arange(-SIDE, SIDE + 1)
    return chosen[(chosen >= 0) & (chosen < frames)]


def _is_low(channel: str) -> bool:
    return channel == "msl" or CHANNELS[channel].variable == "geopotential"


def _nearest(times: np.ndarray, asked: datetime, there: np.ndarray) -> int:
    wanted = np.datetime64(asked, "ns")
    if not times[0] <= wanted <= times[-1]:
        first, last = times[[0, -1]].astype("datetime64[h]")
        raise UserError(f"verify.storm ({asked:%Y-%m-%dT%H:%M}) is not in the test period; choose {first} to {last}")
    return int(np.flatnonzero(there)[np.abs(times[there] - wanted).argmin()])


def _inside(grid: Grid) -> np.ndarray:
    """Where a storm is looked for, (H, W)."""

    def middle(size: int, whole: bool) -> np.ndarray:
        edge = 0 if whole else int(MARGIN * size)
        return (np.arange(size) >= edge) & (np.arange(size) < size - edge)

    rows, low = middle(grid.shape[0], grid.is_global), np.abs(grid.latitude) <= POLEWARD
    return (rows & low if (rows & low).any() else rows)[:, None] & middle(grid.shape[1], grid.periodic)
