"""The metadata of the archive, by CF 1.11 and ACDD 1.3, from the settings and the data.

CF: https://cfconventions.org; ACDD: https://wiki.esipfed.org/Attribute_Convention_for_Data_Discovery_1-3.
"""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight import __version__
from hindsight.archive import recipe as recipes
from hindsight.fields import calendar
from hindsight.fields.grid import COVERED, Grid
from hindsight.fields.plane import Plane
from hindsight.settings import Archive, Domain
from hindsight.settings.hours import in_full, iso_duration
from hindsight.settings.lexicon import CHANNELS, Channel

GROUPS = {"": "", "mean": "ensemble mean of ", "spread": "ensemble standard deviation of "}
TRUE_PLACES = ("true_latitude", "true_longitude")  # of the points of a plane
METHODS = {"": "", "mean": " realization: mean", "spread": " realization: standard_deviation"}
TEMPERATURE = {"": "temperature: on_scale", "mean": "temperature: on_scale", "spread": "temperature: difference"}
NAMES = "CF Standard Name Table v93"
SINCE = "since 1900-01-01"
ORIGIN = np.datetime64("1900-01-01", "ns")
UNITS = {"hours": np.timedelta64(1, "h"), "minutes": np.timedelta64(1, "m")}  # of the axis of time
TIME = {
    "standard_name": "time",
    "long_name": "time of the analysis",
    "axis": "T",
    "units": f"hours {SINCE}",
    "calendar": "proleptic_gregorian",
    "units_metadata": "leap_seconds: none",  # of CF 1.12; readers of 1.11 pass over it
}
LATITUDE = {"standard_name": "latitude", "long_name": "latitude", "axis": "Y", "units": "degrees_north"}
LONGITUDE = {"standard_name": "longitude", "long_name": "longitude", "axis": "X", "units": "degrees_east"}
ON_PLANE = {  # attributes of the axes of a plane, which are not those of the Earth
    "latitude": {"long_name": "y on the plane, see the attribute plane", "axis": "Y", "units": "degree"},
    "longitude": {"long_name": "x on the plane, see the attribute plane", "axis": "X", "units": "degree"},
}
MEMBER = {"standard_name": "realization", "long_name": "number of the member", "units": "1"}
FROM_SETTINGS = {  # attribute: the setting whose text it is, unless empty
    "institution": "institution",
    "license": "licence",
    "product_version": "version",
    "naming_authority": "naming_authority",
    "creator_name": "creator_name",
    "creator_email": "creator_email",
    "creator_url": "creator_url",
    "publisher_name": "publisher_name",
    "publisher_email": "publisher_email",
    "publisher_url": "publisher_url",
    "project": "project",
    "references": "references",
    "metadata_link": "metadata_link",
}


@dataclass(frozen=True)
class Contents:
    """Axes, members and recipe of an archive."""

    times: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    members: int
    recipe: dict
    plane: Plane | None = None
    covered: np.ndarray | None = None  # (H, W); none: all points have values

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes on the Earth; of the axes, or of every point where the fields lie on a plane."""
        if self.plane is None:
            return self.latitude, self.longitude
        return self.plane.places(Grid(self.latitude, self.longitude))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of points along latitude and longitude."""
        return len(self.latitude), len(self.longitude)

    @property
    def channels(self) -> list[str]:
        """Channels, in the order of the domain."""
        return self.recipe["settings"]["domain"]["channels"]


