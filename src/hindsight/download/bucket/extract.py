"""Which rows of a store a part needs, and how the part is arranged from them."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from hindsight.download import conventions
from hindsight.download.bucket import time_axis, variables
from hindsight.download.bucket.time_axis import TimeAxis
from hindsight.errors import UserError
from hindsight.fields.axes import check_degrees
from hindsight.settings import Download
from hindsight.settings.lexicon import Channel

Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class Extract:
    """The rows of a store that a part needs.

    `space` are the rows of levels, latitudes and longitudes in the order of the part, `axes` their coordinates, `time`
    is the store's name of the time dimension; `hours_before` has, for each variable that is summed, the hours before a
    frame at which the values of its sum lie.
    """

    times: np.ndarray
    time_axis: TimeAxis
    time: str
    space: Rows
    axes: dict[str, xr.DataArray]
    hours_before: dict[str, np.ndarray]

    @classmethod
    def of(
        cls,
        needed: dict[str, list[Channel]],
        axes: dict[str, xr.DataArray],
        attributes: dict[str, dict],
        times: np.ndarray,
        settings: Download,
    ) -> "Extract":
        """Find the rows that a part needs.

        Args:
            needed: variables, with the channels to be made from each.
            axes: the store's coordinates, complete.
            attributes: the store's own, under `""`, and those of its variables.
            times: of the frames.
            settings: region, and the store's URL for errors.

        Raises:
            UserError: if the store has none of the frames, or lacks a level, the region or a sum.
        """
        where = settings.bucket.url
        time, store_axis = _time_axis(axes, attributes[""], where)
        store_axis.check(times, where)
        rows, values = _space(axes, needed, settings, where)
        return cls(
            times,
            store_axis,
            time,
            rows,
            {name: axes[name][rows[name]].copy(data=values[name]) for name in rows},
            {
                name: time_axis.hours_before(
                    channels, attributes[name], store_axis, where, _accumulated_hours(settings, name, channels)
                )
                for name, channels in needed.items()
                if _sums(name, channels)
            },
        )

    def rows(self, name: str) -> Rows:
        """Rows to read of a variable, by the store's dimensions."""
        hours = self.hours_before.get(name, np.zeros(1))
        frames = np.unique(np.concatenate([self._frames(hour) for hour in hours]))
        return self.space | {self.time: frames[frames >= 0]}

    def arrange(self, name: str, read: xr.DataArray) -> xr.DataArray:
        """Put the rows that were read of a variable in the order of the part's frames and region, lazily."""
        rows = self.rows(name)
        order = {dim: np.searchsorted(np.unique(self.space[dim]), self.space[dim]) for dim in self.space}
        read = read.isel({dim: order[dim] for dim in order if dim in read.dims})
        read = read.assign_coords({dim: axis for dim, axis in self.axes.items() if dim in read.dims})
        if self.time not in read.dims:
            return read
        read = read.rename({self.time: "time"}) if self.time != "time" else read
        if name not in self.hours_before:
            return self._on_frames(read, rows[self.time], 0.0)
        hours = xr.Variable("hours_before", self.hours_before[name], {"units": "hours"})
        steps = [self._on_frames(read, rows[self.time], hour) for hour in self.hours_before[name]]
        stacked = xr.concat(steps, "hours_before", combine_attrs="override").assign_coords(hours_before=hours)
        return stacked.transpose("time", "hours_before", ...)

    def _frames(self, hours: float) -> np.ndarray:
        """The row of the store that lies a number of hours before each frame."""
        return self.time_axis.rows(self.times - np.timedelta64(round(3600 * hours), "s"))

    def _on_frames(self, read: xr.DataArray, rows: np.ndarray, hours: float) -> xr.DataArray:
        found = self._frames(hours)
        available = found >= 0
        chosen = read.isel(time=np.searchsorted(rows, found[available]))
        return chosen.assign_coords(time=self.times[available]).reindex(time=self.times)


def _sums(name: str, channels: list[Channel]) -> bool:
    """Whether a variable has to be summed; a variable named by its hours is the sum itself."""
    return any(channel.hours and name not in (channel.name, channel.variable) for channel in channels)


def _accumulated_hours(settings: Download, name: str, channels: list[Channel]) -> float | str | None:
    """The hours of a sum in the settings, by any of the names of a variable."""
    aliases = [given for given, ours in settings.rename.items() if ours == name]
    names = (*aliases, name, *(channel.name for channel in channels))
    return next((settings.accumulated[key] for key in names if key in settings.accumulated), None)


def _time_axis(axes: dict[str, xr.DataArray], attributes: dict, where: str) -> tuple[str, TimeAxis]:
    times = next(axis for name, axis in axes.items() if conventions.ROLES.get(name) == "time")
    if not np.issubdtype(times.dtype, np.datetime64):
        raise UserError(f"{where}: its {times.name} is {times.dtype}, not dates; expected CF time units")
    versions = axes[conventions.VERSION].values if conventions.VERSION in axes else None
    return str(times.name), TimeAxis.of(times.values.astype("datetime64[ns]"), attributes, versions)


def _space(axes: dict, needed: dict, settings: Download, where: str) -> tuple[Rows, Rows]:
    """Rows of levels, latitudes and longitudes, and their coordinates in the part."""
    south, north, west, east = box = settings.box
    levels = [c for name, channels in needed.items() for c in channels if c.level and name != c.name]
    rows, values = {}, {}
    for name, axis in axes.items():
        role = conventions.ROLES.get(name)
        if role in ("latitude", "longitude"):
            check_degrees(axis, role, where)
        if role == "level":
            rows[name] = variables.level_rows(axis, levels, where, settings.levels == "interpolate")
        elif role == "latitude":
            rows[name] = variables.latitude_rows(axis.values, south, north)
        elif role == "longitude":
            rows[name], values[name] = variables.longitude_rows(axis.values, west, east)
        if name in rows and not len(rows[name]):
            raise UserError(
                f"{where} has no {name} in the region {box} (south, north, west, east; it has {axis.values.min():g} "
                f"to {axis.values.max():g}); change domain.south, north, west, east (or download's)"
            )
    return rows, {name: axes[name].values[rows[name]] for name in rows} | values
