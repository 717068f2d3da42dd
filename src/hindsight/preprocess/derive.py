"""Channels from a source's variables: units, levels, sums over time, and what is made from several.

Everything is lazy: arrays of Dask, block by block of frames.
"""

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import axes
from hindsight.fields.regridding import level_weights
from hindsight.settings.lexicon import CHANNELS, Channel, conversion
from hindsight.settings.units import GRAVITY

FORMULAS = {  # of the channels named in the lexicon, in canonical units
    "speed": lambda u, v: np.hypot(u, v),
    "thickness": lambda upper, lower: (upper - lower) / GRAVITY,
}


def channel(raw: xr.Dataset, name: str, times: np.ndarray, levels: str, where: str) -> xr.DataArray:
    """One channel (time, latitude, longitude) in canonical units, NaN at times that the source lacks.

    Args:
        raw: the source, its dimensions named and ordered.
        name: in the lexicon.
        times: of the frames wanted.
        levels: `exact` or `interpolate`.
        where: what to call the source in errors.

    Raises:
        UserError: on a variable, unit or level that is not there.
    """
    about = CHANNELS[name]
    if about.of:
        field = FORMULAS[about.formula](*(channel(raw, part, times, levels, where) for part in about.of))
    else:
        field = _read(raw, about, times, levels, where)
    field = field.drop_vars([key for key in field.coords if key not in field.dims])
    return field.transpose("time", "latitude", "longitude").drop_attrs()


def _read(raw: xr.Dataset, about: Channel, times: np.ndarray, levels: str, where: str) -> xr.DataArray:
    found = axes.find(raw, about.names("local"), about.name, where)
    units = found.attrs.get("units", "")
    if (factor := conversion(units, about.units)) is None:
        raise UserError(
            f"{where}: {found.name!r} has units {units!r}, and channel {about.name} needs "
            f"{about.units!r}; correct the attribute or add the conversion to the lexicon"
        )
    field = _summed(found, about, times, where) if about.hours else _at(found, times)
    field = _level(field, about, levels, where)
    return field if factor == (1, 0) else field * factor[0] + factor[1]  # a pass over all the source's values saved


def _level(found: xr.DataArray, about: Channel, levels: str, where: str) -> xr.DataArray:
    """One level, picked or interpolated in the logarithm of pressure."""
    if "level" not in found.dims:
        if about.level is not None and found.name != about.name:
            raise UserError(
                f"{where}: {found.name!r} does not say its level, so it may be any, and channel {about.name} is on "
                f"{about.level} hPa; if it is that one, set download.rename: {{{found.name}: {about.name}}}"
            )
        return found
    have = found["level"].values.astype(float)
    if about.level is not None and (here := np.flatnonzero(np.abs(have - about.level) < axes.NEAR_LEVELS)).size:
        return found.isel(level=int(here[0]))
    try:
        if levels == "interpolate" and about.level is not None:
            return sum(found.isel(level=number) * weight for number, weight in level_weights(have, about.level))
    except ValueError:
        pass
    raise UserError(
        f"{where}: {found.name!r} has no level {about.level} hPa (it has {', '.join(f'{v:g}' for v in have)}); choose "
        "one of them, or set preprocess.levels: interpolate for one that lies between"
    )


def _summed(found: xr.DataArray, about: Channel, times: np.ndarray, where: str) -> xr.DataArray:
    """An accumulation over the hours before each frame, from the shorter ones that a source has.

    Raises:
        UserError: if they do not fill the hours.
    """
    if "hours_before" in found.dims:
        asked = found.sel(hours_before=found["hours_before"] < about.hours)
        return _at(asked, times).sum("hours_before", skipna=False)
    if found.attrs.get("accumulated_hours") == about.hours or found.name in (about.name, about.variable):
        return _at(found, times)
    raise UserError(
        f"{where}: {found.name!r} does not say that it is summed over the {about.hours} h of channel {about.name}; set "
        "download.accumulated, or choose another source"
    )


def _at(found: xr.DataArray, times: np.ndarray) -> xr.DataArray:
    """The frames at some times, NaN where there is none; a stretch that has them all is cut out without a copy."""
    inside = np.flatnonzero((found["time"].values >= times[0]) & (found["time"].values <= times[-1]))
    if len(inside) and len(inside) == inside[-1] - inside[0] + 1:
        found = found.isel(time=slice(inside[0], inside[-1] + 1))
    return found.reindex(time=times)
