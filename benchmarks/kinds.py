"""More kinds of the cases, made from plain sources and mutations, and the words that a refusal must contain.

The table of `inputs.py` lists them with the case of `shared/cases` that they resemble.
"""

import bz2
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import mutations
import numpy as np
import shapes
import xarray as xr
import yaml
from mutations import Mutation
from shapes import Source
from truths import CALENDAR, CHOOSES, MASKED, PRELIMINARY, SPAN, Kind

from hindsight.settings.section import with_defaults

LEVELLED, FLAT, WIND, Z500 = ("z500", "t850"), ("t2m", "msl"), ("u10", "v10"), ("z500",)


def kind(make: Callable[[np.random.Generator], Source], *words: str, seed: int = 1, **more: object) -> Kind:
    """A kind from a source; a refusal must contain `words`."""
    source = make(np.random.default_rng(seed))
    truth = (lambda folder: shapes.truth_of(source)) if source.expected != "refused" or more.get("setting") else None
    refusal = (words or ("",)) if source.expected != "right" or more.get("setting") else None
    return Kind(truth=truth, refusal=refusal, make=lambda folder: shapes.write(source, folder), **more)


def of(*changes: Mutation, channels: tuple = FLAT, grid: str = "europe", step: int = 24) -> Callable:
    """A plain source with mutations, one after the other."""

    def make(rng: np.random.Generator) -> Source:
        source = shapes.plain(rng, channels, grid, step, 24)
        for change in changes:
            change(source, rng)
        return source

    return make


def sets(**settings: object) -> Mutation:
    """Settings of `download` that state what the files leave out."""
    return lambda source, rng: source.set("download", **settings)


def refused(source: Source, rng: np.random.Generator) -> None:
    """Only a refusal is right."""
    source.may("refused")


def either(source: Source, rng: np.random.Generator) -> None:
    """The files say too little: a refusal is right, too."""
    source.may("either")


def every(change: Callable[[xr.Dataset], xr.Dataset], expected: str = "right") -> Mutation:
    """A mutation that changes all datasets, with the expected result."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        source.everywhere(change)
        source.may(expected)

    return mutation


def each(*changes: Callable[[xr.Dataset], xr.Dataset]) -> Mutation:
    """A mutation that changes the dataset of each file differently."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        for part, change in zip(source.parts, changes, strict=True):
            part.dataset = change(part.dataset)

    return mutation


def periods(count: int) -> Mutation:
    """A mutation that splits the only file by time into `count` files."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        (part,) = source.parts
        cuts = np.linspace(0, part.dataset.sizes["time"], count + 1).astype(int)
        source.parts = [shapes.Part(part.dataset.isel(time=slice(a, b))) for a, b in zip(cuts, cuts[1:])]

    return mutation


def level(name: str, factor: float = 1.0, **about: str) -> Mutation:
    """Levels under another name, and in other units."""
    changed = lambda d: d.assign_coords(level=("level", d["level"].values * factor, about)).rename(level=name)
    return every(lambda d: changed(d) if "level" in d.dims else d)


def scalar_levels(name: str, factor: float, units: str) -> tuple[Mutation, ...]:
    """A file a level, which is a scalar under some name."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        (part,) = source.parts
        values = part.dataset["level"].values
        cut = lambda k: part.dataset.isel(level=k, drop=True)
        coordinate = lambda k: {name: ((), values[k] * factor, {"units": units})}
        source.parts = [shapes.Part(cut(k).assign_coords(coordinate(k))) for k in range(len(values))]

    return (mutation,)


def renamed(**names: str) -> Mutation:
    """Variables under other names."""
    return every(lambda d: d.rename({a: b for a, b in names.items() if a in d}))


