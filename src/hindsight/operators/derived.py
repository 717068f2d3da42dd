"""Observed channels that the state lacks, computed from channels of the state.

Linear ones are a variable between two levels (`levels`) and the thickness of a layer. Station pressure, from sea-level
pressure and the temperature at 850 hPa (`station_pressure`), the temperature of the free air at a mountain's height
(`free_air`) and wind speed are nonlinear. Each is linearised at given values of the channels that it is computed from,
with given standard deviations.

Wind speed has no slope where both components are zero. If they are uncertain by a standard deviation s each, about u
and v, its mean f, its slopes and the variance that these do not explain are taken as

    f = (u^2 + v^2 + s^2)^(1/2),      df/du = u / f,      df/dv = v / f,      s^4 / (2 f^2).

Where s is far below the wind, f and that variance are those of the second-order Taylor expansion (Jazwinski 1970,
chapter 9). Without wind f = s, the slopes are zero and the variance is s^2 / 2; the speed then has the distribution of
Rayleigh, of mean 1.25 s and variance 0.43 s^2. So a speed is hardly used while its direction is unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from hindsight.operators import free_air, levels, station_pressure
from hindsight.settings import lexicon
from hindsight.settings.units import GRAVITY

Array = Any  # of NumPy or Torch; the nonlinear functions accept both


class Linear(NamedTuple):
    """A function near some state: its value, its slope by each channel, and the variance that these do not explain."""

    value: Array
    slopes: list[Array]
    variance: Array


@dataclass(frozen=True)
class Derived:
    """An observed channel as a function of channels of the state.

    Attributes:
        channels: that it is computed from.
        linearise: from their values at the stations, (N,) each and in the channels' units, their standard deviations
            there, and columns of the table, to `Linear`, (N,) each.
        columns: of the observation table that it needs.
        kind: its number in `NONLINEAR`, from 1; 0: it is linear.
    """

    channels: tuple[str, ...]
    linearise: Callable[[Sequence[Array], Sequence[Array], Mapping[str, Array]], Linear]
    columns: tuple[str, ...] = ()
    kind: int = 0


def of(observed: str, channels: Sequence[str]) -> Derived | None:
    """How an observed channel is computed from those of a state; None if it cannot be."""
    needed = lexicon.inputs(observed, channels)
    if needed in ((), (observed,)):
        return Derived(needed, _itself) if needed else None
    if observed in lexicon.ON_LEVELS:
        return Derived(needed, partial(_between, [lexicon.CHANNELS[name].level for name in needed]), ("level",))
    formula = lexicon.CHANNELS[observed].formula or observed
    if formula in NONLINEAR:
        return Derived(needed, NONLINEAR[formula], COLUMNS.get(formula, ()), 1 + list(NONLINEAR).index(formula))
    return Derived(needed, LINEAR[formula])


def _itself(values: Sequence[Array], spreads: Sequence[Array], columns: Mapping[str, Array]) -> Linear:
    return Linear(values[0], [values[0] * 0 + 1], values[0] * 0)


def _between(on: list[int], values: Sequence[Array], spreads: Sequence[Array], columns: Mapping) -> Linear:
    share = levels.weights(on, columns["level"])
    return Linear(sum(w * x for w, x in zip(share, values)), share, values[0] * 0)


def _thickness(values: Sequence[Array], spreads: Sequence[Array], columns: Mapping[str, Array]) -> Linear:
    upper, lower = values
    slope = upper * 0 + 1 / GRAVITY
    return Linear((upper - lower) / GRAVITY, [slope, -slope], upper * 0)


def _station_pressure(values: Sequence[Array], spreads: Sequence[Array], columns: Mapping[str, Array]) -> Linear:
    """The variance that the slopes do not explain is small, 1e-4 of the whole at 2000 m, and left out."""
    found = station_pressure.linearised(*values, columns["elevation"])
    return Linear(found.value, [found.by_pressure, found.by_temperature], values[0] * 0)


def _free_air(values: Sequence[Array], spreads: Sequence[Array], columns: Mapping[str, Array]) -> Linear:
    found = free_air.linearised(*values, columns["elevation"])
    return Linear(found.value, [found.by_geopotential, found.by_temperature, found.by_pressure], values[0] * 0)


def _speed(values: Sequence[Array], spreads: Sequence[Array], columns: Mapping[str, Array]) -> Linear:
    (u, v), (a, b) = values, spreads
    square = (a * a + b * b) / 2
    total = u * u + v * v + square
    total = total + (total == 0)  # no wind and no uncertainty: slopes of zero
    speed = total**0.5
    return Linear(speed * (u * u + v * v + square > 0), [u / speed, v / speed], square * square / (2 * total))


LINEAR = {"thickness": _thickness}
NONLINEAR = {"sp": _station_pressure, "speed": _speed, "t_free": _free_air}
COUNT = {"sp": 2, "speed": 2, "t_free": 3}  # channels that each is computed from
COLUMNS = {"sp": ("elevation",), "t_free": ("elevation",)}
