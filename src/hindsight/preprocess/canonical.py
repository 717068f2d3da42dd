"""From a source's own names, units and order to the pipeline's fields."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar, grid, store
from hindsight.settings import Domain, Preprocess
from hindsight.settings.lexicon import CHANNELS, Channel, conversion

DIMENSIONS = {
    "latitude": ("latitude", "lat", "y"),
    "longitude": ("longitude", "lon", "x"),
    "time": ("time", "valid_time"),
    "level": ("level", "isobaricInhPa", "pressure_level", "plev"),
}


def run(domain: Domain, settings: Preprocess, *, raw: Path, fields: Path) -> None:
    """Bring a source to canonical channels, units and order, and refuse gaps and NaN."""
    where = str(store.folder(raw))
    dataset = canonical(store.read(raw), domain, where)
    store.write(dataset.chunk({"time": settings.chunk_frames, "channel": -1, "latitude": -1, "longitude": -1}), fields)


def canonical(raw: xr.Dataset, domain: Domain, where: str) -> xr.Dataset:
    """Bring a dataset to the pipeline's layout.

    Args:
        raw: the source, its names and units untouched.
        domain: channels, step, region and splits asked for.
        where: what to call the source in errors.

    Returns:
        `fields`, float32, (time, channel, latitude, longitude): canonical units, latitudes south to north, longitudes
        west to east, from the first split's start to the last one's end. A source made of stretches that do not go on
        from each other has the attribute `stretch_starts`, the times at which one begins, and hands it on.

    Raises:
        UserError: on a channel, unit or level that is not there, an irregular grid, a gap, NaN or values no
            atmosphere has.
    """
    raw = _region(_ordered(_named(raw, where), where), domain, where)
    calendar.check_axis(raw["time"].values, domain.step_hours, where)
    calendar.check_splits(domain, raw["time"].values, where)
    periods = domain.splits.values()
    raw = raw.sel(time=slice(min(p.start for p in periods), max(p.end for p in periods)))
    channels = [_channel(raw, CHANNELS[name], where) for name in domain.channels]
    fields = xr.concat(channels, "channel", join="exact", coords="minimal", compat="override")
    fields = fields.assign_coords(channel=np.array(domain.channels, object)).transpose(
        "time", "channel", "latitude", "longitude"
    )
    dataset = fields.astype("float32").rename("fields").to_dataset()
    known = ("source_title", "source_licence", "source_files", "synthetic", "stretch_starts")
    keep = {key: raw.attrs[key] for key in known if key in raw.attrs}
    dataset.attrs = keep | {"units": [CHANNELS[name].units for name in domain.channels]}
    return dataset


def _named(raw: xr.Dataset, where: str) -> xr.Dataset:
    names = {
        known: ours
        for ours, aliases in DIMENSIONS.items()
        for known in aliases
        if known in raw.coords and known != ours and ours not in raw.variables
    }
    raw = raw.rename(names)
    if missing := [name for name in ("time", "latitude", "longitude") if name not in raw.coords]:
        raise UserError(f"{where} has no coordinate {' or '.join(missing)} (it has: {', '.join(map(str, raw.coords))})")
    return raw


def _ordered(raw: xr.Dataset, where: str) -> xr.Dataset:
    """Latitudes south to north; longitudes west to east, unbroken also where the source cuts at Greenwich."""
    raw = raw.sortby("latitude")
    longitude = raw["longitude"].values.astype(float)
    if np.ptp(longitude) > 180 and longitude.max() > 180:
        gap = np.diff(np.sort(longitude)).max()
        if gap > 1.5 * np.diff(np.sort(longitude)).min():  # a region across Greenwich: cut where nothing is
            raw = raw.assign_coords(longitude=(longitude + 180) % 360 - 180)
    raw = raw.sortby("longitude")
    grid.check_regular(raw, where)
    return raw


def _region(raw: xr.Dataset, domain: Domain, where: str) -> xr.Dataset:
    """Cut out the region; one latitude or one longitude will do only where the source itself has no more."""
    box = {"latitude": slice(domain.south, domain.north), "longitude": slice(domain.west, domain.east)}
    cut = raw.sel(box)
    short = [name for name in box if cut.sizes[name] < 2]
    if len(short) > 1 or any(cut.sizes[name] == 0 or raw.sizes[name] > 1 for name in short):
        have = {name: (float(raw[name][0]), float(raw[name][-1])) for name in box}
        raise UserError(
            f"{where} has fewer than 2 points a side in the domain's region (it covers {have}); change "
            "domain.south, north, west and east"
        )
    return cut


def _channel(raw: xr.Dataset, channel: Channel, where: str) -> xr.DataArray:
    """One channel in canonical units, checked."""
    found = _find(raw, channel, where)
    field = _level(found, channel, where)
    units = found.attrs.get("units", "")
    if (factor := conversion(units, channel.units)) is None:
        raise UserError(
            f"{where}: {found.name!r} has units {units!r}, and channel {channel.name} needs "
            f"{channel.units!r}; correct the attribute or add the conversion to the lexicon"
        )
    field = (field * factor[0] + factor[1]).drop_vars(["level"], errors="ignore")
    field = field.drop_vars([name for name in field.coords if name not in field.dims])
    _sound(field, channel, found.name, where)
    return field.drop_attrs()


def _find(raw: xr.Dataset, channel: Channel, where: str) -> xr.DataArray:
    for alias in channel.aliases:
        if alias in raw.data_vars:
            return raw[alias]
    raise UserError(
        f"{where} has no variable for channel {channel.name} (looked for {', '.join(channel.aliases)}; it "
        f"has {', '.join(map(str, raw.data_vars))}); add it to download.files or drop the channel"
    )


def _level(found: xr.DataArray, channel: Channel, where: str) -> xr.DataArray:
    if "level" not in found.dims:
        return found.squeeze(drop=True) if found.ndim > 3 else found
    if channel.level not in found["level"].values:
        raise UserError(
            f"{where}: {found.name!r} has no level {channel.level} hPa (it has "
            f"{', '.join(f'{v:g}' for v in found['level'].values)})"
        )
    return found.sel(level=channel.level)


def _sound(field: xr.DataArray, channel: Channel, name: str, where: str) -> None:
    """NaN is loud, and so is a value that no atmosphere has."""
    summary = xr.Dataset(
        {"holes": field.isnull().any(["latitude", "longitude"]), "low": field.min(), "high": field.max()}
    ).compute()
    if (holes := summary["time"].values[summary["holes"].values]).size:
        raise UserError(
            f"{where}: {name!r} has NaN in {holes.size} frame(s), the first at "
            f"{holes[0].astype('datetime64[m]')}; mend the source or choose periods without them"
        )
    low, high = float(summary["low"]), float(summary["high"])
    if low < channel.lowest or high > channel.highest:
        raise UserError(
            f"{where}: {name!r} reaches from {low:g} to {high:g} {channel.units}, outside what channel "
            f"{channel.name} can be ({channel.lowest:g} to {channel.highest:g}); check its units attribute"
        )
