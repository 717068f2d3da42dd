"""Temperature of the free air at a height, from sea-level pressure, temperature at 850 hPa and geopotential at 500 hPa.

A mountain station measures the air at its height, kilometres above the model's ground. With one lapse rate L from sea
level to 500 hPa, T(p) = T_850 (p / 850 hPa)^(R L / g), hydrostatic balance gives the height of 500 hPa,

    z_500 / g = (T_850 / L) [(p_0 / 850 hPa)^(R L / g) - (500 / 850)^(R L / g)],

which is solved for L, and T(h) = T_0 - L h (Wallace and Hobbs 2006, ch. 3.2). Neglected moisture and
the mountain's own surface cause a bias of a degree or two, which the correction of a station's bias removes.
"""

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

Array = Any  # of NumPy or Torch; the functions of this module accept both
GRAVITY, GAS = 9.80665, 287.053
UPPER = 500 / 850
REFERENCE = 85000.0  # Pa
FIRST_GUESS = 0.0065  # K m-1
ITERATIONS = 6  # Newton's method doubles the digits each time


@dataclass(frozen=True)
class Linearised:
    """Temperature (K), and its derivatives by z500 (K m-2 s2), t850 (1) and sea-level pressure (K Pa-1)."""

    value: Array
    by_geopotential: Array
    by_temperature: Array
    by_pressure: Array


def lapse_rate(geopotential: Array, temperature: Array, sea_level: Array) -> Array:
    """The lapse rate (K m-1) from sea level to 500 hPa.

    Args:
        geopotential: at 500 hPa, m2 s-2.
        temperature: at 850 hPa, K.
        sea_level: sea-level pressure, Pa.
    """
    pressure_ratio, rate = sea_level / REFERENCE, temperature * 0 + FIRST_GUESS
    for _ in range(ITERATIONS):
        height, slope = _thickness(rate, temperature, pressure_ratio)
        rate = rate - (height - geopotential / GRAVITY) / slope
    return rate


def linearised(geopotential: Array, temperature: Array, sea_level: Array, height: Array) -> Linearised:
    """Temperature at a height and its slopes, at a state; arguments as for `lapse_rate`, `height` in m."""
    pressure_ratio, k = sea_level / REFERENCE, GAS / GRAVITY
    rate = lapse_rate(geopotential, temperature, sea_level)
    sea_level_temperature = temperature * pressure_ratio ** (k * rate)  # T_0
    _, by_rate = _thickness(rate, temperature, pressure_ratio)
    # implicit derivatives of the lapse rate: d(thickness) = d(z500 / g)
    rate_by_temperature = -geopotential / GRAVITY / temperature / by_rate
    rate_by_ratio = -sea_level_temperature * k / pressure_ratio / by_rate
    at_rate = sea_level_temperature * k * _log(pressure_ratio) - height  # dT / dL
    by_ratio = sea_level_temperature * k * rate / pressure_ratio + at_rate * rate_by_ratio
    return Linearised(
        sea_level_temperature - rate * height,
        at_rate / GRAVITY / by_rate,
        sea_level_temperature / temperature + at_rate * rate_by_temperature,
        by_ratio / REFERENCE,
    )


def _thickness(rate: Array, temperature: Array, pressure_ratio: Array) -> tuple[Array, Array]:
    """Height of 500 hPa (m) at a lapse rate, and its derivative by the lapse rate."""
    k = GAS / GRAVITY
    low, high = pressure_ratio ** (k * rate), UPPER ** (k * rate)
    height = temperature / rate * (low - high)
    return height, (temperature * k * (low * _log(pressure_ratio) - high * log(UPPER)) - height) / rate


def _log(values: Array) -> Array:
    return values.log() if hasattr(values, "log") else np.log(values)
