"""The right answer for every kind of `shared/cases`, from the formulas in its scripts and its README.

The calculations of a script are repeated here, with its generator if it draws random numbers, so that the right answer
does not depend on hindsight.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from chain import FIELDS, STATIC, Truth, of


@dataclass(frozen=True)
class Kind:
    """One input, and its right answer.

    Attributes:
        arguments: arguments of the script after the folder.
        truth: the right values; None if only a refusal is right.
        refusal: patterns (regular expressions, case ignored) that a refusal must match; None if a refusal is wrong.
        at_once: whether right values without a refusal are right, too.
        setting: the setting that the refusal asks for; with it the truth must come.
        still: patterns of a second refusal, with the setting, that is right because the source may lack the data.
        target: the file to make.
        environment: environment variables; {folder} stands for the folder of the case.
        served: whether a web server serves the files; its port is the script's last argument.
        make: writes the input and its configuration into a folder, if no script does.
        given: settings of the first run.
    """

    arguments: tuple[str, ...] = ()
    truth: Callable[[Path], Truth] | None = None
    refusal: tuple[str, ...] | None = None
    at_once: bool = True
    setting: dict | None = None
    still: tuple[str, ...] | None = None
    target: str = FIELDS
    environment: tuple[tuple[str, str], ...] = ()
    served: bool = False
    make: Callable[[Path], None] | None = None
    given: dict = field(default_factory=dict)


EUROPE = np.arange(60, 39.9, -2.5), np.arange(-10, 15.1, 2.5)
COARSE = np.arange(60, 39.9, -5), np.arange(-10, 15.1, 5)
WINTER = pd.date_range("2023-01-01", "2023-03-01", freq="D")
JANUARY = pd.date_range("2023-01-01", "2023-01-31", freq="D")
TURN = pd.date_range("2022-12-01", "2023-01-31", freq="D")
HALF = 0.0051  # of a step of 0.01, as values are packed


def download(**settings: object) -> dict:
    """Settings of `download`."""
    return {"download": settings}


def uniform(channel: str, value: object, times: object = JANUARY, grid: tuple = EUROPE, atol: float = 0.0) -> Callable:
    """A truth of one channel that is a number, or an array that can be broadcast to (time, latitude, longitude)."""
    return lambda folder: Truth(of({channel: value}, times, *grid), {channel: atol})


def walks(**offsets: float) -> Callable:
    """Random walks along the longitudes of Europe about some values, drawn in this order; a channel each."""

    def truth(folder: Path) -> Truth:
        generator, shape = np.random.default_rng(0), (len(WINTER), *map(len, EUROPE))
        fields = {n: (o + np.cumsum(generator.standard_normal(shape), 2)).astype("f4") for n, o in offsets.items()}
        return Truth(of(fields, WINTER, *EUROPE))

    return truth


def without(truth: Callable, *channels: str) -> Callable:
    """A truth without some channels, which the script draws but the configuration does not request."""

    def fewer(folder: Path) -> Truth:
        whole = truth(folder)
        return Truth(whole.fields.drop_sel(channel=list(channels)), whole.atol)

    return fewer


def above(truth: Callable, more: float) -> Callable:
    """A truth plus a constant."""
    return lambda folder: Truth((truth(folder).fields + more).astype("f4").astype(float))


def new_store(folder: Path) -> Truth:
    """01: the values that the script itself keeps beside the data."""
    made, times = np.load(folder / "truth.npz"), pd.date_range("2023-01-01", periods=240, freq="6h")
    channels = {
        "z500": made["z"][:, 2],
        "t850": made["t"][:, 1],
        **{name: made[name] for name in ("msl", "t2m", "u10")},
    }
    return Truth(of(channels, times, made["lat"], made["lon"]))


def rain(hours: int) -> Callable:
    """05: a millimetre an hour."""
    return uniform(f"tp{hours}", 0.001 * hours, pd.date_range("2023-01-02", "2023-01-31T23:00", freq=f"{hours}h"))


def clock(step: int = 24, count: int = 60, first: str = "2023-01-01", order: int = 1) -> Callable:
    """06: a hundredth of a kelvin more with every frame of the file."""
    rise = 280 + 0.01 * np.arange(count)[::order]
    return uniform("t2m", rise[:, None, None], pd.date_range(first, periods=count, freq=f"{step}h"))


def slope(*channels: str, spacing: float = 0.1, globe: bool = False) -> Callable:
    """07: t2m rises with time, latitude and longitude; d2m is five kelvins below."""
    latitude, longitude = np.round(np.arange(51, 49.99, -spacing), 4), np.round(np.arange(4, 5.01, spacing), 4)
    if globe:
        latitude, longitude = np.arange(60, -61, -10.0), np.arange(0, 360, 15.0)
    rise = 280 + 0.1 * np.arange(len(TURN))[:, None, None]
    base = rise + 0.01 * latitude[:, None] + 0.001 * longitude
    offsets = {"t2m": 0, "d2m": -5}
    return lambda folder: Truth(of({name: base + offsets[name] for name in channels}, TURN, latitude, longitude))


def edged(south: float, north: float, west: float, east: float) -> Callable:
    """08: points of tenths of a degree, both ends included; t2m is 280 and the latitude."""
    tenths = lambda a, b: np.arange(round(10 * a), round(10 * b) + 1) / 10
    latitude = tenths(south, north)
    return uniform("t2m", 280 + latitude[:, None], JANUARY, (latitude, tenths(west, east)))


def round_the_globe(spacing: float = 10.0, method: str = "conservative") -> Callable:
    """10: every meridian once; a wave of one, on the source's grid or on another.

    A coarser grid of which every second point is one of the source's: bilinear gives the mean of the rows on either
    side there; conservative the mean over the area, cells cut in halves along the longitude.
    """
    latitude, longitude = np.arange(-85, 86, 10.0), np.arange(0, 360, 10.0)
    wave = 10 * np.cos(np.deg2rad(longitude)) * np.cos(np.deg2rad(latitude))[:, None]
    if spacing == 20:
        pairs, areas = wave.reshape(9, 2, 36), np.diff(np.sin(np.deg2rad(np.arange(-90, 91, 10.0)))).reshape(9, 2, 1)
        rows = pairs.mean(1) if method == "bilinear" else (pairs * areas).sum(1) / areas.sum(1)
        halves = (np.roll(rows, 1, 1) + 2 * rows + np.roll(rows, -1, 1)) / 4
        wave = (rows if method == "bilinear" else halves)[:, ::2]
        latitude, longitude = np.arange(-80, 81, 20.0), longitude[::2]
    rise = 0.1 * np.arange(len(JANUARY))[:, None, None]
    return uniform("t2m", 280 + rise + wave, JANUARY, (latitude, longitude))


def everywhere(*grid: np.ndarray) -> Callable:
    """11: the same at all points, a tenth of a kelvin more a day."""
    return uniform("t2m", 280 + 0.1 * np.arange(len(JANUARY))[:, None, None], JANUARY, grid)


def packed(folder: Path) -> Truth:
    """12: 280, and one point of 281.5, packed in steps of a hundredth."""
    values = np.full((1, *map(len, EUROPE)), 280.0)
    values[:, 0, 0] = 281.5
    return uniform("t2m", values, atol=HALF)(folder)


def messages(times: object, longitudes: np.ndarray) -> Callable:
    """12 and 20: GRIB messages of 99 values that rise by a tenth, in 16 bits."""
    values = (280 + 0.1 * np.arange(99)).reshape(1, 9, 11)
    return uniform("t2m", values, times, (EUROPE[0], longitudes), atol=1e-3)


def rows(folder: Path) -> Truth:
    """17: a row of packed numbers, the same in all frames."""
    times = pd.date_range("2016-01-01", periods=FRAMES, freq="3h")
    row = (np.arange(241 * 401) % 2000 - 1000).reshape(1, 241, 401) * 0.00189 + 275.0
    fields = of({"t2m": row}, times[:1], np.linspace(75, 15, 241), np.linspace(-50, 50, 401))
    return Truth(fields.isel(time=np.zeros(FRAMES, int)).assign_coords(time=times), {"t2m": 1e-4})


FRAMES = 1460  # of 17: half a gigabyte of single precision


def still(name: str, value: object) -> Callable:
    """18: a static field on the grid of Europe; land where the longitude is east of Greenwich."""
    latitude, longitude = np.sort(EUROPE[0]), EUROPE[1]
    values = np.broadcast_to((longitude > 0).astype(float) if value is None else value, (9, 11))
    coords = {"channel": [name], "latitude": latitude, "longitude": longitude}
    return lambda folder: Truth(xr.DataArray(values[None], coords, ("channel", "latitude", "longitude")))


def left_out(folder: Path) -> Truth:
    """20: a hundredth of a kelvin more a day, through the gaps."""
    times = pd.date_range("2023-01-01", "2023-03-31", freq="D")
    rise = (280 + 0.01 * np.arange(len(times))[:, None, None]).astype("f4")
    return uniform("t2m", rise, times, (EUROPE[0], np.arange(0, 25.1, 2.5)))(folder)


def months(channel: str, value: float) -> Callable:
    """24: the same value in both months, whatever its units are."""
    return uniform(channel, value, pd.date_range("2023-01-01", "2023-02-28"))


SPAN = (r"download\.accumulated",)
CHOOSES = (r"download\.select",)
CALENDAR = {name: (name, "calendar") for name in ("360_day", "julian")}
PRELIMINARY = (r"preliminar", r"download\.preliminary")
PATHS = ("brackets", "space", "unicode", "quote", "braces", "percent", "dollar", "deep", "deep1", "colon", "names")
PATHS += ("link", "exact", "readonly")
STEPS = {"thirds": (3, 480), "hours32": (1, 1440), "noisy": (1, 1440), "grads": (1, 1440)}
RATE = r"kg m(\*\*)?-2 s(\*\*)?-1"
MASKED = r"same \S*\s*points|every frame|all frames|in each frame"
POSITIONS = r"latitude|longitude|degrees"


def _of_dimensions() -> dict[str, Kind]:
    """02: levels, halves of ERA5T, and dimensions that a setting chooses from."""
    base = walks(t2m=280)
    named = {
        name: Kind((name,), above(base, 3), (name, *CHOOSES), setting=download(select={name: 3}))
        for name in ("number", "realization", "member")
    }
    levels = ("lev", "isobaric", "pressure", "isobaric1", "pressure_level", "plev", "level")
    return {
        "expver": Kind(("expver",), base, PRELIMINARY, at_once=False, setting=download(preliminary=True)),
        **named,
        "step": Kind(("step",), base, ("step", *CHOOSES), setting=download(select={"step": 0})),
        **{name: Kind((name,), walks(t850=280)) for name in levels},
        "levelsize1": Kind(("levelsize1",), base),
    }


def _of_times() -> dict[str, Kind]:
    """06: what is a time, and what is not."""
    refused = {
        "string": ("time",),
        "yyyymmdd": ("day as",),
        "noattrs": ("units",),
        "months": ("months since",),
        "nan": (r"NaT|missing|no value|not a time|2023-01-08",),
    }
    exact = {"string": clock(), "yyyymmdd": clock()}
    noon = {name: clock(first="2023-01-01T12:00") for name in ("noleap", "365_day")}
    return {
        **{name: Kind((name,), truth, (rf"{name}|noleap|365_day", "calendar")) for name, truth in noon.items()},
        **{name: Kind((name,), None, words) for name, words in CALENDAR.items()},
        "proleptic_gregorian": Kind(("proleptic_gregorian",), clock(first="2023-01-01T12:00")),
        "float32days": Kind(("float32days",), clock(first="2023-01-01T12:00")),
        **{name: Kind((name,), clock(*steps)) for name, steps in STEPS.items()},
        "halfhour": Kind(("halfhour",), clock(1, 1440, "2023-01-01T00:30")),
        "half3": Kind(("half3",), clock(3, 480, "2023-01-01T01:30")),
        "duplicate": Kind(("duplicate",), None, ("2023-02-01", r"twice|repeat|both|again|two")),
        "seconds": Kind(("seconds",), clock()),
        "reversed": Kind(("reversed",), clock(order=-1)),
        **{name: Kind((name,), exact.get(name), words) for name, words in refused.items()},
    }


def _not_as_named() -> dict[str, Kind]:
    """12: the cause named."""
    plain = uniform("t2m", 280.0)
    causes = {
        "zip": "zip", "zipnc": "zip", "gribnc": "GRIB", "html": "HTML", "groups": "group",
        "empty": r"empty|no bytes|0 bytes", "cut": r"cut short|truncat|incomplete|damaged|ends before|cut off",
        "ncgrib": "netCDF",
    }  # fmt: skip
    return {
        **{name: Kind((name,), None, (word,)) for name, word in causes.items()},
        **{name: Kind((name,), plain, (r"gzip|\.gz",)) for name in ("gz", "gz3")},
        "zarrzip": Kind(("zarrzip",), plain, ("zip",)),
        "grib": Kind(("grib",), messages(JANUARY, EUROPE[1]), ("GRIB",)),
        "nc3big": Kind(("nc3big",), packed),
    }


def _on_grids() -> dict[str, Kind]:
    """11: points that no latitudes and longitudes order."""
    gauss = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(64)[0])), np.arange(128) * 360 / 128
    regular = np.arange(-87.1875, 90, 5.625), np.arange(0, 360, 5.625)
    square = 45 + np.arange(12) * 0.5, 5 + np.arange(15) * 0.5
    return {
        "cerra": Kind(("cerra",), None, (POSITIONS, r"two|2-d|\(y, x\)|y.*x")),
        "cordex": Kind(("cordex",), None, (POSITIONS, r"rlat|rotated|two")),
        "metres": Kind(("metres",), None, (r"metres|in m\b|'m'|project|two|2-d|y, x",)),
        "onlyxy": Kind(("onlyxy",), None, (r"metres|in m\b|'m'|project",)),
        "gauss": Kind(("gauss",), everywhere(*gauss), (r"regular|even|Gaussian",)),
        "gauss_5.625": Kind(("gauss", "5.625"), everywhere(*regular), (r"regular|even|Gaussian",)),
        "points": Kind(("points",), None, (POSITIONS, r"values|points")),
        "swapped": Kind(("swapped",), everywhere(*square)),
        "nocoords": Kind(("nocoords",), None, (POSITIONS,)),
    }


def _globes() -> dict[str, Kind]:
    """10: the meridian given twice, on the source's grid and on others."""
    twice = (r"twice|repeat|more than once|come again", r"longitude|meridian")
    grids = (("own",), ("10",), ("20",), ("20", "bilinear"))
    return {
        "_".join((start, *grid)): Kind(
            (start, *grid), round_the_globe(*((float(grid[0]), *grid[1:]) if grid != ("own",) else ())), twice
        )
        for start in ("360", "-180")
        for grid in grids
    }