def global_attributes(settings: Archive, domain: Domain, contents: Contents, source: xr.Dataset) -> dict[str, object]:
    """Global attributes without dates and history.

    Args:
        settings: with the user's description of the data set.
        domain: for channels, time step and test period.
        contents: of the archive.
        source: the fields that the prior is trained on, with their attributes.
    """
    digest = recipes.digest(contents.recipe)
    origin, title = contents.recipe["made_from"], source.attrs.get("source_title", "its source")
    return {
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": settings.title,
        "summary": settings.summary or _summary(domain, contents.members, title),
        **{name: getattr(settings, key) for name, key in FROM_SETTINGS.items() if getattr(settings, key)},
        **({"creator_type": settings.creator_type} if settings.creator_name else {}),
        "id": settings.id or f"hindsight-{digest[:16]}",
        "source": f"hindsight {__version__}, {origin.get('regime', '')} regime, prior {origin.get('prior', '')[:16]} "
        f"trained on {title}",
        **_missing_frames(source, domain),
        **({"acknowledgement": source.attrs["source_licence"]} if source.attrs.get("source_licence") else {}),
        "processing_level": "Level 4: analyses of a model and observations",
        "cdm_data_type": "Grid",
        **_keywords(domain.channels),
        **_when(contents.times, domain.step_hours),
        **_where(contents),
        **(contents.plane.attributes() if contents.plane else {}),
        **_heights(domain.channels),
        "recipe": json.dumps(contents.recipe, sort_keys=True),
        "recipe_digest": digest,
    }


def _summary(domain: Domain, members: int, title: str) -> str:
    names = ", ".join(CHANNELS[name].long_name for name in domain.channels)
    return (
        f"{members} members of {names}, every {in_full(domain.step_hours)}, sampled from a video diffusion prior "
        f"trained on {title} and given observations."
    )


def _missing_frames(source: xr.Dataset, domain: Domain) -> dict[str, str]:
    """A comment on frames that are missing in the source; they are analysed too."""
    test = calendar.in_period(source, domain.test, "the fields")
    times = test["time"].values[~calendar.available(test)]
    if not len(times):
        return {}
    if len(times) == test.sizes["time"]:
        return {"comment": "There are no fields of this period that the analyses could be compared with."}
    listed = ", ".join(np.datetime_as_string(times, "m"))
    return {"comment": f"The source lacks {listed}; these frames are analysed, but not scored."}


def _keywords(channels: list[str]) -> dict[str, str]:
    names = sorted({CHANNELS[name].standard_name for name in channels} - {""})
    if not names:
        return {"keywords": "reanalysis, ensemble"}
    return {"keywords": ", ".join(names), "keywords_vocabulary": NAMES, "standard_name_vocabulary": NAMES}


def _when(times: np.ndarray, step_hours: float) -> dict[str, str]:
    return {
        "time_coverage_start": _iso(times[0]),
        "time_coverage_end": _iso(times[-1]),
        "time_coverage_duration": duration(times[0], times[-1]),
        "time_coverage_resolution": iso_duration(step_hours),
    }


def duration(start: np.datetime64, end: np.datetime64) -> str:
    """The time from start to end by ISO 8601: P2DT6H, P0DT1H35M."""
    minutes = int((end - start) / np.timedelta64(1, "m"))
    text = f"P{minutes // 1440}DT{minutes // 60 % 24}H"
    return f"{text}{minutes % 60}M" if minutes % 60 else text


