"""Which channel a report observes, and with which error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from hindsight.operators import time_weights
from hindsight.settings.quality import Measurement


class Names(NamedTuple):
    """Channels of a quantity: near the ground, and the letter that precedes the level (hPa) aloft."""

    ground: str
    aloft: str


NAMES = {
    "air_pressure_at_mean_sea_level": Names("msl", ""),
    "surface_air_pressure": Names("sp", ""),
    "air_temperature": Names("t2m", "t"),
    "dew_point_temperature": Names("d2m", ""),
    "specific_humidity": Names("", "q"),
    "relative_humidity": Names("", "r"),
    "eastward_wind": Names("u10", "u"),
    "northward_wind": Names("v10", "v"),
    "geopotential": Names("", "z"),
}

# Sizes that operational centres give the errors of such reports, instrument and representativeness together, rounded;
# for grids of a degree and more. `observe.tune` estimates those of a data set.
DEFAULTS = [
    Measurement(quantity="air_pressure_at_mean_sea_level", platform="ship", error=200.0),
    Measurement(quantity="air_pressure_at_mean_sea_level", error=120.0),
    Measurement(quantity="surface_air_pressure", platform="ship", error=200.0),
    Measurement(quantity="surface_air_pressure", error=120.0),
    Measurement(quantity="air_temperature", platform="sonde", error=1.0),
    Measurement(quantity="air_temperature", platform="aircraft", error=1.3),
    Measurement(quantity="air_temperature", error=2.0),
    Measurement(quantity="dew_point_temperature", error=2.5),
    Measurement(quantity="specific_humidity", error=1.5e-3),
    Measurement(quantity="relative_humidity", error=15.0),
    Measurement(quantity="eastward_wind", platform="satellite", error=4.0),
    Measurement(quantity="northward_wind", platform="satellite", error=4.0),
    Measurement(quantity="eastward_wind", error=2.5),
    Measurement(quantity="northward_wind", error=2.5),
    Measurement(quantity="geopotential", error=150.0),
]


DESCRIBED = {"given": object, "error": float, "weights": object, "nearest": bool, "error_per_hour": float}


def assign(reports: pd.DataFrame, measurements: Sequence[Measurement], channels: Sequence[str]) -> pd.DataFrame:
    """Add the columns that say how each report observes the state.

    Args:
        reports: with the columns of `observe.reports.COLUMNS`, and perhaps `kind`.
        measurements: the first that fits a report describes it; `DEFAULTS` follow.
        channels: of the state; a report on the level of one of them observes that channel (`t500`), on
            another level the variable (`t`).

    Returns:
        The reports with `channel` (empty where the lexicon has none), `level`, `error` (NaN where it is not known),
        `weights` (of frames, as text), `nearest` (whether they count for the nearest frame) and `error_per_hour`.
    """
    kinds = reports["kind"] if "kind" in reports else reports["quantity"]
    keys = pd.DataFrame({"kind": kinds, "quantity": reports["quantity"], "platform": reports["platform"]})
    codes, groups = keys.groupby(list(keys), dropna=False, sort=False).ngroup().to_numpy(), keys.drop_duplicates()
    columns = [_described(group, measurements) for group in groups.itertuples(index=False)]
    described = pd.DataFrame(columns, columns=[*DESCRIBED]).astype(DESCRIBED).iloc[codes].reset_index(drop=True)
    table = reports.reset_index(drop=True).assign(**{name: described[name] for name in described})
    level = table["pressure"].to_numpy(float)
    return table.assign(channel=_channels(table, level, channels), level=level).drop(columns="given")


def _described(group: NamedTuple, measurements: Sequence[Measurement]) -> dict:
    """Settings of the first measurement that fits a kind, quantity and platform."""
    fitting = (m for m in (*measurements, *DEFAULTS) if m.fits(str(group.kind), group.quantity, group.platform))
    chosen = next(fitting, None)
    if chosen is None:
        return dict(zip(DESCRIBED, ("", np.nan, "", False, 0.0)))
    return {
        "given": chosen.channel or "",
        "error": float(np.hypot(chosen.error, chosen.representativeness)),
        "weights": time_weights.text(chosen.weights),
        "nearest": chosen.time == "nearest_frame",
        "error_per_hour": chosen.error_per_hour,
    }


def _channels(table: pd.DataFrame, level: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """The channel that each report observes: that of the settings, or that of its quantity and level."""
    pairs = pd.DataFrame({"quantity": table["quantity"], "level": level})
    number = pairs.groupby(["quantity", "level"], dropna=False, sort=False).ngroup().to_numpy()
    names = [channel_name(*pair, channels) for pair in pairs.drop_duplicates().itertuples(index=False)]
    given = table["given"].to_numpy(object)
    return np.where(given != "", given, np.array(names, object)[number] if names else given)


def channel_name(quantity: str, level: float, channels: Sequence[str]) -> str:
    """The channel of a quantity near the ground (`level` NaN) or at a level (hPa).

    A level that is none of the state's gives the letter alone, for interpolation between levels. Empty: there is none.
    """
    names = NAMES[quantity]
    if np.isnan(level):
        return names.ground
    exact = f"{names.aloft}{level:g}"
    return exact if names.aloft and exact in channels else names.aloft
