"""What is to be read of a store for some frames, and how it is laid out when it has been."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from hindsight.download import conventions
from hindsight.download.bucket import time_axis, variables
from hindsight.download.bucket.time_axis import Clock
from hindsight.errors import UserError
from hindsight.fields.axes import check_degrees
from hindsight.settings import Download
from hindsight.settings.lexicon import Channel

Rows = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """A selection of a store.

    `space` are the rows of levels, latitudes and longitudes, in the order that they shall have, `axes` the coordinates
    there; `before` are hours before a frame, of variables that are to be summed.
    """

    times: np.ndarray
    clock: Clock
    time: str  # the store's name of it
    space: Rows
    axes: dict[str, xr.DataArray]
    before: dict[str, np.ndarray]

    @classmethod
    def of(
        cls,
        wanted: dict[str, list[Channel]],
        axes: dict[str, xr.DataArray],
        attributes: dict[str, dict],
        times: np.ndarray,
        settings: Download,
    ) -> "Plan":
        """Choose what is needed.

        Args:
            wanted: variables, with the channels that each is for.
            axes: the store's coordinates, whole.
            attributes: the store's own, under `""`, and those of its variables.
            times: of the frames.
            settings: region, and the store's URL for errors.

        Raises:
            UserError: if a frame, a level, a region or a sum is not to be had.
        """
        where = settings.bucket.url
        time, known = _clock(axes, attributes[""], where)
        known.check(times, where)
        rows, values = _space(axes, wanted, settings, where)
        return cls(
            times,
            known,
            time,
            rows,
            {name: axes[name][rows[name]].copy(data=values[name]) for name in rows},
            {
                name: time_axis.summed(channels, attributes[name], known, where, _told(settings, name, channels))
                for name, channels in wanted.items()
                if _sums(name, channels)
            },
        )

    def rows(self, name: str) -> Rows:
        """Rows to read of a variable, by the store's dimensions."""
        hours = self.before.get(name, np.zeros(1))
        frames = np.unique(np.concatenate([self._frames(hour) for hour in hours]))
        return self.space | {self.time: frames[frames >= 0]}

    def laid_out(self, name: str, read: xr.DataArray) -> xr.DataArray:
        """A variable on the frames and in the region, lazily, from the rows that were read of it."""
        rows = self.rows(name)
        order = {dim: np.searchsorted(np.unique(self.space[dim]), self.space[dim]) for dim in self.space}
        read = read.isel({dim: order[dim] for dim in order if dim in read.dims})
        read = read.assign_coords({dim: axis for dim, axis in self.axes.items() if dim in read.dims})
        if self.time not in read.dims:
            return read
        read = read.rename({self.time: "time"}) if self.time != "time" else read
        if name not in self.before:
            return self._on_frames(read, rows[self.time], 0.0)
        hours = xr.Variable("hours_before", self.before[name], {"units": "hours"})
        steps = [self._on_frames(read, rows[self.time], hour) for hour in self.before[name]]
        whole = xr.concat(steps, "hours_before", combine_attrs="override").assign_coords(hours_before=hours)
        return whole.transpose("time", "hours_before", ...)

    def _frames(self, hours: float) -> np.ndarray:
        """Rows of the times so many hours before the frames."""
        return self.clock.rows(self.times - np.timedelta64(round(3600 * hours), "s"))

    def _on_frames(self, read: xr.DataArray, rows: np.ndarray, hours: float) -> xr.DataArray:
        found = self._frames(hours)
        there = found >= 0
        chosen = read.isel(time=np.searchsorted(rows, found[there]))
        return chosen.assign_coords(time=self.times[there]).reindex(time=self.times)


def _sums(name: str, channels: list[Channel]) -> bool:
    """Whether a variable has to be summed; one that is called by its hours is the sum."""
    return any(channel.hours and name not in (channel.name, channel.variable) for channel in channels)


def _told(settings: Download, name: str, channels: list[Channel]) -> float | str | None:
    """What the settings say that a variable is summed over, by any of its names."""
    theirs = [given for given, ours in settings.rename.items() if ours == name]
    names = (*theirs, name, *(channel.name for channel in channels))
    return next((settings.accumulated[key] for key in names if key in settings.accumulated), None)


def _clock(axes: dict[str, xr.DataArray], attributes: dict, where: str) -> tuple[str, Clock]:
    times = next(axis for name, axis in axes.items() if conventions.ROLES.get(name) == "time")
    if not np.issubdtype(times.dtype, np.datetime64):
        raise UserError(f"{where}: its {times.name} is {times.dtype}, not dates; expected CF time units")
    versions = axes[conventions.VERSION].values if conventions.VERSION in axes else None
    return str(times.name), Clock.of(times.values.astype("datetime64[ns]"), attributes, versions)


def _space(axes: dict, wanted: dict, settings: Download, where: str) -> tuple[Rows, Rows]:
    """Rows of levels, latitudes and longitudes, and the values that they shall have."""
    south, north, west, east = box = settings.box
    levels = [c for name, channels in wanted.items() for c in channels if c.level and name != c.name]
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
                f"to {axis.values.max():g}); change the domain's edges, or download.{role}"
            )
    return rows, {name: axes[name].values[rows[name]] for name in rows} | values
