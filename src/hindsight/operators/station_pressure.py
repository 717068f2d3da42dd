"""Station pressure at a height, from sea-level pressure and the temperature at 850 hPa.

With a constant lapse rate L from the surface to 850 hPa, hydrostatic balance gives (Wallace and Hobbs 2006, ch. 3.2)

    T_0 = T_850 (p_0 / 850 hPa)^(R L / g),      p(h) = p_0 (1 - L h / T_0)^(g / (R L)).

The free-air temperature stands for that of the air between station and sea level; a surface temperature, with its
inversions and daily cycle, would not do. The relation is nonlinear: `linearised` gives its value and slopes.
"""

from dataclasses import dataclass
from typing import Any

Array = Any  # of NumPy or Torch
LAPSE = 0.0065  # K m-1
EXPONENT = 9.80665 / (287.053 * LAPSE)  # g / (R L)
REFERENCE = 85000.0  # Pa


@dataclass(frozen=True)
class Linearised:
    """Station pressure (Pa), and its derivatives by sea-level pressure (1) and by temperature at 850 hPa (Pa K-1)."""

    value: Array
    by_pressure: Array
    by_temperature: Array


def linearised(sea_level: Array, temperature: Array, height: Array) -> Linearised:
    """Station pressure and its slopes, at a state.

    Args:
        sea_level: sea-level pressure, Pa.
        temperature: at 850 hPa, K.
        height: of the barometer above sea level, m; broadcast against the others.
    """
    ratio = (sea_level / REFERENCE) ** (1 / EXPONENT)
    ground = temperature * ratio  # T_0
    share = 1 - LAPSE * height / ground
    value = sea_level * share**EXPONENT
    by_ground = EXPONENT * value / share * (1 - share) / ground  # dp / dT_0
    by_pressure = value / sea_level + by_ground * ground / (EXPONENT * sea_level)
    return Linearised(value, by_pressure, by_ground * ratio)