def calendars(*names: str) -> Mutation:
    """A different calendar in each file."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        for part, name in zip(source.parts, names, strict=True):
            days = (part.dataset["time"].values - np.datetime64("2023-01-01", "ns")) / mutations.DAY
            about = {"units": "days since 2023-01-01", "calendar": name}
            part.dataset = part.dataset.assign_coords(time=("time", days, about))
        source.may("refused" if set(names) & {*CALENDAR, "noleap"} else "right")

    return mutation


def box(**sides: float) -> Mutation:
    """A region, whose sides are points of the grid."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        source.set("domain", **sides)
        south, north, west, east = (sides.get(n) for n in ("south", "north", "west", "east"))
        source.truth = source.truth.sel(latitude=slice(south, north), longitude=slice(west, east))

    return mutation


def sea(source: Source, rng: np.random.Generator) -> None:
    """NaN over the northern rows in all frames."""
    source.everywhere(lambda d: d.where(d["latitude"] < 52))


def versions(*values: object, along: str = "time") -> Mutation:
    """The version beside the data: one, or one for every frame, the later half of them preliminary."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        late = np.arange(source.truth.sizes["time"]) >= source.truth.sizes["time"] // 2
        array = np.where(late, values[-1], values[0]) if along else values[0]
        array = array.astype(object) if along and isinstance(values[0], str) else array
        source.everywhere(lambda d: d.assign_coords(expver=((along,) if along else (), array)))
        source.may("right" if {str(v).lstrip("0") for v in values} == {"1"} else "refused")

    return mutation


def halves(*values: object) -> Mutation:
    """Final and preliminary data along a dimension, each NaN where the other is."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        late = xr.DataArray(np.arange(source.truth.sizes["time"]) > 15, {"time": source.truth["time"].values})
        half = lambda v: xr.concat([v.where(~late), v.where(late)], "expver").transpose("time", "expver", ...)
        source.everywhere(lambda d: d.map(half).assign_coords(expver=np.array(values)))
        source.may("refused")

    return mutation


def lost(fill: float, form: str) -> Mutation:
    """A Zarr store in which one chunk of a variable is left out and stands for the fill value."""

    def mutation(source: Source, rng: np.random.Generator) -> None:
        (part,) = source.parts
        part.form = form
        key = "fill_value" if "3" in form else "_FillValue"
        part.encoding["u10"] = {"chunks": (6, *map(len, shapes.GRIDS["europe"])), key: fill}
        where = lambda data: next(iter(sorted(p for p in data.glob("a.zarr/u10/**/*1*") if p.is_file()))).unlink()
        source.after.append(lambda data: where(data) if "2" in form else (data / "a.zarr/u10/c/1/0/0").unlink())
        source.may("refused")

    return mutation


def in_a_bucket(source: Source, rng: np.random.Generator) -> None:
    """The store is read as a bucket."""
    source.config["download"] |= {"source": "bucket", "bucket": {"url": "a.zarr"}}


def file(name: str, content: bytes | Callable[[Path], None], *words: str) -> Kind:
    """A file that is not what its name says."""

    def make(folder: Path) -> None:
        source = of()(np.random.default_rng(1))
        shapes.write(source, folder)
        (folder / "data/a.nc").rename(folder / "whole.nc")
        path = folder / "data" / name
        path.write_bytes(content) if isinstance(content, bytes) else content(path)

    return Kind(refusal=words, make=make)


def placed(config: Callable[[Path], dict]) -> Kind:
    """A file in another folder, under a name that begins with a dash; a configuration that says where it is."""
    source = of()(np.random.default_rng(1))

    def make(folder: Path) -> None:
        shapes.write(source, folder)
        (folder / "data").rename(folder / "elsewhere")
        (folder / "elsewhere/a.nc").rename(folder / "elsewhere/-a.nc")
        said = with_defaults(config(folder), source.config | {"data": str(folder)})
        (folder / "config.yaml").write_text(yaml.safe_dump(said))

    return Kind(truth=lambda folder: shapes.truth_of(source), make=make)


