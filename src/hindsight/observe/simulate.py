"""A network's observations of a truth, with errors of known size."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.grid import Grid
from hindsight.fields.observations import write
from hindsight.observe import networks
from hindsight.operators.footprint import places as rows_of
from hindsight.settings import Domain, Observe
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.observe import Network

FRAMES = 256  # of the truth in memory at once


def run(
    domain: Domain,
    settings: Observe,
    *,
    network: str,
    fields: Path,
    statistics: Path,
    static: Path,
    places: list[Path],
    observations: Path,
) -> None:
    """Observe the test period with a simulated network: values at stations, with noise."""
    truth = calendar.in_period(store.read(fields), domain.test, str(store.folder(fields)))
    truth = truth.isel(time=calendar.known(truth))  # nobody observes a frame that the source lacks
    spread = xr.load_dataset(statistics)["spread"].values
    spec = settings.networks[network]
    seed = [settings.seed, zlib.crc32(network.encode())]
    grid, generator = Grid.of(truth), np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    table = networks.stations(spec, grid, generator, next(iter(places), None), xr.load_dataset(static))
    rows = simulate(truth["fields"], table, error_of(spec, domain.channels, spread), generator, spec)
    write(rows.assign(source=f"simulated:{network}"), observations)


def error_of(network: Network, channels: list[str], spread: np.ndarray) -> np.ndarray:
    """Error standard deviation of each channel, in its units; shape (C,)."""
    given, unit = (network.noise, spread) if network.error is None else (network.error, 1.0)
    return np.array([given[name] if isinstance(given, dict) else given for name in channels], float) * unit


def simulate(
    truth: xr.DataArray, stations: pd.DataFrame, error: np.ndarray, generator: np.random.Generator, network: Network
) -> pd.DataFrame:
    """What stations see of the truth, at their places or as means about them, with Gaussian errors.

    Args:
        truth: (time, channel, latitude, longitude), physical units.
        stations: station, latitude, longitude, withheld, footprint.
        error: error standard deviation of each channel (C,).
        generator: of the errors.
        network: how often it reports.

    Returns:
        An observation table without its `source`.
    """
    times = truth["time"].values
    report = np.ones(len(times), bool)
    if network.every_hours:
        hours = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "h")
        report = hours % network.every_hours == 0
    if not report.any():
        raise UserError(f"a network that reports every {network.every_hours} h meets none of the frames")
    operator, seen = rows_of(Grid.of(truth), stations), []
    for first in range(0, len(times), FRAMES):
        part = slice(first, first + FRAMES)
        fields = truth[part].values[report[part]].astype(float)
        values = operator.numpy(fields.reshape(*fields.shape[:2], -1))  # (T, C, N)
        seen.append(values + error[:, None] * generator.standard_normal(values.shape))
    return _table(times[report], list(truth["channel"].values), stations, np.concatenate(seen), error)


def _table(
    times: np.ndarray, channels: list[str], stations: pd.DataFrame, values: np.ndarray, error: np.ndarray
) -> pd.DataFrame:
    frames, count, sites = values.shape
    t, c, n = (index.ravel() for index in np.indices(values.shape))
    level = np.array([CHANNELS[name].level or np.nan for name in channels], float)
    return pd.DataFrame(
        {
            "time": times[t],
            "latitude": stations["latitude"].to_numpy()[n],
            "longitude": stations["longitude"].to_numpy()[n],
            "level": level[c],
            "channel": np.array(channels)[c],
            "value": values.ravel(),
            "error": error[c],
            "platform": "simulated",
            "station": stations["station"].to_numpy()[n],
            "quality": 0,
            "withheld": stations["withheld"].to_numpy()[n],
            "footprint": stations["footprint"].to_numpy()[n],
        }
    )
