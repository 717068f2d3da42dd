"""The lexicon: name, units, level and physical range of every channel, and its names in sources."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from hindsight.settings.units import conversion as conversion

LEVELS = (1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 125, 150, 175, 200, 225, 250, 300, 350, 400, 450, 500, 550, 600, 650)
LEVELS += (700, 750, 775, 800, 825, 850, 875, 900, 925, 950, 975, 1000)  # ERA5's (hPa)


@dataclass(frozen=True)
class Channel:
    """One channel: a variable, on one level where it has levels.

    `hours` is the period before the frame over which an accumulated channel is summed. `height` is the height above
    the ground of channels that are defined at a fixed height. A derived channel has `inputs`, the channels
    that it is computed from, and a `formula` (`preprocess.derive.FORMULAS`).
    """

    name: str
    variable: str  # name in WeatherBench 2
    standard_name: str  # CF; empty without one
    units: str
    level: int | None  # hPa
    lowest: float  # physical range, in units; values beyond it are errors
    highest: float
    long_name: str
    parameter: int | None = None  # of ECMWF, in GRIB
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)  # names of the variable, by source
    hours: int | None = None
    inputs: tuple[str, ...] = ()
    formula: str = ""
    height: float | None = None  # m

    def names(self, source: str) -> tuple[str, ...]:
        """The names that the variable may have in a source, the likeliest first."""
        return tuple(dict.fromkeys(self.aliases.get(source, ()) + self.aliases.get("local", ())))


def _channel(
    name: str,
    variable: str,
    standard_name: str,
    units: str,
    level: int | None,
    span: tuple[float, float],
    short: tuple[str, ...] = (),
    parameter: int | None = None,
    hours: int | None = None,
    height: float | None = None,
) -> Channel:
    """A channel that sources provide; `short` are its names at ECMWF and in netCDF files."""
    words = variable.replace("_", " ")
    long_name = f"{words} at {level} hPa" if level else words
    bucket = ("total_precipitation",) if hours else (variable,)
    aliases = {"bucket": bucket, "grib": (*short, name), "local": (name, variable, *bucket, *short)}
    found = Channel(name, variable, standard_name, units, level, *span, long_name, parameter, aliases, hours)
    return replace(found, height=height)


ON_LEVELS = {  # names of variables on levels in NCEP GRIB, the NCEP reanalysis, CMIP and MERRA-2
    "z": ("gh", "hgt", "zg", "H"),
    "t": ("air", "ta"),
    "u": ("uwnd", "ua"),
    "v": ("vwnd", "va"),
    "q": ("shum", "hus", "QV"),
    "w": ("omega", "wap", "OMEGA"),
    "r": ("rhum", "hur", "RH"),
}


def _on_levels(
    letter: str, variable: str, standard_name: str, units: str, span: tuple[float, float], parameter: int
) -> list[Channel]:
    short = (letter, letter.upper(), *ON_LEVELS[letter])
    return [
        _channel(f"{letter}{level}", variable, standard_name, units, level, span, short, parameter) for level in LEVELS
    ]


def _wind_speed(level: int | None) -> Channel:
    on = str(level or 10)
    variable, at = ("wind_speed", f" at {level} hPa") if level else ("10m_wind_speed", "")
    derived = {"inputs": (f"u{on}", f"v{on}"), "formula": "speed", "height": None if level else 10.0}
    long_name = variable.replace("_", " ") + at
    return Channel(f"ws{on}", variable, "wind_speed", "m s-1", level, 0.0, 300.0, long_name, **derived)


def _thickness(upper: int, lower: int) -> Channel:
    derived = {"inputs": (f"z{upper}", f"z{lower}"), "formula": "thickness"}
    name, variable = f"dz{upper}_{lower}", f"thickness_{upper}_{lower}"
    standard_name = "atmosphere_layer_thickness_expressed_as_geopotential_height_difference"
    long_name = f"thickness of the layer from {lower} to {upper} hPa"
    return Channel(name, variable, standard_name, "m", None, -100.0, 2e4, long_name, **derived)


def _precipitation(hours: int) -> Channel:
    variable, standard_name = f"total_precipitation_{hours}hr", "lwe_thickness_of_precipitation_amount"
    return _channel(f"tp{hours}", variable, standard_name, "m", None, (-1e-4, 3.0), ("tp", "pr"), 228, hours)


CHANNELS: dict[str, Channel] = {
    channel.name: channel
    for channel in [
        *_on_levels("z", "geopotential", "geopotential", "m2 s-2", (-1e4, 6e5), 129),
        *_on_levels("t", "temperature", "air_temperature", "K", (150.0, 350.0), 130),
        *_on_levels("u", "u_component_of_wind", "eastward_wind", "m s-1", (-250.0, 250.0), 131),
        *_on_levels("v", "v_component_of_wind", "northward_wind", "m s-1", (-250.0, 250.0), 132),
        *_on_levels("q", "specific_humidity", "specific_humidity", "kg kg-1", (-0.001, 0.1), 133),
        *_on_levels("w", "vertical_velocity", "lagrangian_tendency_of_air_pressure", "Pa s-1", (-100.0, 100.0), 135),
        *_on_levels("r", "relative_humidity", "relative_humidity", "%", (-50.0, 250.0), 157),
        _channel(
            "msl",
            "mean_sea_level_pressure",
            "air_pressure_at_mean_sea_level",
            "Pa",
            None,
            (8.5e4, 1.11e5),
            ("mslp", "MSL", "prmsl", "slp", "psl", "SLP"),
            151,
        ),
        _channel(
            "t2m",
            "2m_temperature",
            "air_temperature",
            "K",
            None,
            (170.0, 340.0),
            ("2t", "tas", "T2M"),
            167,
            height=2.0,
        ),
        Channel(
            "t_free", "free_air_temperature", "", "K", None, 170.0, 340.0, "free-air temperature at a station's height"
        ),
        _channel(
            "d2m",
            "2m_dewpoint_temperature",
            "dew_point_temperature",
            "K",
            None,
            (150.0, 320.0),
            ("2d", "tdps"),
            168,
            height=2.0,
        ),
        _channel(
            "u10",
            "10m_u_component_of_wind",
            "eastward_wind",
            "m s-1",
            None,
            (-100.0, 100.0),
            ("10u", "uas", "U10M"),
            165,
            height=10.0,
        ),
        _channel(
            "v10",
            "10m_v_component_of_wind",
            "northward_wind",
            "m s-1",
            None,
            (-100.0, 100.0),
            ("10v", "vas", "V10M"),
            166,
            height=10.0,
        ),
        _channel("sp", "surface_pressure", "surface_air_pressure", "Pa", None, (4e4, 1.11e5), ("ps", "PS"), 134),
        _channel(
            "tcwv",
            "total_column_water_vapour",
            "atmosphere_mass_content_of_water_vapor",
            "kg m-2",
            None,
            (-1.0, 120.0),
            ("prw", "pr_wtr", "TQV"),
            137,
        ),
        *(_precipitation(hours) for hours in (1, 3, 6, 12, 24)),
        *(_wind_speed(level) for level in (None, *LEVELS)),
        *(_thickness(*pair) for pair in ((500, 1000), (500, 850), (850, 1000), (300, 500), (300, 850))),
        _channel("rain", "rain_rate", "rainfall_rate", "mm h-1", None, (0.0, 1000.0), ("rainrate", "RATE")),
        _channel("x", "variable_on_a_ring", "", "1", None, (-100.0, 100.0)),  # of Lorenz (1996)
        _channel("vorticity", "vorticity", "", "1", None, (-1000.0, 1000.0)),  # of a square of side 2 pi
        _channel("velocity", "velocity", "", "1", None, (-100.0, 100.0)),  # of Kuramoto and Sivashinsky
    ]
}


# channels that a station observes and that follow from these of a state
COMPUTED = {"sp": ("msl", "t850"), "t_free": ("z500", "t850", "msl")}


def on_levels(variable: str, channels: Collection[str]) -> dict[int, str]:
    """Those of the given channels that are a variable, such as `t`, on a level (hPa); from the top down."""
    named = {f"{variable}{level}": level for level in LEVELS} if variable in ON_LEVELS else {}
    return {level: name for name, level in named.items() if name in channels}


def winds(channels: list[str]) -> list[tuple[int, int]]:
    """The pairs of channels, by their places in a list, that are the components u and v of the wind at one height."""
    known = [(n, CHANNELS[name]) for n, name in enumerate(channels) if name in CHANNELS]
    found = {(c.standard_name, c.level, c.height): n for n, c in known if not c.inputs}
    pairs = [(n, found.get(("northward_wind", *at))) for (name, *at), n in found.items() if name == "eastward_wind"]
    return [(u, v) for u, v in pairs if v is not None]


def choose_sum(hours: float) -> str:
    """Advice to choose the channel of precipitation that is summed over so many hours, if there is one."""
    return f"choose tp{hours:g}, or " if f"tp{hours:g}" in CHANNELS else ""


def inputs(observed: str, channels: Collection[str]) -> tuple[str, ...]:
    """The channels of a state that an observed channel is computed from; none if the state lacks one of them.

    Args:
        observed: a channel, or a variable such as `t` that is observed between levels: it depends on all of the
            variable's channels in the state.
        channels: of the state.
    """
    if observed in channels:
        return (observed,)
    if observed in ON_LEVELS:
        return tuple(on_levels(observed, channels).values())
    needed = COMPUTED.get(observed) or (CHANNELS[observed].inputs if observed in CHANNELS else ())
    return needed if set(needed) <= set(channels) else ()


def physical_range(observed: str) -> tuple[float, float]:
    """Least and largest physical value of a channel, or of a variable on any level; NaN if it is not in the lexicon."""
    names = on_levels(observed, CHANNELS).values() if observed in ON_LEVELS else [observed]
    known = [CHANNELS[name] for name in names if name in CHANNELS]
    if not known:
        return float("nan"), float("nan")
    return min(channel.lowest for channel in known), max(channel.highest for channel in known)


def source_channels(channels: list[str]) -> list[Channel]:
    """The channels that a source must provide so that the given ones can be computed; each once, in order."""
    parts = (part for name in channels for part in (CHANNELS[name].inputs or (name,)))
    return [CHANNELS[name] for name in dict.fromkeys(parts)]


def nearest(name: str, choices: list[str]) -> str:
    """A hint for an unknown name: the most similar known names, as a phrase."""
    close = get_close_matches(name, choices, 5, 0.5)
    return f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(choices[:40])}"