def encode_times(times: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Times as whole hours since 1900, or as minutes where they are not full hours, and the attributes of the axis."""
    unit = "hours" if calendar.in_whole_hours(times) else "minutes"
    numbers = (times - ORIGIN) // UNITS[unit]
    return numbers.astype("int64"), TIME | {"units": f"{unit} {SINCE}"}


def decode_times(axis: zarr.Array) -> np.ndarray:
    """The times of an axis of an archive, datetime64[ns].

    Raises:
        ValueError: if its units are not of an archive.
    """
    return decode(axis[:], str(axis.attrs.get("units")))


def decode(numbers: np.ndarray, units: str) -> np.ndarray:
    """Times of numbers in the units of an archive, datetime64[ns].

    Raises:
        ValueError: if the units are others.
    """
    unit, _, since = units.partition(" ")
    if unit not in UNITS or since != SINCE:
        raise ValueError(f"its units are {units!r}")
    return (ORIGIN + np.asarray(numbers).astype("int64") * UNITS[unit]).astype("datetime64[ns]")


def _iso(time: np.datetime64) -> str:
    return f"{np.datetime_as_string(time, 's')}Z"


def _where(contents: Contents) -> dict[str, object]:
    found: dict[str, object] = {"geospatial_bounds": _outline(contents), "geospatial_bounds_crs": "EPSG:4326"}
    for name, values, units in zip(("lat", "lon"), contents.places, ("degrees_north", "degrees_east")):
        found[f"geospatial_{name}_min"], found[f"geospatial_{name}_max"] = float(values.min()), float(values.max())
        found[f"geospatial_{name}_units"] = units
        if values.ndim == 1 and len(values) > 1 and np.allclose(steps := np.diff(values), steps[0], rtol=1e-3):
            found[f"geospatial_{name}_resolution"] = f"{abs(steps[0]):.6g} degrees"
    return found


def _outline(contents: Contents) -> str:
    """Well-known text, latitude first as in EPSG:4326; a line if there is only one latitude or longitude."""
    if contents.plane:
        latitude, longitude = (np.concatenate([a[0], a[1:, -1], a[-1, -2::-1], a[-2::-1, 0]]) for a in contents.places)
        return "POLYGON ((" + ", ".join(f"{y:.6g} {x:.6g}" for y, x in zip(latitude, longitude)) + "))"
    (south, north), (west, east) = ((float(a.min()), float(a.max())) for a in (contents.latitude, contents.longitude))
    corners = [(south, west), (south, east), (north, east), (north, west), (south, west)]
    if south == north or west == east:
        return f"LINESTRING ({south:g} {west:g}, {north:g} {east:g})"
    return "POLYGON ((" + ", ".join(f"{y:g} {x:g}" for y, x in corners) + "))"


def _heights(channels: list[str]) -> dict[str, object]:
    """The vertical extent: of the pressure levels, or of the heights where there are no levels."""
    coordinates = [one for name in channels if (one := vertical(CHANNELS[name]))]
    chosen = [one for one in coordinates if one[2]["units"] == "hPa"] or coordinates
    if not chosen:
        return {}
    values, about = [value for _, value, _ in chosen], chosen[0][2]
    found = {"geospatial_vertical_min": min(values), "geospatial_vertical_max": max(values)}
    return found | {f"geospatial_vertical_{name}": about[name] for name in ("units", "positive")}


def axes(contents: Contents) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
    """The axes of the points, by name: values and attributes."""
    attributes = ON_PLANE if contents.plane else {"latitude": LATITUDE, "longitude": LONGITUDE}
    return {name: (getattr(contents, name), about) for name, about in attributes.items()}


def true_places(contents: Contents) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
    """Latitude and longitude on the Earth of every point of a plane, by name: values (H, W) and attributes."""
    if contents.plane is None:
        return {}
    attributes = ({name: text for name, text in one.items() if name != "axis"} for one in (LATITUDE, LONGITUDE))
    return dict(zip(TRUE_PLACES, zip(contents.places, attributes)))


def coverage(contents: Contents) -> dict[str, tuple[np.ndarray, dict[str, object]]]:
    """Where there are values, by name: 1 or 0 at every point (H, W) and attributes; empty if there are all."""
    if contents.covered is None:
        return {}
    about = {"long_name": "whether the source has values at the point", "flag_values": [0, 1]}
    return {COVERED: (contents.covered.astype("int8"), about | {"flag_meanings": "not_covered covered"})}


def covered(archive: Path) -> np.ndarray | None:
    """Where an archive has values, (H, W) of bool; none: at all points, or it cannot be read."""
    try:
        return zarr.open_array(archive / COVERED, mode="r")[:].astype(bool)
    except Exception:  # damaged metadata may raise anything; checksums tell
        return None


def grid(archive: Path) -> Grid:
    """The grid of an archive."""
    axes = (zarr.open_array(archive / name, mode="r")[:] for name in ("latitude", "longitude"))
    return Grid(*axes, covered(archive))


def time_coordinates(settings: Archive, channels: list[str]) -> dict[tuple[int, int], str]:
    """The coordinate of time whose bounds are a period, by the first and last hour of the period.

    A single period has the coordinate `time`, whose bounds do not concern values with the method `point` (CF 7.3,
    methods applied to a time series). Of several periods, each has a coordinate of its own.
    """
    cells = [cell for name in channels if (cell := settings.time_cell(name))]
    periods = sorted({(cell.start_hours, cell.end_hours) for cell in cells})
    names = [f"time_from_{start}_to_{end}_h".replace("-", "minus_") for start, end in periods]
    return dict(zip(periods, ["time"] if len(periods) == 1 else names))


def other_time(axis: dict[str, str], start_hours: int, end_hours: int) -> dict[str, str]:
    """Attributes of the coordinate of time of one period among several, from those of `time`."""
    said = {"long_name": f"time of the analysis, with bounds {start_hours} to {end_hours} h from it"}
    return {name: value for name, value in axis.items() if name != "axis"} | said


def variable(
    channel: Channel, group: str, kept: int, settings: Archive, channels: list[str], on_plane: bool = False
) -> dict[str, object]:
    """Attributes of a channel in one of the groups.

    Args:
        channel: described.
        group: one of `GROUPS`.
        kept: number of mantissa bits.
        settings: with the periods that values represent.
        channels: of the archive.
        on_plane: whether the fields lie on a plane, so that the places of their points are coordinates.
    """
    cell, level = settings.time_cell(channel.name), vertical(channel)
    time = time_coordinates(settings, channels)[cell.start_hours, cell.end_hours] if cell else "time"
    coordinates = [*([level[0]] if level else []), *([time] if time != "time" else [])]
    coordinates += TRUE_PLACES if on_plane else ()
    return {
        **({"standard_name": channel.standard_name} if channel.standard_name else {}),
        "long_name": GROUPS[group] + channel.long_name,
        "units": channel.units,
        **({"units_metadata": TEMPERATURE[group]} if channel.units == "K" else {}),
        "cell_methods": f"time: {cell.method if cell else 'point'}{METHODS[group]}",
        "coverage_content_type": "modelResult",
        "kept_mantissa_bits": kept,
        **({"coordinates": " ".join(coordinates)} if coordinates else {}),
    }


def vertical(channel: Channel) -> tuple[str, float, dict[str, str]] | None:
    """The scalar coordinate of a channel's pressure level or height: name, value and attributes; none without one."""
    if channel.level:
        names = {"standard_name": "air_pressure", "long_name": "pressure level", "units": "hPa", "positive": "down"}
        return f"level_{channel.level}", float(channel.level), names | {"axis": "Z"}
    if channel.height:
        names = {"standard_name": "height", "long_name": "height above the ground", "units": "m", "positive": "up"}
        return f"height_{channel.height:g}", channel.height, names | {"axis": "Z"}
    return None


def with_history(now: dict[str, object], before: dict[str, object] | None, event: str) -> dict[str, object]:
    """Add dates and history to global attributes; the history gets a new line if anything changed.

    Args:
        now: from `global_attributes`.
        before: attributes of the existing archive, if there is one.
        event: the text of the new line.
    """
    today = f"{_today():%Y-%m-%d}"
    line = f"{today} {event} by hindsight {__version__}"
    if before is None:
        return now | {"date_created": today, "date_modified": today, "history": line}
    dates = {name: before[name] for name in ("date_created", "date_modified", "history") if name in before}
    if all(before.get(name) == value for name, value in now.items()) and set(before) == {*now, *dates}:
        return now | dates
    return now | dates | {"date_modified": today, "history": f"{dates['history']}\n{line}"}


def _today() -> datetime:
    """The date, or that of SOURCE_DATE_EPOCH, so that a build can be repeated to the byte."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    return datetime.now(UTC)
