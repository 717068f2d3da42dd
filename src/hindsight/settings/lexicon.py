"""The lexicon: what each channel is, wherever it comes from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """One channel: a variable, on one level where it has levels."""

    name: str
    variable: str  # WeatherBench 2's name
    standard_name: str  # CF; empty where it has none
    units: str
    level: int | None  # hPa
    lowest: float  # physical range; beyond it a value is wrong, not extreme
    highest: float
    aliases: tuple[str, ...]  # what sources call it
    long_name: str


def _channel(
    name: str,
    variable: str,
    standard_name: str,
    units: str,
    level: int | None,
    span: tuple[float, float],
    aliases: tuple[str, ...] = (),
) -> Channel:
    words = variable.replace("_", " ")
    long_name = f"{words} at {level} hPa" if level else words
    return Channel(name, variable, standard_name, units, level, *span, (name, variable, *aliases), long_name)


_LEVELS = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)


def _on_levels(
    letter: str, variable: str, standard_name: str, units: str, span: tuple[float, float], aliases: tuple[str, ...]
) -> list[Channel]:
    return [_channel(f"{letter}{level}", variable, standard_name, units, level, span, aliases) for level in _LEVELS]


CHANNELS: dict[str, Channel] = {
    channel.name: channel
    for channel in [
        *_on_levels("z", "geopotential", "geopotential", "m2 s-2", (-1e4, 3e5), ("z", "Z")),
        *_on_levels("t", "temperature", "air_temperature", "K", (150.0, 350.0), ("t", "T")),
        *_on_levels("u", "u_component_of_wind", "eastward_wind", "m s-1", (-200.0, 200.0), ("u", "U")),
        *_on_levels("v", "v_component_of_wind", "northward_wind", "m s-1", (-200.0, 200.0), ("v", "V")),
        *_on_levels("q", "specific_humidity", "specific_humidity", "kg kg-1", (-0.001, 0.1), ("q", "Q")),
        _channel(
            "msl",
            "mean_sea_level_pressure",
            "air_pressure_at_mean_sea_level",
            "Pa",
            None,
            (8.5e4, 1.11e5),
            ("mslp", "MSL"),
        ),
        _channel("t2m", "2m_temperature", "air_temperature", "K", None, (170.0, 340.0), ("2t", "air")),
        _channel("u10", "10m_u_component_of_wind", "eastward_wind", "m s-1", None, (-100.0, 100.0), ("10u",)),
        _channel("v10", "10m_v_component_of_wind", "northward_wind", "m s-1", None, (-100.0, 100.0), ("10v",)),
        _channel(
            "tcwv", "total_column_water_vapour", "atmosphere_mass_content_of_water_vapor", "kg m-2", None, (-1.0, 120.0)
        ),
        _channel("x", "variable_on_a_ring", "", "1", None, (-100.0, 100.0)),  # of Lorenz (1996)
        _channel("vorticity", "vorticity", "", "1", None, (-1000.0, 1000.0)),  # of a square of side 2 pi
    ]
}

_SAME = {  # spellings of the same unit
    "m**2 s**-2": "m2 s-2",
    "m^2/s^2": "m2 s-2",
    "m2/s2": "m2 s-2",
    "m**2/s**2": "m2 s-2",
    "m2 s**-2": "m2 s-2",
    "kelvin": "K",
    "degK": "K",
    "pascal": "Pa",
    "pascals": "Pa",
    "m s**-1": "m s-1",
    "m/s": "m s-1",
    "kg kg**-1": "kg kg-1",
    "kg/kg": "kg kg-1",
    "kg m**-2": "kg m-2",
}
_CONVERSIONS = {  # (from, to): factor, offset
    ("gpm", "m2 s-2"): (9.80665, 0.0),
    ("m", "m2 s-2"): (9.80665, 0.0),
    ("degC", "K"): (1.0, 273.15),
    ("Celsius", "K"): (1.0, 273.15),
    ("hPa", "Pa"): (100.0, 0.0),
    ("mb", "Pa"): (100.0, 0.0),
    ("g kg-1", "kg kg-1"): (1e-3, 0.0),
}


def conversion(given: str, wanted: str) -> tuple[float, float] | None:
    """The factor and offset that turn `given` units into `wanted` ones, or None where there is no way."""
    given = _SAME.get(given.strip(), given.strip())
    return (1.0, 0.0) if given == wanted else _CONVERSIONS.get((given, wanted))
