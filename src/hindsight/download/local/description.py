"""Describe one file: its dimensions, times and grid, and the levels and units of each variable."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.download import dates, file_kind
from hindsight.download.conventions import ROLES, VERSION
from hindsight.download.local import accumulation
from hindsight.errors import UserError
from hindsight.fields import axes
from hindsight.fields.axes import DIMENSIONS
from hindsight.settings import Download
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.units import conversion

HEIGHTS = ("height", "heightAboveGround", "height_above_ground")  # m
KEPT_ATTRIBUTES = ("accumulated_hours", "cell_methods", "long_name", "standard_name")
WORLD_ATTRIBUTES = ("synthetic", "segment_starts")  # attributes of a built-in world's store, written to the part
SUMS = {name for channel in CHANNELS.values() if channel.hours for name in channel.names("local")}
SAMPLE = 240  # frames by which a running sum is recognised
SHOWN = 8  # groups that an error lists


@dataclass(frozen=True)
class Variable:
    """A variable of a file.

    Attributes:
        dims: its dimensions, in the file's order and by the file's names.
        units: as the file has them.
        levels: in hPa, along dimension `level`, or its only one; None: the file states none.
        level: the dimension of its levels; None: it has one level, which is not a dimension.
        heights: above the ground in m, as levels.
        height: the dimension of the heights.
        attributes: those that describe it.
        rows: frames in a chunk of the file.
        problem: why it cannot be used.
    """

    dims: list[str]
    units: str
    levels: list[float] | None = None
    level: str | None = None
    heights: list[float] | None = None
    height: str | None = None
    attributes: dict = field(default_factory=dict)
    rows: int = 1
    problem: str | None = None


@dataclass(frozen=True)
class File:
    """A file or a store.

    Attributes:
        path: of the file.
        identity: changes when the file changes.
        variables: by name.
        time: the dimension of time; None: it has one time, or none.
        times: of its frames, in runs; None: it has no time.
        bounds: first and last moment of the period of each frame, in runs, if the file has them.
        preliminary: numbers of preliminary frames (ERA5T).
        grid: number of its grid among those of all files.
        other_dims: values along other dimensions.
        attributes: of the file, those that are written to the part.
        notes: corrections that were made to it.
        problem: why none of its variables can be used.
    """

    path: str
    identity: str
    variables: dict[str, Variable]
    time: str | None = None
    times: dates.Runs | None = None
    bounds: list[dates.Runs] | None = None
    preliminary: list[int] = field(default_factory=list)
    grid: int | None = None
    other_dims: dict[str, list] = field(default_factory=dict)
    attributes: dict = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problem: str | None = None


def describe(path: Path, settings: Download, grids: dict[str, int]) -> File:
    """Describe a file, and add its grid to those of all files.

    Raises:
        UserError: if it cannot be read, or has no variables at its root.
    """
    with file_kind.open_dataset(path) as dataset:
        if not dataset.data_vars:
            raise UserError(f"{path} {_no_variables(path)}")
        roles = _roles(dataset, settings)
        about, notes, problem = {}, [], None
        try:
            about["time"], when = _times(dataset, roles, str(path))
            about |= _time_information(dataset, about["time"], when, str(path), notes)
            about["grid"] = _grid(dataset, roles, settings, str(path), grids, notes)
        except UserError as error:
            problem = str(error)
        variables = {
            str(name): _variable(dataset, str(name), roles, about, settings, str(path)) for name in dataset.data_vars
        }
        return File(
            str(path),
            file_kind.identity(path),
            variables,
            other_dims=_other_dims(dataset, roles, about.get("time")),
            attributes={key: _plain(dataset.attrs[key]) for key in WORLD_ATTRIBUTES if key in dataset.attrs},
            notes=notes,
            problem=problem,
            **about,
        )


def _no_variables(path: Path) -> str:
    groups = _groups(path)
    lie = f"its variables lie in groups ({', '.join(groups[:SHOWN])})" if groups else "it has no variables"
    return f"has nothing to read: {lie}; expected them at its root, so write each group to a file of its own"


def _groups(path: Path) -> list[str]:
    if path.is_dir():
        return sorted(child.parent.name for end in (".zgroup", "zarr.json") for child in path.glob(f"*/{end}"))
    import netCDF4

    try:
        with netCDF4.Dataset(path) as file:
            return list(file.groups)
    except OSError:  # not netCDF, so it has no groups
        return []


def _roles(dataset: xr.Dataset, settings: Download) -> dict[str, str]:
    """The role of each coordinate and dimension of a file: latitude, longitude, time, level or height."""
    renamed = {theirs: ours for theirs, ours in settings.rename.items() if ours in DIMENSIONS}
    role_of = ROLES | dict.fromkeys(HEIGHTS, "height") | renamed
    found = {str(name): role_of[name] for name in (*dataset.coords, *dataset.dims) if name in role_of}
    conventional = {
        str(dim): _role_by_convention(dataset[dim])
        for dim in dataset.dims
        if dim in dataset.coords and dim not in found
    }
    return found | {name: role for name, role in conventional.items() if role and role not in found.values()}


def _role_by_convention(axis: xr.DataArray) -> str | None:
    """The role of an axis by its standard name or its units, by the CF conventions."""
    standard_name, units = str(axis.attrs.get("standard_name", "")), str(axis.attrs.get("units", ""))
    if standard_name in ("latitude", "longitude", "time"):
        return standard_name
    if side := re.fullmatch(r"degrees?_?(n|north|e|east)", units, re.IGNORECASE):
        return "latitude" if side[1][0].lower() == "n" else "longitude"
    return "level" if standard_name == "air_pressure" or units and conversion(units, "Pa") else None


def _named(dataset: xr.Dataset, roles: dict[str, str], role: str) -> list[xr.DataArray]:
    """Coordinates of a role: first those named in the settings, then in the order of `DIMENSIONS`."""
    found = [name for name in dataset.coords if roles.get(str(name)) == role]
    order = {alias: number for number, alias in enumerate(DIMENSIONS[role])}
    return [dataset[name] for name in sorted(found, key=lambda name: order.get(name, -1))]


def _times(dataset: xr.Dataset, roles: dict[str, str], where: str) -> tuple[str | None, xr.DataArray | None]:
    """The dimension of time, and the coordinate of the times at which frames are valid."""
    found = [axis for axis in _named(dataset, roles, "time") if axis.ndim < 2]
    if bare := [name for name in dataset.dims if roles.get(str(name)) == "time" and name not in dataset.coords]:
        if not any(bare[0] in axis.dims for axis in found):
            raise UserError(f"{where}: its dimension {bare[0]} has no times; expected a coordinate with CF time units")
    along = [axis for axis in found if axis.ndim == 1]
    valid = [axis for axis in along if axis.name == "valid_time"] or along or found
    if not valid:
        return None, None
    return (str(valid[0].dims[0]) if valid[0].ndim else None), valid[0]


def _time_information(
    dataset: xr.Dataset, dim: str | None, when: xr.DataArray | None, path: str, notes: list[str]
) -> dict:
    """Times, the periods of frames, and which frames are preliminary."""
    if when is None:
        return {}
    where = f"{path}: its {when.name}"
    given = dates.decode(xr.Variable(when.dims, when.values, when.attrs | _units_of(when)), where)
    given = np.atleast_1d(given + _lead(dataset, when, dim))
    found = dates.snap(given)
    if off := np.abs(given - found)[~np.isnat(given)].max(initial=np.timedelta64(0, "ns")) / np.timedelta64(1, "s"):
        notes.append(f"times are up to {off:.3g} s off; rounded to the nearest quarter of an hour")
    if lost := int(np.isnat(given).sum()):
        notes.append(f"{lost} frame(s) have no time, and are left out")
    about = {"times": dates.pack(found), "preliminary": _preliminary(dataset, dim, len(found))}
    if (bounds := _bounds(dataset, when)) is not None:
        about["bounds"] = [dates.pack(side) for side in bounds.T]
    return about


def _units_of(when: xr.DataArray) -> dict:
    return {key: when.encoding[key] for key in ("units", "calendar") if key in when.encoding}


def _lead(dataset: xr.Dataset, when: xr.DataArray, dim: str | None) -> np.timedelta64:
    """The lead that a scalar step of a forecast adds to its base time."""
    steps = [dataset[name] for name in dates.STEPS if name in dataset.coords and dataset[name].ndim == 0]
    if when.name == "valid_time" or not steps:
        return np.timedelta64(0, "s")
    return np.timedelta64(round(3600 * float(hours(steps[0])[0])), "s")


def hours(steps: xr.DataArray) -> np.ndarray:
    """Steps of a forecast in hours, by their units."""
    factor = conversion(str(steps.attrs.get("units", "hours")), "h") or (1.0, 0.0)
    return np.atleast_1d(steps.values).astype(float) * factor[0]


def _bounds(dataset: xr.Dataset, when: xr.DataArray) -> np.ndarray | None:
    """First and last moment of the period of each frame, (T, 2), if the file has bounds of its times."""
    name = when.attrs.get("bounds") or when.encoding.get("bounds")
    if name not in dataset.variables or when.ndim != 1:
        return None
    bounds = dataset[name].variable
    units = {key: value for key, value in when.attrs.items() if key in ("units", "calendar")}
    return dates.snap(dates.decode(xr.Variable(bounds.dims, bounds.values, units | bounds.attrs), str(name)))


def _preliminary(dataset: xr.Dataset, dim: str | None, count: int) -> list[int]:
    """Frames that are preliminary (ERA5T), by the version of each."""
    if VERSION not in dataset.variables:
        return []
    versions = dataset[VERSION]
    if versions.dims == ((dim,) if dim else ()):
        return np.flatnonzero(dates.preliminary(np.broadcast_to(versions.values, count))).tolist()
    if versions.ndim == 0:
        return list(range(count)) if dates.preliminary(versions.values).all() else []
    name = next((n for n, v in dataset.data_vars.items() if {dim, VERSION} <= set(v.dims)), None)
    return [] if name is None else _only_preliminary(dataset[name], dim)


def _only_preliminary(values: xr.DataArray, dim: str) -> list[int]:
    """Frames that only the preliminary half of a variable has, by the values at some points."""
    preliminary = dates.preliminary(values[VERSION].values)
    space = {d: np.unique([0, n // 2, n - 1]) for d, n in values.sizes.items() if d not in (dim, VERSION)}
    valid = values.isel(space).notnull().any(list(space)).transpose(dim, VERSION).values
    return np.flatnonzero(~valid[:, ~preliminary].any(1) & valid[:, preliminary].any(1)).tolist()


def _grid(
    dataset: xr.Dataset, roles: dict, settings: Download, where: str, grids: dict[str, int], notes: list[str]
) -> int:
    """The number of a file's grid; a new grid is added."""
    sides = {}
    for role in ("latitude", "longitude"):
        if not (found := _named(dataset, roles, role)):
            have = ", ".join(map(str, dataset.coords)) or "none"
            raise UserError(
                f"{where} has no coordinate {role} (its coordinates: {have}); set download.rename if it has another "
                f"name: {{NAME: {role}}}"
            )
        axes.check_degrees(found[0], role, where, str(found[0].name) in settings.rename)
        sides[role] = found[0]
    if sides["latitude"].dims == sides["longitude"].dims:
        raise UserError(
            f"{where}: its points are a list along {sides['latitude'].dims[0]}, not a grid; hindsight needs regular "
            "grids of latitude and longitude, so regrid the source first"
        )
    if axes.repeats_first(np.sort(sides["longitude"].values)):
        notes.append("its last meridian repeats the first, and is left out")
    text = json.dumps({str(axis.dims[0]): axis.values.astype(float).tolist() for axis in sides.values()})
    return grids.setdefault(text, len(grids))