def zipped(path: Path) -> None:
    """A zip of a netCDF file."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.parents[1] / "whole.nc", "data.nc")


def compressed(path: Path) -> None:
    """A gzipped netCDF file under a plain name."""
    path.write_bytes(gzip.compress((path.parents[1] / "whole.nc").read_bytes()))


def nested(path: Path) -> None:
    """Everything in groups of groups."""
    xr.open_dataset(path.parents[1] / "whole.nc").to_netcdf(path, group="a/b")


def shortened(path: Path) -> None:
    """A netCDF file that ends too early: of version 3, whose head is whole."""
    whole = path.with_suffix(".whole")
    xr.open_dataset(path.parents[1] / "whole.nc").to_netcdf(whole, format="NETCDF3_CLASSIC")
    path.write_bytes(whole.read_bytes()[:-2000])
    whole.unlink()


def sums(form: str, hours: int, *words: str, seed: int = 1, **more: object) -> Kind:
    """A source of precipitation."""
    return kind(lambda rng: shapes.rain(rng, form, hours), *(words or SPAN), seed=seed, **more)


def methods(text: str) -> Callable:
    """Six-hour sums whose cell methods say so."""

    def make(rng: np.random.Generator) -> Source:
        source = shapes.rain(rng, "spans_unstated", 6)
        source.everywhere(lambda d: d.assign(tp=d["tp"].assign_attrs(cell_methods=text)))
        return source

    return make


PLACES = lambda change: lambda d: d.assign_coords({n: (n, change(d[n].values)) for n in ("latitude", "longitude")})
HEIGHTS = every(lambda d: d), mutations.a_file_a_variable
AGAIN = "twice|repeat|more than once|come again"
ROUNDED = each(PLACES(lambda x: x.astype("f4")), PLACES(lambda x: x + 1e-7), lambda d: d)
OTHER_LEVELS = each(lambda d: d, lambda d: d.rename(level="isobaricInhPa"))
IN_PASCALS = {"level": ("level", [50000.0, 85000.0], {"units": "Pa"})}
OTHER_UNITS = each(lambda d: d.isel(level=[0]), lambda d: d.assign_coords(IN_PASCALS))
GREENWICH = box(south=45.4, north=45.8, west=-0.2, east=0.4)
QUARTERS = box(south=40.25, north=41.25, west=4.25, east=5.25)
DOUBLED = each(lambda d: d, lambda d: xr.concat([d.isel(time=[0]), d], "time").drop_duplicates("time"))
FURTHER: dict[str, dict[str, Kind]] = {
    "01": {
        "text_scalar": kind(of(versions("0001", along=""))),
        "text_scalar_late": kind(of(versions("0005", along="")), *PRELIMINARY),
        "numbers_late": kind(of(versions(1, 5)), *PRELIMINARY),
        "texts_early": kind(of(versions("0001", "0001"))),
    },
    "02": {
        "quantile": kind(of(mutations.members), *CHOOSES, seed=3),
        "text_halves": kind(of(halves("0001", "0005")), *PRELIMINARY),
        "number_halves": kind(of(halves(1, 5)), *PRELIMINARY),
        "millibars": kind(of(level("level", units="millibars"), channels=LEVELLED)),
        "mb": kind(of(level("lev", units="mb"), channels=LEVELLED)),
        "pascals": kind(of(level("plev", 100 * (1 + 1e-7), units="Pa"), channels=LEVELLED)),
        "pascals_unstated": kind(of(level("plev", 100.0), either, channels=LEVELLED), "level|units"),
        "millibars_unstated": kind(of(level("isobaricInhPa"), channels=LEVELLED)),
        "ncl": kind(of(level("lv_ISBL1", units="hPa"), either, channels=LEVELLED), "lv_ISBL1"),
        "standard_name": kind(of(level("my_levels", units="hPa", standard_name="air_pressure"), channels=LEVELLED)),
        "renamed": kind(of(level("my_levels", units="mbar"), sets(rename={"my_levels": "level"}), channels=LEVELLED)),
        "renamed_to_one": kind(of(level("my_levels"), sets(rename={"z": "z500"}), refused, channels=Z500), "my_levels"),
        "hectopascals": kind(of(level("pressure", units="hectopascal"), channels=LEVELLED)),
    },
    "03": {
        "plev": kind(of(*scalar_levels("plev", 100.0, "Pa"), channels=("z500", "z850"))),
        "isobaricInhPa": kind(of(*scalar_levels("isobaricInhPa", 1.0, "hPa"), channels=("t500", "t850"))),
        "lev": kind(of(*scalar_levels("lev", 1.0, "millibar"), channels=("t500", "t850"))),
        "cmip": kind(of(renamed(t2m="tas", u10="uas"), *HEIGHTS, mutations.scalars_differ, channels=("t2m", "u10"))),
        "three_heights": kind(of(*HEIGHTS, mutations.scalars_differ, channels=("t2m", "u10", "v10"))),
        "no_level": kind(of(every(lambda d: d.isel(level=0, drop=True), "refused"), channels=("z500",)), "level"),
        "surface_geopotential": kind(
            of(every(lambda d: d.isel(level=0, drop=True).isel(time=0, drop=True), "refused"), channels=("z500",)),
            "z500|level|time",
        ),
    },
    "04": {
        "names": kind(of(mutations.a_file_a_variable, OTHER_LEVELS, channels=LEVELLED)),
        "units": kind(of(mutations.a_file_a_variable, OTHER_UNITS, channels=LEVELLED)),
    },
    "05": {
        "hourly_in_settings_3": sums("hourly_in_settings", 3),
        "hourly_in_settings_24": sums("hourly_in_settings", 24),
        "hourly_bounds": sums("hourly_bounds", 6),
        "sparse_in_settings": sums("sparse_in_settings", 6, r"\b1 h"),
        "sparse_unstated": sums("sparse_unstated", 3),
        "sparse_bounds": sums("sparse_bounds", 6, r"\b1 h"),
        "spans_in_settings": sums("spans_in_settings", 6),
        "spans_bounds": sums("spans_bounds", 6),
        "spans_named": sums("spans_named", 6),
        "spans_unstated": sums("spans_unstated", 6),
        "running_in_settings_6": sums("running_in_settings", 6),
        "running_in_settings_24": sums("running_in_settings", 24),
        "running_unstated": sums("running_unstated", 3),
        "halves_in_settings_12": sums("halves_in_settings", 12),
        "halves_bounds_24": sums("halves_bounds", 24),
        "interval": kind(methods("time: sum (interval: 6 hours)"), *SPAN),
        "comment": kind(methods("time: sum"), *SPAN),
    },
    "06": {
        "duplicate_same": kind(of(periods(2), DOUBLED)),
        "mixed": kind(of(periods(2), calendars("noleap", "standard")), "noleap", "calendar"),
        "mixed_360": kind(of(periods(2), calendars("standard", "360_day")), "360_day", "calendar"),
        "gregorian": kind(of(periods(2), calendars("gregorian", "proleptic_gregorian"))),
        "seconds_off": kind(of(mutations.seconds_off, step=6)),
        "minutes_off": kind(of(mutations.minutes_off, step=6), "20 min|00:20"),
        "half_hours": kind(of(mutations.half_hours, step=3)),
        "between": kind(of(mutations.between_steps, step=6)),
    },
    "07": {
        "three": kind(of(periods(3), ROUNDED, grid="tenths")),
        "not_by_name": kind(of(mutations.names_do_not_order), seed=2),
        "units": kind(of(periods(3), mutations.units_change)),
        "names": kind(of(periods(2), each(lambda d: d, lambda d: d.rename(t2m="2t", msl="psl", time="valid_time")))),
        "zarr": kind(of(periods(2), mutations.turn_changes, mutations.zarr)),
        "other_grid": kind(of(periods(2), mutations.grid_changes), "grid|latitude|longitude"),
    },
    "08": {
        "quarters": kind(of(QUARTERS, mutations.single_precision, grid="quarters")),
        "across": kind(of(GREENWICH, mutations.single_in_double, grid="tenths")),
        "turned": kind(of(GREENWICH, mutations.longitude_turned, mutations.single_precision, grid="tenths")),
        "bucket_lost_0": kind(of(lost(0.0, "zarr3"), in_a_bucket, channels=WIND), "u_?10|10m_u"),
        "local_lost_0": kind(of(lost(0.0, "zarr3"), channels=WIND), "u10"),
        "local_lost_nan": kind(of(lost(np.nan, "zarr3"), channels=WIND), "u10"),
        "local_lost_0_v2": kind(of(lost(0.0, "zarr2"), channels=WIND), "u10"),
    },
    "09": {
        "knots": kind(of(mutations.other_units, channels=WIND), seed=5),
        "wrong": kind(of(mutations.wrong_units), "units"),
        "lie": kind(of(mutations.units_lie), "units|K|Pa"),
        "height": kind(of(mutations.cmip_height, channels=("z500",))),
    },
    "10": {
        "globe": kind(of(mutations.meridian_twice, grid="globe"), AGAIN),
        "poles_f4": kind(of(mutations.meridian_twice, mutations.single_precision, grid="poles"), AGAIN),
    },
    "11": {
        "curved": kind(of(mutations.two_dimensional), "latitude|longitude", "two|y.*x|2-d"),
        "metres": kind(of(mutations.in_metres), r"metres|in m\b|'m'|projection"),
        "uneven": kind(of(mutations.uneven), "regular|even"),
        "none": kind(of(mutations.without_places), "latitude"),
    },
    "12": {
        "zip_called_zarr": file("a.zarr", zipped, "zip"),
        "gz_called_nc": file("a.nc", compressed, "gz"),
        "json": file("a.nc", json.dumps({"message": "no licence", "status": 403}).encode(), "JSON|text"),
        "xml": file("a.nc", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML|HTML|text"),
        "page": file("a.nc", b"\n\n<!DOCTYPE html><html><body>Please log in</body></html>", "HTML"),
        "noise": file("a.nc", bytes(np.random.default_rng(1).integers(0, 256, 4000, np.uint8)), "netCDF"),
        "hdf4": file("a.nc", b"\x0e\x03\x13\x01" + bytes(2000), "HDF4|netCDF"),
        "groups": file("a.nc", nested, "group"),
        "cut3": file("a.nc", shortened, "cut short|truncat|incomplete|damaged|ends"),
        "csv": file("a.nc", b"time,latitude,longitude,t2m\n2023-01-01,50,10,280.0\n", "text|netCDF"),
        "bzip2": file("a.nc", bz2.compress(bytes(3000)), "bzip2|netCDF"),
        "folder": file("a.nc", lambda path: path.mkdir(), "folder|Zarr"),
    },
    "15": {
        "absolute": placed(lambda folder: {"download": {"files": [f"{folder}/elsewhere/*.nc"]}}),
        "slash": placed(lambda folder: {"data": f"{folder}/elsewhere/"}),
        "relative": placed(lambda folder: {"data": "../elsewhere"}),
        "dash": placed(lambda folder: {"data": f"{folder}/elsewhere", "download": {"files": ["-a*.nc"]}}),
        "twice": placed(lambda folder: {"data": f"{folder}/elsewhere", "download": {"files": ["*.nc", "-a.nc"]}}),
        "url": placed(lambda folder: {"download": {"files": [f"file://{folder}/elsewhere/-a.nc"]}}),
    },
    "22": {
        "cut": kind(of(sea, box(south=40.0, north=50.0))),
        "whole": kind(of(sea, every(lambda d: d, "refused")), MASKED),
    },
    "24": {
        "knots": kind(of(periods(3), mutations.units_change, channels=WIND), seed=7),
        "three": kind(of(periods(3), mutations.units_change, channels=("q850",)), seed=2),
    },
}  # fmt: skip
