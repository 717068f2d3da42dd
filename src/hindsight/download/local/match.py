"""Which variables of which files make each channel; all channels that cannot be made are refused together.

A channel on a level is read only from a variable that states its level, and a channel near the ground never from a
pressure level. Each file is read by its own names, units and grid; differences between files are reconciled here, and
what no file states is left to the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hindsight.download import dates, region
from hindsight.download.conventions import STATIC, VERSION
from hindsight.download.local import accumulation
from hindsight.errors import UserError
from hindsight.fields.axes import NEAR_LEVELS, nearest
from hindsight.fields.grid import Grid
from hindsight.fields.regridding import level_weights
from hindsight.settings.lexicon import Channel, source_channels
from hindsight.settings.units import conversion, precipitation_rate

if TYPE_CHECKING:
    from hindsight.download.local.contents import Contents
    from hindsight.download.local.description import File, Variable
    from hindsight.settings import Download

HEIGHT = {"t2m": 2.0, "d2m": 2.0, "u10": 10.0, "v10": 10.0}  # m, above the ground
NEAR_HEIGHTS = 0.6  # m; models have their temperatures at 1.5 m
SHOWN = 12  # problems and names that an error lists


@dataclass(frozen=True)
class Series:
    """Frames of one variable of one file, on one level.

    Attributes:
        file: number of the file.
        name: of the variable, as the file has it.
        at: rows along dimensions other than those of time and of the grid.
        rank: preference of its name, the lowest first, where another series has the same frame.
        factor: factor and offset that convert its values to the channel's units.
        valid: times of its frames.
        rows: their numbers in the file.
        preliminary: which frames are preliminary.
        begin: of a sum or mean over time, the start of each value's period.
        rate: whether each value is a mean over its period, in the channel's units per second.
    """

    file: int
    name: str
    at: tuple[tuple[str, int], ...]
    rank: int
    factor: tuple[float, float]
    valid: np.ndarray
    rows: np.ndarray
    preliminary: np.ndarray
    begin: np.ndarray | None = None
    rate: bool = False

    def subset(self, which: np.ndarray) -> Series:
        """Some of its frames."""
        begin = None if self.begin is None else self.begin[which]
        return replace(
            self, valid=self.valid[which], rows=self.rows[which], preliminary=self.preliminary[which], begin=begin
        )  # fmt: skip


@dataclass(frozen=True)
class Match:
    """The series that make the channels.

    Attributes:
        terms: of each channel, weights and the series that are weighted: several where a level lies between others.
        grid: of the fields.
        places: of each grid of a file in use, the rows and columns of the points of `grid`.
        static: names of static fields, and the files that hold them.
        notes: corrections, and files that are not used.
    """

    terms: dict[str, list[tuple[float, list[Series]]]]
    grid: Grid
    places: dict[int, tuple[np.ndarray, np.ndarray]]
    static: dict[str, int]
    notes: list[str]


def match_channels(contents: Contents, settings: Download) -> Match:
    """Find the series that make each channel.

    Raises:
        UserError: listing every channel that cannot be made, and why.
    """
    terms, problems = {}, []
    for channel in source_channels(settings.channels):
        try:
            terms[channel.name] = _Search(contents, channel, settings).terms()
        except UserError as error:
            problems.append(str(error))
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise UserError(
            "the files do not have what the domain needs:\n  " + "\n  ".join([*_once(problems)[:SHOWN], *more])
        )
    used = {one.file for weighted in terms.values() for _, series in weighted for one in series}
    points, places = _places(contents, sorted(used), settings)
    notes = [f"{Path(contents.files[k].path).name}: {note}" for k in sorted(used) for note in contents.files[k].notes]
    return Match(terms, points, places, _static(contents, places), notes + _unused(contents, used))


class _Search:
    """The search for one channel in all files; rejected variables and their reasons are kept for the error."""

    def __init__(self, contents: Contents, channel: Channel, settings: Download) -> None:
        self.contents, self.channel, self.settings = contents, channel, settings
        self.names = channel.names("local")
        self.rejected: list[str] = []  # variables with the right name, and why they cannot be used

    def terms(self) -> list[tuple[float, list[Series]]]:
        """Weights, and the series to be weighted.

        Raises:
            UserError: if no variable makes the channel.
        """
        found = [pair for number, file in enumerate(self.contents.files) for pair in self._in_file(number, file)]
        if not found:
            raise UserError(self._no_variable())
        wanted = self.channel.level
        exact = [one for level, one in found if level is None or wanted is None or abs(level - wanted) < NEAR_LEVELS]
        if exact:
            return [(1.0, exact)]
        levels = sorted({level for level, _ in found})
        try:
            if self.settings.levels == "interpolate":
                pairs = level_weights(np.array(levels), wanted)
                return [(weight, [one for level, one in found if level == levels[row]]) for row, weight in pairs]
        except ValueError:
            pass
        raise UserError(
            f"channel {self.channel.name}: {found[0][1].name!r} has no level {wanted} hPa (it has "
            f"{_listed(levels)}); choose one of them, or set preprocess.levels: interpolate for one that lies between"
        )

    def _in_file(self, number: int, file: File) -> Iterator[tuple[float | None, Series]]:
        for name, variable in file.variables.items():
            if (rank := self._rank(self.settings.rename.get(name, name))) is not None:
                yield from self._in_variable(number, file, name, variable, rank)

    def _rank(self, called: str) -> int | None:
        """The preference of a name among those of the channel; a sum over fewer hours is one of them."""
        if called in self.names:
            return self.names.index(called)
        other = accumulation.hours_of(called)
        return len(self.names) + other if other and self.channel.hours and not self.channel.hours % other else None

    def _in_variable(
        self, number: int, file: File, name: str, variable: Variable, rank: int
    ) -> Iterator[tuple[float | None, Series]]:
        where = f"{name!r} in {Path(file.path).name}"
        if variable.problem:
            raise UserError(f"channel {self.channel.name}: {variable.problem}")
        if (levels := self._levels(file, name, variable, where)) is None:
            return
        if file.problem:
            raise UserError(f"channel {self.channel.name}: {file.problem}")
        if file.times is None:
            return self.rejected.append(f"{where} has no time")
        if lacks := self.contents.grids[file.grid].keys() - set(variable.dims):
            return self.rejected.append(f"{where} does not lie along {' and '.join(sorted(lacks))}")
        base = self._series(number, file, name, variable, rank, where)
        for level, place in levels:
            for one in self._along_other_dims(file, variable, base, where):
                yield level, replace(one, at=(*one.at, *place))

    def _levels(
        self, file: File, name: str, variable: Variable, where: str
    ) -> list[tuple[float | None, tuple[tuple[str, int], ...]]] | None:
        """Levels and their places in the variable; None if it is not the channel's."""
        own = self.settings.rename.get(name, name) == self.channel.name
        if self.channel.level is None:
            return self._near_ground(variable, where)
        if variable.levels is None:
            if not own:
                self.rejected.append(
                    f"{where} does not say its level (if it is, set download.rename: {{{name}: {self.channel.name}}})"
                )
            return [(None, ())] if own else None
        found = [(level, ((variable.level, k),) if variable.level else ()) for k, level in enumerate(variable.levels)]
        if own and not any(abs(level - self.channel.level) < NEAR_LEVELS for level, _ in found):
            raise UserError(
                f"channel {self.channel.name}: {where} is on {_listed(variable.levels)} hPa, although its name, or "
                f"download.rename, says {self.channel.name}; correct download.rename"
            )
        return found

    def _near_ground(self, variable: Variable, where: str) -> list | None:
        """The place of a channel without pressure levels in a variable."""
        if variable.levels is not None:
            self.rejected.append(f"{where} is on {_listed(variable.levels)} hPa")
            return None
        wanted = HEIGHT.get(self.channel.name)
        if variable.heights is None or wanted is None and variable.height is None:
            return [(None, ())]
        heights = np.abs(np.array(variable.heights) - (wanted if wanted is not None else np.inf))
        if not (heights <= NEAR_HEIGHTS).any():
            self.rejected.append(f"{where} is {_listed(variable.heights)} m above the ground")
            return None
        return [(None, ((variable.height, int(heights.argmin())),) if variable.height else ())]

    def _along_other_dims(self, file: File, variable: Variable, base: Series, where: str) -> Iterator[Series]:
        """The choice along every other dimension: from the settings, or the only value."""
        at, halves, lead = [], None, np.timedelta64(0, "s")
        for dim in variable.dims:
            if dim not in file.other_dims or dim in (variable.level, variable.height):
                continue
            values = file.other_dims[dim]
            if dim == VERSION and len(values) > 1:
                halves = {preliminary: _half(values, preliminary) for preliminary in (False, True)}
                continue
            row = self._index_along(dim, values, where)
            at.append((dim, row))
            lead += (
                np.timedelta64(round(3600 * float(values[row])), "s") if dim in dates.STEPS else np.timedelta64(0, "s")
            )
        found = replace(base, at=tuple(at), valid=base.valid + lead)
        if halves is None:
            yield found
            return
        for (
            preliminary,
            row,
        ) in halves.items():  # final frames along one index of `expver`, preliminary ones along the other
            if row is not None:
                yield replace(found.subset(found.preliminary == preliminary), at=(*at, (VERSION, row)))

    def _index_along(self, dim: str, values: list, where: str) -> int:
        if dim in self.settings.select:
            wanted = self.settings.select[dim]
            for row, value in enumerate(values):
                if str(value) == str(wanted) or _number(value) == _number(wanted) is not None:
                    return row
            raise UserError(f"download.select: {where} has no {dim} {wanted} (it has {_listed(values)})")
        if len(values) > 1:
            raise UserError(
                f"channel {self.channel.name}: {where} has {len(values)} values along {dim} ({_listed(values)}); "
                f"choose one: download.select: {{{dim}: {_listed(values[:1])}}}"
            )
        return 0

    def _series(self, number: int, file: File, name: str, variable: Variable, rank: int, where: str) -> Series:
        factor = conversion(variable.units, self.channel.units)
        rate_factor = precipitation_rate(variable.units) if factor is None and self.channel.hours else None
        if factor is None and rate_factor is None:
            raise UserError(
                f"channel {self.channel.name} needs {self.channel.units!r}, and {where} has units "
                f"{variable.units!r}; correct the attribute (ncatted, or xarray), or take another file"
            )
        valid = dates.unpack(file.times)
        preliminary = np.isin(np.arange(len(valid)), file.preliminary)
        found = Series(
            number,
            name,
            (),
            rank,
            factor or (rate_factor, 0.0),
            valid,
            np.arange(len(valid)),
            preliminary,
            None,
            not factor,
        )
        found = found.subset(~np.isnat(valid))
        return self._summed(found, file, variable, where) if self.channel.hours else found

    def _summed(self, found: Series, file: File, variable: Variable, where: str) -> Series:
        """With the start of the period of each value."""
        hours = self._accumulated_hours(found.name, variable)
        bounds = np.stack([dates.unpack(side)[found.rows] for side in file.bounds], 1) if file.bounds else None
        begin, end = accumulation.periods(found.valid, hours, variable.attributes, bounds, self.channel, where)
        return replace(found, begin=begin, valid=end)

    def _accumulated_hours(self, name: str, variable: Variable) -> float | str | None:
        """Hours of a sum, by the settings, an attribute, or its name."""
        called = self.settings.rename.get(name, name)
        for key in (name, called, self.channel.name):
            if key in self.settings.accumulated:
                return self.settings.accumulated[key]
        return variable.attributes.get("accumulated_hours") or accumulation.hours_of(called)

    def _no_variable(self) -> str:
        if self.rejected:
            return f"channel {self.channel.name}: {'; '.join(_once(self.rejected)[:3])}; add a file that has it"
        have = sorted({name for file in self.contents.files for name in file.variables})
        return (
            f"there is no variable for channel {self.channel.name} (looked for {', '.join(self.names)}; the files have "
            f"{', '.join(have[:40])}){nearest(self.names, dict.fromkeys(have))}; add its file, remove the channel, or "
            f"say which it is: download.rename: {{NAME: {self.channel.name}}}"
        )


