"""Channels from a source's variables: units, levels, sums over time, and channels derived from several others.

Everything is lazy: Dask arrays, in blocks of frames.
"""

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes
from hindsight.fields.regridding import level_weights
from hindsight.settings.lexicon import CHANNELS, Channel, conversion
from hindsight.settings.units import GRAVITY

FORMULAS = {  # of derived channels, by the lexicon's names; canonical units
    "speed": lambda u, v: np.hypot(u, v),
    "thickness": lambda upper, lower: (upper - lower) / GRAVITY,
}


def channel(raw: xr.Dataset, name: str, times: np.ndarray, levels: str, where: str) -> xr.DataArray:
    """One channel (time, latitude, longitude) in canonical units, NaN at times that the source lacks.

    Args:
        raw: the source, from `axes.standardise` and `axes.sort`.
        name: of the channel, in the lexicon.
        times: of the requested frames.
        levels: `exact` or `interpolate`.
        where: name of the source for error messages.

    Raises:
        UserError: if the variable or the level is missing, or its units cannot be converted.
    """
    wanted = CHANNELS[name]
    if wanted.inputs:
        field = FORMULAS[wanted.formula](*(channel(raw, part, times, levels, where) for part in wanted.inputs))
    else:
        field = _read(raw, wanted, times, levels, where)
    field = field.drop_vars([key for key in field.coords if key not in field.dims])
    return field.transpose("time", "latitude", "longitude").drop_attrs()


def _read(raw: xr.Dataset, wanted: Channel, times: np.ndarray, levels: str, where: str) -> xr.DataArray:
    found = axes.find(raw, wanted.names("local"), wanted.name, where)
    units = found.attrs.get("units", "")
    if (factor := conversion(units, wanted.units)) is None:
        raise UserError(
            f"{where}: {found.name!r} has units {units!r}, and channel {wanted.name} needs "
            f"{wanted.units!r}; correct the attribute or add the conversion to the lexicon"
        )
    field = _summed(found, wanted, times, where) if wanted.hours else _at(found, times)
    field = _level(field, wanted, levels, where)
    return (
        field if factor == (1, 0) else field * factor[0] + factor[1]
    )  # without a conversion, one pass over the values less


def _level(found: xr.DataArray, wanted: Channel, levels: str, where: str) -> xr.DataArray:
    """One level of a variable, selected or interpolated in the logarithm of pressure."""
    if "level" not in found.dims:
        if wanted.level is not None and found.name != wanted.name:
            raise UserError(
                f"{where}: {found.name!r} has no level, and channel {wanted.name} is on "
                f"{wanted.level} hPa; if it is on that level, set download.rename: {{{found.name}: {wanted.name}}}"
            )
        return found
    have = found["level"].values.astype(float)
    if wanted.level is not None and (equal := np.flatnonzero(np.abs(have - wanted.level) < axes.NEAR_LEVELS)).size:
        return found.isel(level=int(equal[0]))
    try:
        if levels == "interpolate" and wanted.level is not None:
            return sum(found.isel(level=number) * weight for number, weight in level_weights(have, wanted.level))
    except ValueError:
        pass
    if wanted.level is None:
        raise UserError(
            f"{where}: {found.name!r} has {len(have)} levels, and channel {wanted.name} has none; select one in the "
            "source"
        )
    raise UserError(
        f"{where}: {found.name!r} has no level {wanted.level} hPa (it has {', '.join(f'{v:g}' for v in have)}); choose "
        "one of them, or set preprocess.levels: interpolate for a level between them"
    )


def _summed(found: xr.DataArray, wanted: Channel, times: np.ndarray, where: str) -> xr.DataArray:
    """An accumulation over the hours before each frame, from the source's shorter accumulations.

    Raises:
        UserError: if the source does not give the hours of its accumulations.
    """
    if "hours_before" in found.dims:
        within = found.sel(hours_before=found["hours_before"] < wanted.hours)
        return _at(within, times).sum("hours_before", skipna=False)
    if found.attrs.get("accumulated_hours") == wanted.hours or found.name in (wanted.name, wanted.variable):
        return _at(found, times)
    raise UserError(
        f"{where}: {found.name!r} has no accumulations over {wanted.hours} h, and no shorter ones of known hours; "
        f"channel {wanted.name} is a sum over {wanted.hours} h; "
        "set download.accumulated, or choose another source"
    )


def _at(found: xr.DataArray, times: np.ndarray) -> xr.DataArray:
    """The frames at some times, NaN where the source has none; consecutive frames are not copied."""
    inside = np.flatnonzero((found["time"].values >= times[0]) & (found["time"].values <= times[-1]))
    if len(inside) and len(inside) == inside[-1] - inside[0] + 1:
        found = found.isel(time=slice(inside[0], inside[-1] + 1))
    return found.reindex(time=times)
