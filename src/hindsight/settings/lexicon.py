"""The lexicon: what each channel is, wherever it comes from."""

from dataclasses import dataclass, field
from difflib import get_close_matches

from hindsight.settings.units import conversion as conversion

LEVELS = (1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 125, 150, 175, 200, 225, 250, 300, 350, 400, 450, 500, 550, 600, 650)
LEVELS += (700, 750, 775, 800, 825, 850, 875, 900, 925, 950, 975, 1000)  # ERA5's (hPa)


@dataclass(frozen=True)
class Channel:
    """One channel: a variable, on one level where it has levels.

    `hours` is the time before the frame over which the channel is summed, where it is an accumulation; `of` names the
    channels that it is made from, and `formula` how, where it is derived.
    """

    name: str
    variable: str  # WeatherBench 2's name
    standard_name: str  # CF; empty where it has none
    units: str
    level: int | None  # hPa
    lowest: float  # physical range; beyond it a value is wrong, not extreme
    highest: float
    long_name: str
    parameter: int | None = None  # ECMWF's, in GRIB
    called: dict[str, tuple[str, ...]] = field(default_factory=dict)  # what a source calls it, by source
    hours: int | None = None
    of: tuple[str, ...] = ()
    formula: str = ""

    def names(self, source: str) -> tuple[str, ...]:
        """What a source may call the variable, the likeliest first."""
        return tuple(dict.fromkeys(self.called.get(source, ()) + self.called.get("local", ())))


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
) -> Channel:
    """A channel that sources have; `short` are ECMWF's names and those of netCDF files."""
    words = variable.replace("_", " ")
    long_name = f"{words} at {level} hPa" if level else words
    bucket = ("total_precipitation",) if hours else (variable,)
    called = {"bucket": bucket, "grib": (*short, name), "local": (name, variable, *bucket, *short)}
    return Channel(name, variable, standard_name, units, level, *span, long_name, parameter, called, hours)


ON_LEVELS = {  # what others call a variable on levels: NCEP (GRIB), NCEP's reanalysis, CMIP, MERRA-2
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
    made = {"of": (f"u{on}", f"v{on}"), "formula": "speed"}
    long_name = variable.replace("_", " ") + at
    return Channel(f"ws{on}", variable, "wind_speed", "m s-1", level, 0.0, 300.0, long_name, **made)


def _thickness(upper: int, lower: int) -> Channel:
    made = {"of": (f"z{upper}", f"z{lower}"), "formula": "thickness"}
    name, variable = f"dz{upper}_{lower}", f"thickness_{upper}_{lower}"
    standard_name = "atmosphere_layer_thickness_expressed_as_geopotential_height_difference"
    long_name = f"thickness of the layer from {lower} to {upper} hPa"
    return Channel(name, variable, standard_name, "m", None, -100.0, 2e4, long_name, **made)


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
        _channel("t2m", "2m_temperature", "air_temperature", "K", None, (170.0, 340.0), ("2t", "tas", "T2M"), 167),
        _channel(
            "d2m", "2m_dewpoint_temperature", "dew_point_temperature", "K", None, (150.0, 320.0), ("2d", "tdps"), 168
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
        _channel("x", "variable_on_a_ring", "", "1", None, (-100.0, 100.0)),  # of Lorenz (1996)
        _channel("vorticity", "vorticity", "", "1", None, (-1000.0, 1000.0)),  # of a square of side 2 pi
    ]
}


def source_channels(channels: list[str]) -> list[Channel]:
    """The channels a source must have so that these can be made, each once, in order."""
    parts = (part for name in channels for part in (CHANNELS[name].of or (name,)))
    return [CHANNELS[name] for name in dict.fromkeys(parts)]


def nearest(name: str, known: list[str]) -> str:
    """The names that come nearest to one that is unknown, in words."""
    close = get_close_matches(name, known, 5, 0.5)
    return f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(known[:40])}"