def _half(values: list, preliminary: bool) -> int | None:
    """The index along `expver` of the final values of a variable, or of the preliminary ones (ERA5T)."""
    found = np.flatnonzero(dates.preliminary(np.array(values)) == preliminary)
    return int(found[0]) if len(found) else None


def _places(contents: Contents, used: list[int], settings: Download) -> tuple[Grid, dict]:
    """The grid of all files in use, and the places of its points in each.

    Raises:
        UserError: if there are two grids.
    """
    points, first, places = None, None, {}
    for number in used:
        file = contents.files[number]
        if file.grid in places:
            continue
        latitude, longitude = contents.grids[file.grid].values()
        grid, rows, columns = region.within(np.array(latitude), np.array(longitude), settings.box, file.path)
        points, first = points or grid, first or file.path
        if (order := _columns_of(grid, points)) is None:
            raise UserError(
                f"{file.path} is on {grid}, but {first} is on {points}; all files of one source must have the same "
                "grid, so regrid some, or remove them from download.files"
            )
        places[file.grid] = (rows, columns[order])
    return points, places


def _columns_of(own: Grid, points: Grid) -> np.ndarray | None:
    """Columns of a grid in the order of another that begins at another meridian; None if it is another grid."""
    away = np.abs((own.longitude[None] - points.longitude[:, None] + 180) % 360 - 180)
    columns = away.argmin(1) if own.shape == points.shape else np.zeros(0, int)
    shifted = Grid(own.latitude, points.longitude + away.min(1, initial=360)) if len(columns) else own
    return columns if len(columns) and shifted.matches(points) else None


def _static(contents: Contents, places: dict) -> dict[str, int]:
    """Static fields of files on the same grid."""
    found = {}
    for number, file in enumerate(contents.files):
        for name in STATIC:
            if name in file.variables and file.time not in file.variables[name].dims and file.grid in places:
                found.setdefault(name, number)
    return found


def _unused(contents: Contents, used: set[int]) -> list[str]:
    names = [Path(file.path).name for number, file in enumerate(contents.files) if number not in used]
    return [f"{len(names)} file(s) are not used ({_listed(names)})"] if names else []


def _number(value: object) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _listed(values: Iterable) -> str:
    text = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    return ", ".join(text[:SHOWN]) + (" …" if len(text) > SHOWN else "")


def _once(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))
