"""Statistics of every analysis of one network, frame by frame: what every score is made of."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import analyses as analysis_files
from hindsight.fields import calendar, store
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.interpolate import bilinear
from hindsight.scores import ensemble, spectra
from hindsight.settings import Domain, Product, Verify
from hindsight.settings.verify import Region

WHOLE, WITHHELD = "everywhere", "withheld observations"
PURPOSE = 3 << 32  # keeps this module's random streams apart from those of analyses


def run(
    domain: Domain,
    product: Product,
    settings: Verify,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    observations: Path,
    analyses: list[Path],
    result: Path,
) -> None:
    """Compare every analysis of a network with the truth, and with the observations withheld from it."""
    dataset, scaling = store.read(fields), Scaling.read(climatology, statistics)
    grid = Grid.of(dataset)
    areas = regions(settings.regions, grid)
    table = tables.read(observations)
    table = table[table["withheld"] & (table["quality"] == 0)]
    parts: dict[str, list[xr.Dataset]] = {}
    for name, paths in sorted(_by_analysis_and_time(analyses).items()):
        found = analysis_files.read(paths)
        truth = dataset["fields"].sel(time=found["time"]).values
        part = xr.merge(
            [
                against_truth(found, truth, scaling, areas, grid),
                against_observations(found, table, scaling, grid, product.seed),
            ],
            join="outer",
        )
        part = part.sel(region=[*areas, WITHHELD])
        parts.setdefault(name[0], []).append(part)
    _complete(parts, dataset, domain)
    joined = [_join(rows).expand_dims(analysis=[name]) for name, rows in parts.items()]
    whole = xr.concat(joined, "analysis").assign_attrs(members=product.members)
    store.replace(result, lambda partial: whole.to_netcdf(partial))


def regions(asked: dict[str, Region], grid: Grid) -> dict[str, np.ndarray]:
    """Weights (H * W,) of every region, the whole domain first.

    Raises:
        UserError: if a region holds no grid point.
    """
    latitude, longitude = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    found = {WHOLE: grid.weights.ravel()}
    for name, box in asked.items():
        inside = (latitude >= box.south) & (latitude <= box.north)
        inside &= (longitude - box.west) % 360 <= (box.east - box.west) % 360 if box.east - box.west < 360 else True
        if not inside.any():
            raise UserError(
                f"verify.regions.{name} holds no grid point; the domain is {grid.latitude[0]:g} to "
                f"{grid.latitude[-1]:g} N, {grid.longitude[0]:g} to {grid.longitude[-1]:g} E"
            )
        found[name] = (grid.weights * inside).ravel()
    return found


def against_truth(
    found: xr.Dataset, truth: np.ndarray, scaling: Scaling, areas: dict[str, np.ndarray], grid: Grid
) -> xr.Dataset:
    """Statistics, rank histogram, maps and spectra of one shard against the truth (T, C, H, W)."""
    values, times = found["analysis"].values, found["time"].values
    flat = values.reshape(*values.shape[:3], -1)
    expected = scaling.climatology(times).reshape(*flat.shape[1:])
    flat_truth = truth.reshape(expected.shape)
    by_region = [ensemble.statistics(flat, flat_truth, expected, weights) for weights in areas.values()]
    data = {
        name: (("region", "time", "channel"), np.stack([s[name] for s in by_region])) for name in ensemble.STATISTICS
    }
    centre = values.mean(0, dtype=float)
    power = [
        [spectra.zonal((part - expected.reshape(truth.shape))[:, c], grid.periodic) for c in range(truth.shape[1])]
        for part in (truth, centre, values[0])
    ]
    count = len(times)
    return xr.Dataset(
        data
        | {
            "rank": (("time", "channel", "rank"), ensemble.ranks(flat, flat_truth, areas[WHOLE])),
            "sum_squared_error": (("channel", "latitude", "longitude"), ((centre - truth) ** 2).sum(0)),
            "sum_variance": (("channel", "latitude", "longitude"), values.var(0, ddof=1, dtype=float).sum(0)),
            "sum_power": (("kind", "channel", "wavenumber"), np.array(power) * count),
            "count": ((), count),
        },
        coords={
            "region": list(areas),
            "time": times,
            "channel": found["channel"],
            "latitude": grid.latitude,
            "longitude": grid.longitude,
            "kind": ["truth", "mean", "member"],
        },
    )


def against_observations(found: xr.Dataset, table: pd.DataFrame, scaling: Scaling, grid: Grid, seed: int) -> xr.Dataset:
    """Statistics of one shard at withheld observations; members get the observations' errors, as the truth has them."""
    times, channels = found["time"].values, list(found["channel"].values)
    shape = (1, len(times), len(channels))
    data = {name: np.full(shape, np.nan) for name in ensemble.STATISTICS}
    inside = table[table["time"].isin(times) & table["channel"].isin(channels)]
    for (time, channel), rows in inside.groupby(["time", "channel"], sort=True):
        t, c = int(np.searchsorted(times, np.datetime64(time))), channels.index(channel)
        operator = bilinear(grid, rows["latitude"].to_numpy(), rows["longitude"].to_numpy())
        members = operator.numpy(found["analysis"].values[:, t, c].reshape(len(found["realization"]), -1).astype(float))
        hour = int(times[t].astype("datetime64[h]").astype(int))
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, hour, c, PURPOSE]))
        members = members + rows["error"].to_numpy() * generator.standard_normal(members.shape)
        expected = operator.numpy(scaling.climatology(times[t : t + 1])[0, c].reshape(-1))
        at_stations = ensemble.statistics(
            members[:, None, None], rows["value"].to_numpy()[None, None], expected[None, None], np.ones(len(rows))
        )
        for name, value in at_stations.items():
            data[name][0, t, c] = value[0, 0]
    return xr.Dataset(
        {name: (("region", "time", "channel"), values) for name, values in data.items()},
        coords={"region": [WITHHELD], "time": times, "channel": channels},
    )


def _by_analysis_and_time(paths: list[Path]) -> dict[tuple[str, str], list[Path]]:
    """Group files by the analysis and first frame that they say they are of."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        head = analysis_files.head(path)
        groups.setdefault((head.attrs["analysis"], str(head["time"].values[0])), []).append(path)
    return groups


def _complete(parts: dict[str, list[xr.Dataset]], dataset: xr.Dataset, domain: Domain) -> None:
    wanted = calendar.in_period(dataset, domain.test, "the fields")["time"].values
    for name, rows in parts.items():
        have = np.concatenate([row["time"].values for row in rows])
        if missing := sorted(set(wanted) - set(have)):
            raise UserError(
                f"the analysis {name!r} lacks {len(missing)} frame(s), the first {missing[0]}; run snakemake"
            )


def _join(rows: list[xr.Dataset]) -> xr.Dataset:
    """Join shards: series one after the other, sums added."""
    series = xr.concat([row.drop_vars([v for v in row if "time" not in row[v].dims]) for row in rows], "time")
    sums = sum(row[[v for v in row if "time" not in row[v].dims]] for row in rows)
    return xr.merge([series, sums])
