"""Simulate a network's observations of the source's fields, with Gaussian errors of a given size."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar, intervals, store, transforms
from hindsight.fields.grid import Grid
from hindsight.fields.intervals import Interval
from hindsight.fields.observations import write
from hindsight.fields.transforms import NONE, Transforms
from hindsight.observe import networks
from hindsight.operators.footprint import observation_operator
from hindsight.settings import DomainWithoutPeriods, Observe
from hindsight.settings.hours import in_words, minutes
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.observe import FOLD, Network
from hindsight.settings.preprocess import CensoredLogarithm

DAY = 24 * 60  # minutes
PURPOSE = 4 << 32  # constant of this module's random numbers, so that no two methods share any


def run(
    domain: DomainWithoutPeriods,
    settings: Observe,
    *,
    network: str,
    shard: str,
    fields: Path,
    statistics: Path,
    static: Path,
    station_list: list[Path],
    observations: Path,
) -> None:
    """Observe a shard of frames with a simulated network: values at stations, with errors."""
    truth = _frames(store.read(fields), intervals.parse(shard, domain.step_hours), store.folder(fields))
    of_training = xr.load_dataset(statistics)
    spread, chosen = of_training["spread"].values, Transforms.of_file(of_training.attrs).named(domain.channels)
    spec = settings.networks[network]
    name = network.rpartition(FOLD)[0] if spec.fold else network  # folds have the stations and errors of their network
    seed = np.random.SeedSequence([settings.seed, zlib.crc32(name.encode())])
    generator = np.random.Generator(np.random.Philox(seed))
    table = networks.stations(spec, Grid.of(truth), generator, next(iter(station_list), None), xr.load_dataset(static))
    error = error_std(spec, domain.channels, spread, chosen)
    rows = simulate(truth["fields"], table, error, seed, spec, domain.step_hours, chosen)
    write(rows.assign(source=f"simulated:{network}"), observations)


def _frames(dataset: xr.Dataset, interval: Interval, where: Path) -> xr.Dataset:
    """The available frames of an interval; the others are not observed."""
    try:
        found = dataset.sel(time=interval.times)
    except KeyError:
        raise UserError(f"{where} lacks frames of {interval.name}; run snakemake to make them") from None
    return found.isel(time=calendar.available(found))


def error_std(
    network: Network, channels: list[str], spread: np.ndarray, chosen: Mapping[str, CensoredLogarithm] = NONE
) -> np.ndarray:
    """Error standard deviation of each channel, in its units or of its logarithm, see `CensoredLogarithm`; (C,).

    Raises:
        UserError: if the error of a channel is to be in its units and is given as a share of the logarithm's spread.
    """
    if network.error is None and (physical := [name for name, one in chosen.items() if one.errors == "physical"]):
        raise UserError(
            f"observe.networks: noise is a share of the spread of the logarithm of {', '.join(physical)}, whose errors "
            "are in its units (preprocess.transforms: errors: physical); give `error` in these units instead of `noise`"
        )
    given, unit = (network.noise, spread) if network.error is None else (network.error, 1.0)
    return np.array([given[name] if isinstance(given, dict) else given for name in channels], float) * unit


def simulate(
    truth: xr.DataArray,
    stations: pd.DataFrame,
    error: np.ndarray,
    seed: np.random.SeedSequence,
    network: Network,
    step_hours: float,
    chosen: Mapping[str, CensoredLogarithm] = NONE,
) -> pd.DataFrame:
    """Observe a truth at stations, as point values or block means, with Gaussian errors.

    The errors of a frame do not depend on the shard.

    Args:
        truth: (time, channel, latitude, longitude), physical units.
        stations: station, latitude, longitude, withheld, footprint.
        error: error standard deviation of each channel (C,).
        seed: of the errors.
        network: its settings, of which `every_hours` is used.
        step_hours: between frames.
        chosen: transforms by channel; errors of these channels are added as their settings say.

    Returns:
        An observation table without its `source`; without rows where the network does not report.
    """
    key, channels = seed.generate_state(2, np.uint64), list(truth["channel"].values)
    truth = truth[is_report_time(truth["time"].values, network.every_hours, step_hours)]
    flat = truth.values.astype(float).reshape(*truth.shape[:2], int(np.prod(truth.shape[2:])))
    values = observation_operator(Grid.of(truth), stations).apply(flat)  # (T, C, N)
    for number, frame in zip(calendar.frame_number(truth["time"].values, step_hours), values):
        generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, int(number), PURPOSE]))
        noise = error[:, None] * generator.standard_normal(frame.shape)
        frame[...] = transforms.perturbed(np.array(channels, object), frame.T, noise.T, chosen).T
    return _table(truth["time"].values, channels, stations, values, error)


def is_report_time(times: np.ndarray, every_hours: float | None, step_hours: float) -> np.ndarray:
    """Whether a network that reports every `every_hours` hours from midnight (UTC) reports at each time; (T,), bool.

    Raises:
        UserError: if no frame is ever at such an hour.
    """
    if not every_hours:
        return np.ones(len(times), bool)
    since_midnight = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "m")
    every, step = minutes(every_hours), minutes(step_hours)
    if len(times) and not (((since_midnight[0] + step * np.arange(DAY)) % DAY) % every == 0).any():
        raise UserError(
            f"a network that reports every {in_words(every_hours)} never reports at a frame (one every "
            f"{in_words(step_hours)})"
        )
    return since_midnight % every == 0


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
