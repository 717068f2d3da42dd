"""A network's observations of a truth, with errors of known size."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar, cuts, store
from hindsight.fields.cuts import Cut
from hindsight.fields.grid import Grid
from hindsight.fields.observations import write
from hindsight.observe import networks
from hindsight.operators.footprint import places as rows_of
from hindsight.settings import Observe, Scope
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.observe import Network

PURPOSE = 4 << 32  # keeps this module's random streams apart from those of other methods


def run(
    domain: Scope,
    settings: Observe,
    *,
    network: str,
    shard: str,
    fields: Path,
    statistics: Path,
    static: Path,
    places: list[Path],
    observations: Path,
) -> None:
    """Observe a shard of frames with a simulated network: values at stations, with noise."""
    truth = _frames(store.read(fields), cuts.named(shard, domain.step_hours), store.folder(fields))
    spread = xr.load_dataset(statistics)["spread"].values
    spec = settings.networks[network]
    seed = np.random.SeedSequence([settings.seed, zlib.crc32(network.encode())])
    generator = np.random.Generator(np.random.Philox(seed))
    table = networks.stations(spec, Grid.of(truth), generator, next(iter(places), None), xr.load_dataset(static))
    rows = simulate(truth["fields"], table, error_of(spec, domain.channels, spread), seed, spec, domain.step_hours)
    write(rows.assign(source=f"simulated:{network}"), observations)


def _frames(dataset: xr.Dataset, cut: Cut, where: Path) -> xr.Dataset:
    """The frames of a cut that the source has: nobody observes one that it lacks."""
    try:
        found = dataset.sel(time=cut.times)
    except KeyError:
        raise UserError(f"{where} does not hold all frames of {cut.name}; run snakemake, which makes them") from None
    return found.isel(time=calendar.known(found))


def error_of(network: Network, channels: list[str], spread: np.ndarray) -> np.ndarray:
    """Error standard deviation of each channel, in its units; shape (C,)."""
    given, unit = (network.noise, spread) if network.error is None else (network.error, 1.0)
    return np.array([given[name] if isinstance(given, dict) else given for name in channels], float) * unit


def simulate(
    truth: xr.DataArray,
    stations: pd.DataFrame,
    error: np.ndarray,
    seed: np.random.SeedSequence,
    network: Network,
    step_hours: int,
) -> pd.DataFrame:
    """What stations see of the truth, at their places or as means about them, with Gaussian errors.

    Errors belong to the frame: whatever the shard, they are the same.

    Args:
        truth: (time, channel, latitude, longitude), physical units.
        stations: station, latitude, longitude, withheld, footprint.
        error: error standard deviation of each channel (C,).
        seed: of the errors.
        network: how often it reports.
        step_hours: between frames.

    Returns:
        An observation table without its `source`; without rows where the network does not report.
    """
    key, channels = seed.generate_state(2, np.uint64), list(truth["channel"].values)
    truth = truth[reports(truth["time"].values, network.every_hours, step_hours)]
    flat = truth.values.astype(float).reshape(*truth.shape[:2], int(np.prod(truth.shape[2:])))
    values = rows_of(Grid.of(truth), stations).numpy(flat)  # (T, C, N)
    for number, seen in zip(calendar.frame_number(truth["time"].values, step_hours), values):
        generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, int(number), PURPOSE]))
        seen += error[:, None] * generator.standard_normal(seen.shape)
    return _table(truth["time"].values, channels, stations, values, error)


def reports(times: np.ndarray, every_hours: int | None, step_hours: int) -> np.ndarray:
    """At which times a network reports that does so every so many hours from midnight (UTC); (T,), bool.

    Raises:
        UserError: if frames so many hours apart never meet such an hour.
    """
    hours = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "h")
    if not every_hours:
        return np.ones(len(times), bool)
    if len(times) and not (((hours[0] + step_hours * np.arange(24)) % 24) % every_hours == 0).any():
        raise UserError(f"a network that reports every {every_hours} h meets none of the frames, {step_hours} h apart")
    return hours % every_hours == 0


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
