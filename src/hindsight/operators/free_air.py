"""Temperature of the free air at a height, from sea-level pressure, temperature at 850 hPa and geopotential at 500 hPa.

A mountain station measures the air at its height, kilometres above the model's ground. With one lapse rate L from sea
level to 500 hPa, T(p) = T_850 (p / 850 hPa)^(R L / g), hydrostatic balance gives the height of 500 hPa,

    z_500 / g = (T_850 / L) [(p_0 / 850 hPa)^(R L / g) - (500 / 850)^(R L / g)],

which is solved for L, and T(h) = T_0 - L h (Wallace and Hobbs 2006, ch. 3.2). Moisture is neglected: with the surface
of the mountain itself it makes a bias of a degree or two, which a station's bias takes up.
"""

from dataclasses import dataclass

import numpy as np

GRAVITY, GAS = 9.80665, 287.053
UPPER = np.log(500 / 850)
REFERENCE = 85000.0  # Pa
FIRST_GUESS = 0.0065  # K m-1
ITERATIONS = 6  # Newton's method doubles the digits each time


@dataclass(frozen=True)
class Linearised:
    """Temperature (K), and its derivatives by z500 (K m-2 s2), t850 (1) and sea-level pressure (K Pa-1)."""

    value: np.ndarray
    by_geopotential: np.ndarray
    by_temperature: np.ndarray
    by_pressure: np.ndarray


def lapse_rate(geopotential: np.ndarray, temperature: np.ndarray, sea_level: np.ndarray) -> np.ndarray:
    """The lapse rate (K m-1) from sea level to 500 hPa.

    Args:
        geopotential: at 500 hPa, m2 s-2.
        temperature: at 850 hPa, K.
        sea_level: sea-level pressure, Pa.
    """
    ground, rate = np.log(sea_level / REFERENCE), np.full(np.shape(temperature), FIRST_GUESS)
    for _ in range(ITERATIONS):
        height, slope = _thickness(rate, temperature, ground)
        rate = rate - (height - geopotential / GRAVITY) / slope
    return rate


def linearised(
    geopotential: np.ndarray, temperature: np.ndarray, sea_level: np.ndarray, height: np.ndarray
) -> Linearised:
    """Temperature at a height and its slopes, at a state; arguments as for `lapse_rate`, `height` in m."""
    geopotential, temperature, sea_level = (np.asarray(a, float) for a in (geopotential, temperature, sea_level))
    ground = np.log(sea_level / REFERENCE)
    rate = lapse_rate(geopotential, temperature, sea_level)
    warmer = np.exp(GAS * rate / GRAVITY * ground)  # T_0 / T_850
    _, by_rate = _thickness(rate, temperature, ground)
    # implicit derivatives of the lapse rate: d(thickness) = d(z500 / g)
    rate_by_temperature = -(geopotential / GRAVITY / temperature) / by_rate
    rate_by_ground = -(temperature * GAS / GRAVITY * warmer) / by_rate
    at_rate = temperature * warmer * GAS / GRAVITY * ground - height  # dT / dL
    by_ground = temperature * warmer * GAS * rate / GRAVITY + at_rate * rate_by_ground
    return Linearised(
        temperature * warmer - rate * height,
        at_rate / GRAVITY / by_rate,
        warmer + at_rate * rate_by_temperature,
        by_ground / sea_level,
    )


def _thickness(rate: np.ndarray, temperature: np.ndarray, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height of 500 hPa (m) at a lapse rate, and its derivative by the lapse rate."""
    k = GAS / GRAVITY
    low, high = np.exp(k * rate * ground), np.exp(k * rate * UPPER)
    height = temperature / rate * (low - high)
    return height, (temperature * k * (low * ground - high * UPPER) - height) / rate
