"""Channels that observations have and the state has not, computed from channels of the state.

Station pressure follows from sea-level pressure and the temperature at 850 hPa. Each is linearised: its value and its
slopes by the channels that it is computed from, at given values of these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.operators import station_pressure

Linearise = Callable[[Sequence[np.ndarray], pd.DataFrame], tuple[np.ndarray, list[np.ndarray]]]


@dataclass(frozen=True)
class Derived:
    """An observed channel as a function of channels of the state.

    Attributes:
        channels: that it is computed from.
        linearise: from their values at the stations, (N,) each and in the channels' units, and the rows of the table,
            to the observed value (N,) and its slopes by each of them.
    """

    channels: tuple[str, ...]
    linearise: Linearise


def of(observed: str, channels: Sequence[str]) -> Derived | None:
    """How an observed channel is computed from those of a state; None if it cannot be."""
    if observed in channels:
        return Derived((observed,), lambda values, rows: (values[0], [np.ones(len(rows))]))
    found = DERIVED.get(observed)
    return found if found and set(found.channels) <= set(channels) else None


def _station_pressure(values: Sequence[np.ndarray], rows: pd.DataFrame) -> tuple[np.ndarray, list[np.ndarray]]:
    found = station_pressure.linearised(*values, rows["elevation"].to_numpy(float))
    return found.value, [found.by_pressure, found.by_temperature]


DERIVED = {"sp": Derived(("msl", "t850"), _station_pressure)}