HEIGHTS = walks(t2m=280, u10=0, v10=0)
LEVELS = walks(z500=54000, z850=14000)
BOXES = ((45.3, 49.7, 5.3, 9.7), (45.7, 48.1, 6.1, 8.3), (46.6, 49.4, 5.9, 9.1))
CASES: dict[str, dict[str, Kind]] = {
    "01": {
        "0001": Kind(("0001",), new_store),
        "0005": Kind(
            ("0005",), new_store, ("2023-02-20", *PRELIMINARY), at_once=False, setting=download(preliminary=True)
        ),
    },
    "02": _of_dimensions(),
    "03": {
        **{name: Kind((name,), HEIGHTS) for name in ("heightAboveGround", "height")},
        "surface": Kind(("surface",), walks(t2m=280, msl=101000)),
        **{name: Kind((name,), LEVELS) for name in ("levels", "levels1")},
        "lonely": Kind(("lonely",), None, (r"\bz\b", r"\b500\b", r"\b850\b")),
        "lonely_t2m": Kind(("lonely_t2m",), None, (r"\bt\b", r"\b500\b", r"\b850\b")),
        "lonely2": Kind(("lonely2",), None, (r"\bt\b", "level")),
    },
    "04": {
        "one": Kind(("one",), walks(z500=54000, t850=275)),
        **{name: Kind((name,), without(walks(z1000=1000, z500=54000, t850=275), "z1000")) for name in ("more", "zarr")},
    },
    "05": {
        "era5_6h": Kind(("era5_6h",), rain(6), SPAN, setting=download(accumulated={"tp": 1}), still=("tp", r"\b1 h")),
        "land": Kind(("land",), rain(6), SPAN, setting=download(accumulated={"tp": "since_midnight"})),
        "land24": Kind(("land24",), rain(24), SPAN, setting=download(accumulated={"tp": "since_midnight"})),
        "hourly": Kind(("hourly",), rain(6), SPAN, setting=download(accumulated={"tp": 1})),
        "rate": Kind(
            ("rate",), rain(6), ("tp", rf"{RATE}|download\.accumulated"), setting=download(accumulated={"tp": 6}),
            still=("tp", RATE),
        ),
        "three": Kind(("three",), rain(6), SPAN, setting=download(accumulated={"tp": 1}), still=("tp", r"\b1 h")),
    },
    "06": _of_times(),
    "07": {
        **{name: Kind((name,), slope("t2m", "d2m")) for name in ("f4f8", "ascending2")},
        "years": Kind(("years",), slope("t2m", spacing=0.25)),
        "lon360": Kind(("lon360",), slope("t2m", globe=True)),
        **{name: Kind((name,), slope("t2m")) for name in ("years1", "tiny", "ascending", "names", "extra")},
    },
    "08": {
        f"{name}_{box[0]:g}" if box[0] > BOXES[0][0] else name: Kind((name, ",".join(map(str, box))), edged(*box))
        for name in ("f4", "f8", "noise", "bucket", "bucketnoise", "grib")
        for box in BOXES
    },
    "09": {"file": Kind((), lambda folder: Truth(of({"t2m": 280.15, "msl": 101300.0}, JANUARY, *EUROPE)))},
    "10": _globes(),
    "11": _on_grids(),
    "12": _not_as_named(),
    "15": {
        **{name: Kind((name,), uniform("t2m", 280.0, grid=COARSE)) for name in PATHS},
        "tilde": Kind(("tilde",), uniform("t2m", 280.0, grid=COARSE), ("home|tilde|expand",)),
        "variable": Kind(
            ("variable",), uniform("t2m", 280.0, grid=COARSE), ("variable|expand",),
            environment=(("BUGS_DATA", "{folder}"),),
        ),
    },
    "16": {
        **{n: Kind((n,), uniform("t2m", 280.0, TURN, COARSE), served=True) for n in ("same", "query", "space")},
        "dap": Kind(("dap",), None, (r"dodsC/era5\.nc", r"404|not there|no file|missing"), served=True),
        "catalog": Kind(("catalog",), None, (r"2022/", r"file|folder|name"), served=True),
    },
    "17": {
        name: Kind((str(FRAMES), name), rows, setting=download(memory_mb=200))
        for name in ("NETCDF3_64BIT_OFFSET", "NETCDF4")
    },
    "18": {
        **{
            name: Kind((name,), still("orography", 1000.0), target=STATIC)
            for name in ("etopo", "gebco", "geopotential", "orog_gp", "topo")
        },
        **{
            name: Kind((name,), still("land", None), target=STATIC)
            for name in ("percent", "sftlf", "masked", "lsm_time")
        },
    },
    "20": {
        **{name: Kind((name,), left_out) for name in ("bucket", "local_all", "local_gaps")},
        "grib_gaps": Kind(
            ("grib_gaps",), messages(pd.date_range("2023-01-01", "2023-03-31"), np.arange(0, 25.1, 2.5))
        ),
    },
    "22": {
        name: Kind((name,), None, (MASKED,))
        for name in ("mask", "mask_one", "cut")
    },
    "24": {
        "z": Kind(
            ("z",), months("z500", 54000.0), (r"level|gpm.*m\*\*2|m\*\*2.*gpm",),
            setting=download(rename={"z": "z500"}),
        ),
        "tp": Kind(("tp",), months("tp24", 0.001), SPAN, setting=download(accumulated={"tp": 24})),
        "t2m": Kind(("t2m",), months("t2m", 280.0)),
        "msl": Kind(("msl",), months("msl", 1e5)),
    },
    "32": {"printed": Kind()},
}  # fmt: skip