def _other_dims(dataset: xr.Dataset, roles: dict[str, str], time: str | None) -> dict[str, list]:
    """Values along dimensions of variables that are neither time nor space."""
    dims = {str(dim) for variable in dataset.data_vars.values() for dim in variable.dims} - {time}
    found = {dim: dataset[dim] if dim in dataset.coords else None for dim in sorted(dims) if dim not in roles}
    return {
        dim: list(range(dataset.sizes[dim])) if axis is None else list(map(_plain, _values(axis)))
        for dim, axis in found.items()
    }


def _values(axis: xr.DataArray) -> np.ndarray:
    return hours(axis) if axis.name in dates.STEPS else axis.values


def _plain(value: object) -> object:
    """A value as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _variable(dataset: xr.Dataset, name: str, roles: dict, about: dict, settings: Download, where: str) -> Variable:
    found = dataset[name]
    attributes = {key: _plain(found.attrs[key]) for key in KEPT_ATTRIBUTES if key in found.attrs}
    given, problem = {}, None
    try:
        given["levels"], given["level"] = _levels_or_heights(dataset, found, roles, "level", where)
        given["heights"], given["height"] = _levels_or_heights(dataset, found, roles, "height", where)
    except UserError as error:
        problem = str(error)
    rows = _chunk_rows(found, about.get("time"))
    if settings.rename.get(name, name) in SUMS and about.get("times") and not problem:
        running = _is_running_sum(found, about["time"], about["times"])
        attributes |= {} if running is None else {"running_sum": running}
    units = str(found.attrs.get("units", "")).strip()
    return Variable(list(map(str, found.dims)), units, attributes=attributes, rows=rows, problem=problem, **given)


def _is_running_sum(found: xr.DataArray, time: str | None, runs: dates.Runs) -> bool | None:
    """Whether a sum runs from 00 UTC each day, by the values at a few points of its first frames."""
    valid = dates.unpack(runs)[:SAMPLE]
    if time not in found.dims or (np.diff(valid) <= np.timedelta64(0)).any():
        return None
    space = {d: np.unique(np.linspace(0, n - 1, 9).astype(int)) for d, n in found.sizes.items() if d != time}
    values = found.isel(space | {time: slice(0, SAMPLE)}).transpose(time, ...).values
    return accumulation.is_running_sum(valid, values.reshape(len(valid), -1))


def _levels_or_heights(
    dataset: xr.Dataset, found: xr.DataArray, roles: dict, role: str, where: str
) -> tuple[list[float] | None, str | None]:
    """Levels or heights of a variable, and their dimension; no dimension for a single level or height."""
    own = found.encoding.get("coordinates", "").split()  # if it lists coordinates, it has no others
    for dim in found.dims:
        if roles.get(str(dim)) == role:
            if dim not in dataset.coords:
                raise UserError(f"{where}: {found.name!r} lies along {dim}, which has no values; expected its {role}s")
            return _axis_values(dataset[dim], role, where), str(dim)
    for name, axis in found.coords.items():
        if roles.get(str(name)) == role and axis.ndim == 0 and (not own or name in own):
            return _axis_values(axis, role, where), None
    return None, None


def _axis_values(axis: xr.DataArray, role: str, where: str) -> list[float]:
    if role == "level":
        return np.atleast_1d(axes.hectopascals(axis, where)).tolist()
    factor = conversion(str(axis.attrs.get("units", "m")) or "m", "m") or (1.0, 0.0)
    return (np.atleast_1d(axis.values).astype(float) * factor[0]).tolist()


def _chunk_rows(found: xr.DataArray, time: str | None) -> int:
    """Frames of a chunk, or of a Zarr shard, of a file."""
    if time not in found.dims:
        return 1
    chunks = found.encoding.get("shards") or found.encoding.get("chunksizes") or found.encoding.get("chunks")
    return int(chunks[found.dims.index(time)]) if chunks else 1
