"""Mutations: ways in which files differ from a plain source, in groups of which a source gets one at most.

A mutation takes a source and a generator of random numbers. If the result may be a refusal, it says so (`Source.may`).
It raises `Unfit` if the source has nothing to change.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from shapes import COORDINATES, OTHER_NAMES, OTHER_UNITS, SPREAD, Part, Source

Mutation = Callable[[Source, np.random.Generator], None]
DAY = np.timedelta64(1, "D")
SECOND = np.timedelta64(1, "s").astype("timedelta64[ns]")


class Unfit(Exception):
    """A source has nothing that a mutation could change."""


def need(there: object) -> None:
    """Raise `Unfit` if there is nothing to change."""
    if not there:
        raise Unfit


def pick(rng: np.random.Generator, options: object) -> object:
    """One of several options, at random."""
    options = list(options)
    need(options)
    return options[rng.integers(len(options))]


def period(source: Source, name: str) -> tuple[int, int]:
    """The first and the last frame of a split in the truth."""
    times = source.truth["time"].to_index()
    return tuple(times.get_loc(pd.Timestamp(source.config["domain"][name][edge])) for edge in ("start", "end"))


# Missing, repeated and additional frames.


def gap(source: Source, rng: np.random.Generator) -> None:
    """A frame of a split is missing."""
    lost = rng.integers(1, source.truth.sizes["time"] - 1)
    source.everywhere(lambda d: d.isel(time=np.arange(d.sizes["time"]) != lost))
    source.may("refused")


def ends_early(source: Source, rng: np.random.Generator) -> None:
    """The last frames are missing."""
    source.everywhere(lambda d: d.isel(time=slice(None, -int(rng.integers(1, 4)))))
    source.may("refused")


def left_out(source: Source, rng: np.random.Generator) -> None:
    """Frames between two splits are not requested, and are missing."""
    first, last = period(source, "train")
    need(last - first > 5)
    source.config["domain"]["train"]["end"] = pd.Timestamp(source.truth["time"].values[last - 3]).isoformat()
    keep = ~np.isin(np.arange(source.truth.sizes["time"]), np.arange(last - 2, last + 1))
    source.everywhere(lambda d: d.isel(time=keep))
    source.truth = source.truth.isel(time=keep)


def between_steps(source: Source, rng: np.random.Generator) -> None:
    """Frames exist between the requested ones."""
    step = source.config["domain"]["step_hours"]
    need(step > 1 and not source.config["domain"]["channels"][0].startswith("tp"))

    def finer(dataset: xr.Dataset) -> xr.Dataset:
        between = dataset.assign_coords(time=dataset["time"] + np.timedelta64(1, "h"))
        return xr.concat([dataset, between.roll(latitude=1, roll_coords=False)], "time").sortby("time")

    source.everywhere(finer)


def before_and_after(source: Source, rng: np.random.Generator) -> None:
    """The source begins earlier and ends later than the request."""
    step = np.timedelta64(source.config["domain"]["step_hours"], "h")

    def longer(dataset: xr.Dataset) -> xr.Dataset:
        span = dataset.sizes["time"] * step
        around = [dataset.assign_coords(time=dataset["time"] + n * span) for n in (-1, 0, 1)]
        return xr.concat([around[0].isel(time=slice(-3, None)), dataset, around[2].isel(time=slice(4))], "time")

    need("tp" not in source.variables)
    source.everywhere(longer)


def twice(source: Source, rng: np.random.Generator) -> None:
    """A frame comes twice, with the same values."""
    source.everywhere(lambda d: xr.concat([d, d.isel(time=[3])], "time").sortby("time"))
    source.may("either")


def twice_and_different(source: Source, rng: np.random.Generator) -> None:
    """A frame comes twice, with different values."""

    def doubled(dataset: xr.Dataset) -> xr.Dataset:
        again = dataset.isel(time=[4]).assign_coords(time=dataset["time"].values[[3]])
        return xr.concat([dataset, again], "time").sortby("time")

    source.everywhere(doubled)
    source.may("refused")


# Values that are not there, or cannot be.


def _spoilt(source: Source, rng: np.random.Generator, value: float, every_frame: bool) -> None:
    name = pick(rng, source.variables)

    def spoil(dataset: xr.Dataset) -> xr.Dataset:
        where = {d: _requested(source, dataset, d, rng) for d in dataset[name].dims if d not in ("time", "level")}
        where |= {} if every_frame else {"time": int(rng.integers(dataset.sizes["time"]))}
        dataset = dataset.copy(deep=True)
        dataset[name][where] = value
        return dataset

    source.everywhere(spoil)
    source.may("refused")


def _requested(source: Source, dataset: xr.Dataset, dim: str, rng: np.random.Generator) -> int:
    """A place along a dimension that the domain asks for: what lies outside a region is not read."""
    wanted = source.truth[dim].values
    apart = (dataset[dim].values[:, None] - wanted + 180) % 360 - 180
    return int(rng.choice(np.flatnonzero((np.abs(apart) < 1e-6).any(1))))


def nan_once(source: Source, rng: np.random.Generator) -> None:
    """One value is NaN."""
    _spoilt(source, rng, np.nan, False)


def nan_mask(source: Source, rng: np.random.Generator) -> None:
    """One point is NaN in all frames."""
    _spoilt(source, rng, np.nan, True)


def impossible(source: Source, rng: np.random.Generator) -> None:
    """One value is physically impossible."""
    _spoilt(source, rng, 9.96921e36, False)


def infinite(source: Source, rng: np.random.Generator) -> None:
    """One value is infinite."""
    _spoilt(source, rng, np.inf, False)


# A region of the source.


def region(source: Source, rng: np.random.Generator) -> None:
    """A region is requested whose edges are grid points; values outside are NaN, or not."""
    latitude, longitude = source.truth["latitude"].values, source.truth["longitude"].values
    south, north = np.sort(rng.choice(len(latitude), 2, replace=False))
    west, east = np.sort(rng.choice(len(longitude), 2, replace=False))
    source.truth = source.truth.isel(latitude=slice(south, north + 1), longitude=slice(west, east + 1))
    sides = [float(longitude[k]) for k in (west, east)]
    if rng.random() < 0.5:  # the same sides, counted from Greenwich to the west
        sides = [x - 360 if x > 180 else x for x in sides]
    source.set("domain", south=float(latitude[south]), north=float(latitude[north]), west=sides[0], east=sides[1])
    if rng.random() < 0.5:
        kept = source.truth["latitude"].values
        source.everywhere(lambda d: d.assign({n: d[n].where(d["latitude"].isin(kept)) for n in source.variables}))


def across_greenwich(source: Source, rng: np.random.Generator) -> None:
    """A region on both sides of Greenwich is requested."""
    longitude = source.truth["longitude"].values
    need(longitude[0] <= 0 and longitude[-1] > 180)
    west, east = -longitude[1], longitude[2]
    turned = (longitude + 180) % 360 - 180
    keep = np.flatnonzero((turned >= west) & (turned <= east))
    keep = keep[np.argsort(turned[keep])]
    source.truth = source.truth.isel(longitude=keep).assign_coords(longitude=turned[keep])
    source.set("domain", west=float(west) % 360 if rng.random() < 0.5 else float(west), east=float(east))


# Units, names, attributes.


def other_units(source: Source, rng: np.random.Generator) -> None:
    """A variable is in other units."""
    name = pick(rng, source.variables)
    _in_units(source, source.parts, name, rng)


def _in_units(source: Source, parts: list[Part], name: str, rng: np.random.Generator) -> None:
    given = {part.dataset[name].attrs.get("units") for part in parts if name in part.dataset}
    need(len(given) == 1 and given <= OTHER_UNITS.keys())
    spelling, factor, offset = pick(rng, OTHER_UNITS[given.pop()])
    for part in parts:
        if name in part.dataset:
            values = ((part.dataset[name].astype(float) - offset) / factor).astype("f4")
            part.dataset[name] = values.assign_attrs(part.dataset[name].attrs | {"units": spelling})


def no_units(source: Source, rng: np.random.Generator) -> None:
    """A variable has no units."""
    name = pick(rng, source.variables)
    source.everywhere(lambda d: d.assign({name: d[name].drop_attrs()}) if name in d else d)
    source.may("either")


def wrong_units(source: Source, rng: np.random.Generator) -> None:
    """A variable has units of another quantity."""
    name = pick(rng, source.variables)
    units = pick(rng, ["kg", "seconds", "W m-2", "degrees", "K s-1"])
    source.everywhere(lambda d: d.assign({name: d[name].assign_attrs(units=units)}) if name in d else d)
    source.may("refused")


def units_lie(source: Source, rng: np.random.Generator) -> None:
    """The units attribute is wrong, so that values are out of range."""
    name = pick(rng, sorted({"t2m", "msl", "d2m"} & set(source.variables)))
    need(all(part.dataset[name].attrs["units"] == SPREAD[name][2] for part in source.parts if name in part.dataset))
    shift = lambda v: (v / 100 if name == "msl" else v - 273.15).assign_attrs(v.attrs)
    source.everywhere(lambda d: d.assign({name: shift(d[name])}) if name in d else d)
    source.may("refused")


def other_name(source: Source, rng: np.random.Generator) -> None:
    """A variable has another name that is known."""
    name = pick(rng, [n for n in source.variables if n in OTHER_NAMES])
    _renamed(source, name, pick(rng, OTHER_NAMES[name]))


def cmip_height(source: Source, rng: np.random.Generator) -> None:
    """Geopotential height under CMIP's or NCEP's name."""
    need("z" in source.variables)
    need(all(part.dataset["z"].attrs["units"] == "m**2 s**-2" for part in source.parts if "z" in part.dataset))
    lower = lambda v: (v / 9.80665).astype("f4").assign_attrs(units="m", standard_name="geopotential_height")
    source.everywhere(lambda d: d.assign(z=lower(d["z"])) if "z" in d else d)
    _renamed(source, "z", pick(rng, ["zg", "gh", "hgt"]))


def _renamed(source: Source, name: str, other: str) -> None:
    source.everywhere(lambda d: d.rename({name: other}) if name in d else d)


def strange_name(source: Source, rng: np.random.Generator) -> None:
    """A variable has an unknown name, and no setting explains it."""
    _renamed(source, pick(rng, source.variables), "my_variable")
    source.may("refused")


def strange_name_in_settings(source: Source, rng: np.random.Generator) -> None:
    """A variable has an unknown name, and a setting explains it."""
    name = pick(rng, [n for n in source.variables if n in OTHER_NAMES])
    _renamed(source, name, "my_variable")
    _explain(source, "my_variable", OTHER_NAMES[name][1 if name in ("t2m", "d2m", "u10", "v10") else 0])


def long_attributes(source: Source, rng: np.random.Generator) -> None:
    """Attributes as archives write them."""
    more = {
        "standard_name": "air_temperature", "GRIB_stepType": "instant", "cell_methods": "area: mean", "GRIB_Nx": 5,
        "long_name": "a field", "coordinates": "latitude longitude", "grid_mapping": "crs", "GRIB_missingValue": 3.4e38,
    }  # fmt: skip
    chosen = {key: more[key] for key in rng.choice(sorted(more), 3, replace=False)}
    chosen.pop("coordinates", None)
    source.everywhere(lambda d: d.assign({n: d[n].assign_attrs(chosen) for n in source.variables if n in d}))


# What coordinates are called, which way they run, and how exactly.


def other_coordinates(source: Source, rng: np.random.Generator) -> None:
    """Coordinates have other names that are known."""
    names = {ours: pick(rng, theirs) for ours, theirs in COORDINATES.items() if rng.random() < 0.7}
    source.everywhere(lambda d: d.rename({a: b for a, b in names.items() if a in d.coords}))


def strange_coordinate_in_settings(source: Source, rng: np.random.Generator) -> None:
    """A coordinate has an unknown name, and a setting explains it."""
    ours = pick(rng, ["latitude", "longitude", "time"])
    source.everywhere(lambda d: d.rename({_name(d, ours): "my_axis"}))
    _explain(source, "my_axis", ours)


def _explain(source: Source, theirs: str, ours: str) -> None:
    """Add the meaning of a name to the settings."""
    source.set("download", rename=source.config.get("download", {}).get("rename", {}) | {theirs: ours})


def latitude_turned(source: Source, rng: np.random.Generator) -> None:
    """Latitudes run from the south."""
    source.everywhere(lambda d: d.isel({_name(d, "latitude"): slice(None, None, -1)}))


def latitude_shuffled(source: Source, rng: np.random.Generator) -> None:
    """Latitudes are not sorted."""
    order = rng.permutation(source.parts[0].dataset.sizes[_name(source.parts[0].dataset, "latitude")])
    source.everywhere(lambda d: d.isel({_name(d, "latitude"): order}))
    source.may("either")


def longitude_turned(source: Source, rng: np.random.Generator) -> None:
    """Longitudes have another origin."""
    source.everywhere(_turned)


def _turned(dataset: xr.Dataset) -> xr.Dataset:
    name = _name(dataset, "longitude")
    longitude = dataset[name].values
    turned = longitude % 360 if (longitude < 0).any() else (longitude + 180) % 360 - 180
    return dataset.assign_coords({name: dataset[name].copy(data=turned)}).sortby(name)


def meridian_twice(source: Source, rng: np.random.Generator) -> None:
    """The first meridian comes again at the end."""
    name = _name(source.parts[0].dataset, "longitude")
    longitude = source.parts[0].dataset[name].values
    need(np.ptp(longitude) > 300 and len(longitude) == source.truth.sizes["longitude"])

    def closed(dataset: xr.Dataset) -> xr.Dataset:
        own = _name(dataset, "longitude")  # files may have names of their own
        first = dataset.isel({own: [0]})
        return xr.concat([dataset, first.assign_coords({own: first[own] + 360})], own, data_vars="minimal")

    source.everywhere(closed)
    source.may("either")


def _name(dataset: xr.Dataset, ours: str) -> str:
    """The name of a coordinate in a dataset."""
    return next(n for n in (ours, *COORDINATES[ours], "my_axis") if n in dataset.coords)


def _places(source: Source, change: Callable[[np.ndarray], np.ndarray], parts: slice = slice(None)) -> None:
    for part in source.parts[parts]:
        for ours in ("latitude", "longitude"):
            name = _name(part.dataset, ours)
            place = part.dataset[name]
            part.dataset = part.dataset.assign_coords({name: (name, change(place.values), place.attrs)})


def single_precision(source: Source, rng: np.random.Generator) -> None:
    """Coordinates are in single precision."""
    _places(source, lambda x: x.astype("f4"))


def single_in_double(source: Source, rng: np.random.Generator) -> None:
    """Coordinates were in single precision once, and doubles keep its rounding."""
    _places(source, lambda x: x.astype("f4").astype("f8"))


def places_with_noise(source: Source, rng: np.random.Generator) -> None:
    """Coordinates are off by a millionth of a degree."""
    _places(source, lambda x: x + rng.uniform(-1e-6, 1e-6, x.shape))


def without_places(source: Source, rng: np.random.Generator) -> None:
    """There are no latitudes."""
    source.everywhere(lambda d: d.drop_vars(_name(d, "latitude")))
    source.may("refused")


def two_dimensional(source: Source, rng: np.random.Generator) -> None:
    """Latitudes and longitudes are fields on y and x."""

    def curved(dataset: xr.Dataset) -> xr.Dataset:
        latitude, longitude = (dataset[_name(dataset, name)].values for name in ("latitude", "longitude"))
        lat, lon = np.meshgrid(latitude, longitude, indexing="ij")
        dataset = dataset.rename({_name(dataset, "latitude"): "y", _name(dataset, "longitude"): "x"})
        dataset = dataset.drop_vars(["y", "x"])
        return dataset.assign_coords(latitude=(("y", "x"), lat + 0.01 * lon), longitude=(("y", "x"), lon))

    source.everywhere(curved)
    source.may("refused")


def in_metres(source: Source, rng: np.random.Generator) -> None:
    """The axes are of a projection, in metres."""

    def projected(dataset: xr.Dataset) -> xr.Dataset:
        names = {_name(dataset, "latitude"): "y", _name(dataset, "longitude"): "x"}
        dataset = dataset.rename(names)
        far = {n: (n, 5500.0 * np.arange(dataset.sizes[n]), {"units": "m"}) for n in ("y", "x")}
        return dataset.assign_coords(far)

    source.everywhere(projected)
    source.may("refused")


def uneven(source: Source, rng: np.random.Generator) -> None:
    """Latitudes are not evenly spaced."""
    name = _name(source.parts[0].dataset, "latitude")
    latitude = source.parts[0].dataset[name].values.copy()
    need(len(latitude) > 4)
    latitude[2] += (latitude[3] - latitude[2]) / 3
    source.everywhere(lambda d: d.assign_coords({name: (name, latitude)}))
    source.may("refused")


# Dimensions: their order, and those that are more.


def other_order(source: Source, rng: np.random.Generator) -> None:
    """Dimensions are in another order."""
    dims = list(source.parts[0].dataset[source.variables[0]].dims)
    order = rng.permutation(dims)
    source.everywhere(lambda d: d.transpose(*order, ..., missing_dims="ignore"))


def one_member(source: Source, rng: np.random.Generator) -> None:
    """One member, as a dimension of length one."""
    name = pick(rng, ["number", "realization", "ensemble", "unknown"])
    source.everywhere(lambda d: d.expand_dims({name: [0]}, 1))


def scalars(source: Source, rng: np.random.Generator) -> None:
    """Scalar coordinates, as cfgrib leaves them."""
    every = {"number": 0, "step": np.timedelta64(0, "ns"), "surface": 0.0, "meanSea": 0.0, "entireAtmosphere": 0.0}
    every |= {"expver": "0001", "forecast_reference_time": np.datetime64("2023-01-01", "ns")}
    chosen = rng.choice(sorted(every), 3, replace=False)
    source.everywhere(lambda d: d.assign_coords({n: every[n] for n in chosen}))


def scalars_differ(source: Source, rng: np.random.Generator) -> None:
    """A scalar height in every file: of winds another one."""
    need(len(source.parts) > 1 and "level" not in source.parts[0].dataset.dims)
    winds = [bool({"u10", "v10", "uas", "vas"} & set(map(str, part.dataset.data_vars))) for part in source.parts]
    need(len({*source.variables} - {"u10", "v10"}) == len(source.variables) or len(set(winds)) > 1)
    for part, wind in zip(source.parts, winds):
        part.dataset = part.dataset.assign_coords(height=10.0 if wind else 2.0)


def _members(source: Source, rng: np.random.Generator) -> str:
    name = pick(rng, ["number", "realization", "member", "quantile", "number_of_the_run"])
    members = lambda v: xr.concat([v, v.isel(time=slice(None, None, -1)).assign_coords(time=v["time"])], name)
    where = {name: [0, 1]}
    source.everywhere(
        lambda d: d.assign({n: members(d[n]).transpose("time", name, ...) for n in source.variables}).assign_coords(
            where
        )
    )
    return name


def members(source: Source, rng: np.random.Generator) -> None:
    """Two members, and no setting says which."""
    _members(source, rng)
    source.may("refused")


def member_in_settings(source: Source, rng: np.random.Generator) -> None:
    """Two members, and a setting says which."""
    source.set("download", select={_members(source, rng): 0})


def halves(source: Source, rng: np.random.Generator) -> None:
    """Final and preliminary data, each NaN where the other is; preliminary ones may be taken, or not."""
    last = period(source, "validation")[1]
    late = lambda d: np.arange(d.sizes["time"]) > last
    number = pick(rng, ["i4", "i8", "f8"])

    def apart(dataset: xr.Dataset) -> xr.Dataset:
        after = xr.DataArray(late(dataset), {"time": dataset["time"]})
        both = {n: xr.concat([dataset[n].where(~after), dataset[n].where(after)], "expver") for n in source.variables}
        return dataset.assign(both).assign_coords(expver=np.array([1, 5], number))

    need(source.parts[0].dataset.sizes["time"] == source.truth.sizes["time"])
    source.everywhere(apart)
    _preliminary(source, rng)


def late_versions(source: Source, rng: np.random.Generator) -> None:
    """A text variable with the version of every frame; the last frames are preliminary."""
    last = period(source, "validation")[1]
    need(source.parts[0].dataset.sizes["time"] == source.truth.sizes["time"])
    versions = np.where(np.arange(source.truth.sizes["time"]) > last, "0005", "0001").astype(object)
    source.everywhere(lambda d: d.assign_coords(expver=("time", versions)))
    _preliminary(source, rng)


def _preliminary(source: Source, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        source.set("download", preliminary=True)
    else:
        source.may("refused")


# Variables that were not requested.


def other_variables(source: Source, rng: np.random.Generator) -> None:
    """Other variables: static, of text, bounds, a projection, another field."""
    kind = pick(rng, ["static", "text", "bounds", "crs", "field", "counts"])

    def more(dataset: xr.Dataset) -> xr.Dataset:
        time = dataset["time"]
        shape = [dataset.sizes[n] for n in ("time", "latitude", "longitude")]
        extra = {
            "static": {"lsm": (("latitude", "longitude"), np.ones(shape[1:], "f4"))},
            "text": {"note": ("time", np.array(["good"] * len(time), object))},
            "bounds": {"lat_bnds": (("latitude", "bnds"), np.stack([dataset["latitude"]] * 2, 1))},
            "crs": {"crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"})},
            "field": {"sst": (("time", "latitude", "longitude"), np.full(shape, np.nan, "f4"), {"units": "?"})},
            "counts": {"count": ("time", np.arange(len(time), dtype="i4"))},
        }
        return dataset.assign(extra[kind])

    need("latitude" in source.parts[0].dataset.dims)
    source.everywhere(more)


# Levels.


def _of_levels(source: Source) -> str:
    need("level" in source.parts[0].dataset.dims)
    return "level"


def levels_in_pascals(source: Source, rng: np.random.Generator) -> None:
    """Levels in Pa, with noise or not, in single precision or not."""
    _of_levels(source)
    noise, kind = pick(rng, [0.0, 1e-3]), pick(rng, ["f4", "f8", "i4"])
    pascals = lambda x: ("level", (100 * x.values * (1 + 1e-6 * noise)).astype(kind), {"units": "Pa"})
    source.everywhere(lambda d: d.assign_coords(level=pascals(d["level"])))
    if rng.random() < 0.5:
        source.everywhere(lambda d: d.rename(level="plev"))


def levels_rounded(source: Source, rng: np.random.Generator) -> None:
    """Levels with the rounding of what they were made from."""
    _of_levels(source)
    source.everywhere(lambda d: d.assign_coords(level=("level", d["level"].values * (1 + 1e-7), d["level"].attrs)))


def levels_turned(source: Source, rng: np.random.Generator) -> None:
    """Levels from the ground up."""
    _of_levels(source)
    source.everywhere(lambda d: d.isel(level=slice(None, None, -1)))


def levels_say_no_units(source: Source, rng: np.random.Generator) -> None:
    """Levels as whole numbers that do not say their units."""
    _of_levels(source)
    source.everywhere(lambda d: d.assign_coords(level=("level", d["level"].values.astype("i4"))))
    source.may("either")


def more_levels(source: Source, rng: np.random.Generator) -> None:
    """Another level, with other values or none."""
    _of_levels(source)
    value = pick(rng, [np.nan, 250.0])

    def longer(variable: xr.DataArray) -> xr.DataArray:
        extra = xr.full_like(variable.isel(level=[0]), value)
        return xr.concat([variable, extra.assign_coords(level=[1000.0])], "level")

    def more(dataset: xr.Dataset) -> xr.Dataset:
        levelled = {n: longer(v) for n, v in dataset.items() if "level" in v.dims}
        found = dataset.drop_dims("level").assign(levelled)
        return found.assign_coords(level=found["level"].assign_attrs(dataset["level"].attrs))

    source.everywhere(more)


def level_lost(source: Source, rng: np.random.Generator) -> None:
    """A requested level is missing."""
    _of_levels(source)
    asked = [float(name[1:]) for name in source.config["domain"]["channels"] if name not in SPREAD]
    lost = pick(rng, asked)
    source.everywhere(lambda d: d.isel(level=np.abs(d["level"].values - lost) > 1))
    source.may("refused")


def level_unstated(source: Source, rng: np.random.Generator) -> None:
    """A variable on one level does not say which."""
    _of_levels(source)
    source.everywhere(lambda d: d.isel(level=0, drop=True))
    source.may("refused")


# Many files.


def a_file_a_variable(source: Source, rng: np.random.Generator) -> None:
    """One file per variable."""
    need(len(source.parts) == 1 and len(source.variables) > 1)
    (part,) = source.parts
    source.parts = [Part(part.dataset[[name]], part.form) for name in source.variables]


def a_file_a_level(source: Source, rng: np.random.Generator) -> None:
    """One file per level, with the level as a scalar or as a dimension of length one."""
    _of_levels(source)
    need(len(source.parts) == 1)
    (part,) = source.parts
    scalar = rng.random() < 0.5
    levels = part.dataset["level"].values
    cut = lambda k: part.dataset.isel(level=k if scalar else [k])
    rest = [n for n in source.variables if "level" not in part.dataset[n].dims]
    first = [Part(part.dataset[rest].drop_vars("level", errors="ignore"))] if rest else []
    source.parts = first + [Part(cut(k).drop_vars(rest)) for k in range(len(levels))]


def a_file_a_time(source: Source, rng: np.random.Generator) -> None:
    """One file per period; neighbours may share a frame."""
    need(len(source.parts) == 1)
    (part,) = source.parts
    count, overlap = int(rng.integers(2, 5)), int(rng.random() < 0.2)
    cuts = np.linspace(0, part.dataset.sizes["time"], count + 1).astype(int)
    source.parts = [Part(part.dataset.isel(time=slice(a, b + overlap))) for a, b in zip(cuts, cuts[1:])]
    if overlap:
        source.may("either")


def names_do_not_order(source: Source, rng: np.random.Generator) -> None:
    """Files by time whose names are in another order."""
    a_file_a_time(source, rng)
    source.parts = [source.parts[k] for k in rng.permutation(len(source.parts))]


# What differs from one file to the next.


def _later(source: Source) -> list[Part]:
    need(len(source.parts) > 1)
    return source.parts[1:]


def units_change(source: Source, rng: np.random.Generator) -> None:
    """The later files are in other units."""
    name = pick(rng, sorted({str(n) for part in _later(source) for n, v in part.dataset.items() if v.ndim > 2}))
    _in_units(source, _later(source), name, rng)


def names_change(source: Source, rng: np.random.Generator) -> None:
    """The later files have another name for a variable."""
    name = pick(rng, [n for n in OTHER_NAMES if all(n in part.dataset for part in _later(source))])
    other = pick(rng, OTHER_NAMES[name])
    for part in _later(source):
        part.dataset = part.dataset.rename({name: other})


def coordinates_change(source: Source, rng: np.random.Generator) -> None:
    """The later files have other names for coordinates."""
    for part in _later(source):
        known = {ours: theirs[0] for ours, theirs in COORDINATES.items() if ours in part.dataset.coords}
        part.dataset = part.dataset.rename(known)


def precision_changes(source: Source, rng: np.random.Generator) -> None:
    """The later files have coordinates in single precision, or with noise."""
    _later(source)
    noise = pick(rng, [0.0, 1e-14, 1e-7])
    _places(source, lambda x: x.astype("f4") if noise == 0 else x + noise, slice(1, None))


def turn_changes(source: Source, rng: np.random.Generator) -> None:
    """The later files run the other way, or count from elsewhere."""
    turned = pick(rng, [_turned, lambda d: d.isel({_name(d, "latitude"): slice(None, None, -1)})])
    for part in _later(source):
        part.dataset = turned(part.dataset)


def later_files_have_more(source: Source, rng: np.random.Generator) -> None:
    """The later files have a variable more."""
    for part in _later(source):
        name = next(str(n) for n, v in part.dataset.items() if v.ndim > 2)
        part.dataset = part.dataset.assign(sst=part.dataset[name].assign_attrs(units="K") * 0 + 290)


def grid_changes(source: Source, rng: np.random.Generator) -> None:
    """The later files are on another grid."""
    _later(source)
    _places(source, lambda x: x + abs(x[1] - x[0]) / 2, slice(1, None))
    source.may("refused")


# How times are written.


def other_clock(source: Source, rng: np.random.Generator) -> None:
    """Times count from another day, in other units and numbers."""
    options = [
        ("hours since 1900-01-01 00:00:00.0", "i4", "gregorian"), ("hours since 1900-01-01", "f8", "standard"),
        ("seconds since 1970-01-01", "f8", "proleptic_gregorian"), ("days since 2023-01-01", "f8", "standard"),
        ("minutes since 2022-12-31 18:00", "i4", "gregorian"), ("days since 1970-01-01", "f8", "proleptic_gregorian"),
        ("hours since 2023-01-01", "f4", "standard"), ("seconds since 2000-01-01T12:00:00", "f8", "standard"),
    ]  # fmt: skip
    units, kind, calendar = pick(rng, options)
    for part in source.parts:
        part.encoding |= {_name(part.dataset, "time"): {"units": units, "dtype": kind, "calendar": calendar}}


def calendar_of_models(source: Source, rng: np.random.Generator) -> None:
    """Times of a calendar that no clock keeps: the same numbers of days, under its name."""
    calendar = pick(rng, ["noleap", "360_day", "julian", "all_leap"])
    about = {"units": "days since 2023-01-01", "calendar": calendar}
    for part in source.parts:
        name = _name(part.dataset, "time")
        when = (part.dataset[name].values - np.datetime64("2023-01-01", "ns")) / DAY
        part.dataset = part.dataset.assign_coords({name: (name, when, about)})
    source.may("either" if "leap" in calendar else "refused")


def seconds_off(source: Source, rng: np.random.Generator) -> None:
    """Times are off by up to a second."""

    def off(dataset: xr.Dataset) -> xr.Dataset:
        name = _name(dataset, "time")
        noise = (rng.uniform(-1, 1, dataset.sizes[name]) * 0.9e9).astype("timedelta64[ns]")
        return dataset.assign_coords({name: dataset[name].copy(data=dataset[name].values + noise)})

    source.everywhere(off)
    for part in source.parts:
        part.encoding |= {_name(part.dataset, "time"): {"units": "seconds since 2023-01-01", "dtype": "f8"}}


def _later_by(dataset: xr.Dataset, more: np.timedelta64) -> xr.Dataset:
    name = _name(dataset, "time")
    return dataset.assign_coords({name: dataset[name] + more})


def minutes_off(source: Source, rng: np.random.Generator) -> None:
    """Times are off by twenty minutes, all alike."""
    source.everywhere(lambda d: _later_by(d, 1200 * SECOND))
    source.may("refused")


def half_hours(source: Source, rng: np.random.Generator) -> None:
    """Times are stamped at half past, and so are the periods."""
    half = 1800 * SECOND
    source.everywhere(lambda d: _later_by(d, half))
    source.truth = source.truth.assign_coords(time=source.truth["time"] + half)
    for split in ("train", "validation", "test"):
        chosen = source.config["domain"][split]
        later = {edge: pd.Timestamp(time) + pd.Timedelta("30min") for edge, time in chosen.items()}
        source.config["domain"][split] = {edge: time.isoformat() for edge, time in later.items()}


def backwards(source: Source, rng: np.random.Generator) -> None:
    """Times run backwards, or in no order."""
    mixed = rng.random() < 0.5
    order = lambda n: rng.permutation(n) if mixed else np.arange(n)[::-1]
    source.everywhere(lambda d: d.isel({_name(d, "time"): order(d.sizes[_name(d, "time")])}))


def no_time(source: Source, rng: np.random.Generator) -> None:
    """One time is missing."""

    def lost(dataset: xr.Dataset) -> xr.Dataset:
        name = _name(dataset, "time")
        when = dataset[name].values.copy()
        when[2] = np.datetime64("NaT")
        return dataset.assign_coords({name: (name, when)})

    source.everywhere(lost)
    source.may("refused")


# How values are written.


def packed(source: Source, rng: np.random.Generator) -> None:
    """Values are packed in whole numbers."""
    kind, steps, fill = pick(rng, [("i2", 60000, -32767), ("i4", 2**30, -(2**31) + 1), ("u2", 60000, 65535)])
    for part in source.parts:
        for name, variable in part.dataset.items():
            if variable.ndim < 3:
                continue
            low, high = float(variable.min()), float(variable.max())
            if not np.isfinite(variable.values).all() or not 0 < high - low < 1e6:
                continue
            scale, offset = (high - low) / steps, low if kind == "u2" else (low + high) / 2
            part.encoding[str(name)] = {"dtype": kind, "scale_factor": scale, "add_offset": offset, "_FillValue": fill}
            off = (0.51 * scale + 2e-7 * abs(offset)) * _back(variable.attrs.get("units", ""))
            for channel in source.truth["channel"].values:
                source.atol[str(channel)] = max(source.atol.get(str(channel), 0.0), off if _is(channel, name) else 0.0)


def _is(channel: str, name: str) -> bool:
    base = channel if channel in SPREAD else channel.rstrip("0123456789")
    if base == "tp" and name.startswith("total_precipitation"):
        return True
    return name in (base, *OTHER_NAMES[base], "zg", "gh", "hgt", "my_variable")


def _back(units: str) -> float:
    """How much larger values are in the units of the channel."""
    return max((f for many in OTHER_UNITS.values() for spelling, f, _ in many if spelling == units), default=1.0)


def doubles(source: Source, rng: np.random.Generator) -> None:
    """Values are in double precision."""
    for part in source.parts:
        part.encoding |= {str(n): {"dtype": "f8"} for n, v in part.dataset.items() if v.ndim > 2}


def filled(source: Source, rng: np.random.Generator) -> None:
    """A fill value that no value has."""
    value = pick(rng, [np.nan, np.float32(9.96921e36), np.float32(-9999), np.float32(1e20)])
    for part in source.parts:
        fields = [str(name) for name, v in part.dataset.items() if v.ndim > 2 and v.dtype == "f4"]
        part.encoding |= {name: {"_FillValue": value} for name in fields}


def chunked(source: Source, rng: np.random.Generator) -> None:
    """Chunks that nothing else suggests."""
    for part in source.parts:
        for name, variable in part.dataset.items():
            if variable.ndim > 2:
                shape = tuple(int(rng.integers(1, n + 1)) for n in variable.shape)
                part.encoding |= {str(name): {"chunksizes": shape, "zlib": True}}


# What the files are.


def classic(source: Source, rng: np.random.Generator) -> None:
    """netCDF3, or netCDF4 as if it were: without texts, unsigned numbers and chunks."""
    for part in source.parts:
        need(all(v.dtype.kind != "O" for v in part.dataset.variables.values()))
        need(not any(e.get("dtype") == "u2" or "chunksizes" in e for e in part.encoding.values()))
    form = pick(rng, ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF4_CLASSIC"])
    for part in source.parts:
        part.form = form


def zarr(source: Source, rng: np.random.Generator) -> None:
    """Zarr stores of either version, their metadata in one file or not."""
    form = pick(rng, ["zarr2", "zarr2+", "zarr3", "zarr3+"])
    _to_zarr(source, form)


def _to_zarr(source: Source, form: str) -> None:
    need(all(v.dtype.kind not in "OU" for part in source.parts for v in part.dataset.variables.values()))
    for part in source.parts:
        part.form = form
        for name, encoding in part.encoding.items():
            part.encoding[name] = {k: v for k, v in encoding.items() if k not in ("chunksizes", "zlib")}


def bucket(source: Source, rng: np.random.Generator) -> None:
    """One Zarr store, read as a bucket."""
    need(len(source.parts) == 1)
    zarr(source, rng)
    source.config["download"] |= {"source": "bucket", "bucket": {"url": "a.zarr"}}
    source.may("either")


def chunks_lost(source: Source, rng: np.random.Generator) -> None:
    """A Zarr store of which chunks are lost, where nothing means zero or NaN."""
    levels = {"level", *COORDINATES["level"]}
    need(len(source.parts) == 1 or not any(levels & set(map(str, part.dataset.coords)) for part in source.parts))
    name = pick(rng, source.variables)
    _to_zarr(source, pick(rng, ["zarr2", "zarr3"]))
    key, fill = "fill_value" if source.parts[0].form == "zarr3" else "_FillValue", pick(rng, [0.0, np.nan])
    for part in source.parts:
        if name in part.dataset:
            time = _name(part.dataset, "time")
            shape = tuple(max(1, n // 2) if d == time else n for d, n in part.dataset[name].sizes.items())
            part.encoding[name] = {"chunks": shape, key: fill}

    def lose(data: Path) -> None:
        files = (path for path in data.glob(f"*.zarr/{name}/**/*") if path.is_file())
        chunks = sorted(path for path in files if path.name[0] != "." and path.name != "zarr.json")
        chunks[int(rng.integers(len(chunks)))].unlink()

    source.after.append(lose)
    source.may("refused")


GROUPS: dict[str, tuple[Mutation, ...]] = {  # in the order in which they are applied
    "frames": (gap, ends_early, left_out, between_steps, before_and_after, twice, twice_and_different),
    "region": (region, across_greenwich),
    "values": (nan_once, nan_mask, impossible, infinite),
    "levels": (
        levels_in_pascals, levels_rounded, levels_turned, levels_say_no_units, more_levels, level_lost, level_unstated,
    ),
    "dimensions": (one_member, scalars, members, member_in_settings, halves, late_versions),
    "beside": (other_variables,),
    "files": (a_file_a_variable, a_file_a_level, a_file_a_time, names_do_not_order),
    "changes": (
        units_change, names_change, coordinates_change, precision_changes, turn_changes, later_files_have_more,
        grid_changes, scalars_differ,
    ),
    "units": (other_units, no_units, wrong_units, units_lie, cmip_height),
    "attributes": (long_attributes,),
    "order": (other_order,),
    "latitude": (latitude_turned, latitude_shuffled),
    "longitude": (longitude_turned, meridian_twice),
    "precision": (single_precision, single_in_double, places_with_noise),
    "names": (other_name, strange_name, strange_name_in_settings),
    "coordinates": (other_coordinates, strange_coordinate_in_settings),
    "grid": (without_places, two_dimensional, in_metres, uneven),
    "packing": (packed, doubles, filled, chunked),
    "times": (other_clock, calendar_of_models, seconds_off, minutes_off, half_hours, backwards, no_time),
    "format": (classic, zarr, bucket, chunks_lost),
}  # fmt: skip
