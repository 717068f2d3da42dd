"""Statistics of every analysis of one network, frame by frame, from which `verify.score` computes scores."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import analyses as analysis_files
from hindsight.fields import calendar, perturbations, store, transforms
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling, extremes
from hindsight.operators.evaluate import evaluate
from hindsight.operators.rows import gross_error_note, reject_gross_errors
from hindsight.progress import Progress
from hindsight.scores import distance, ensemble, seams, spectra
from hindsight.settings import Domain, Ensemble, Verify
from hindsight.settings.lexicon import ON_LEVELS, on_levels
from hindsight.verify import event_scores
from hindsight.verify.against import Against
from hindsight.verify.regions import WHOLE, WITHHELD, region_weights

SCORED_AS = {"sp": "msl", "t_free": "t850"}  # what they mostly measure, in the same units
OF_REFERENCE = ("squared_error", "error", "member_error")  # of `ensemble.STATISTICS`, those of a single value
BY_DISTANCE = ("squared_error", "variance")
MAP = ("channel", "latitude", "longitude")
PURPOSE = 3 << 32  # keeps this module's random streams apart from those of analyses


def run(
    domain: Domain,
    product: Ensemble,
    settings: Verify,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    observations: list[Path],
    analyses: list[Path],
    result: Path,
) -> None:
    """Compare every analysis of a network with the truth or a reference, and with observations withheld from it."""
    dataset, scaling, limits = store.read(fields), Scaling.read(climatology, statistics), extremes(statistics)
    grid, stations = Grid.of(dataset), tables.stations(observations)
    areas = region_weights(settings.regions, grid)
    bins = distance_bins(tables.usable_stations(stations), domain.channels, grid)
    withheld = bool((stations["withheld"] & (stations["quality"] == 0)).any())
    names = [*areas, WITHHELD] if withheld else [*areas]
    available = dataset["time"].values[calendar.available(dataset)]  # missing frames are not scored
    rows: dict[str, list[xr.Dataset]] = {}
    sums: dict[str, xr.Dataset] = {}
    last: dict[str, xr.Dataset] = {}
    of_reference: list[xr.Dataset] = []
    against = Against(settings.against, dataset.attrs.get("source_title", ""))
    groups = sorted(_by_analysis_and_time(analyses).items())
    progress = Progress("verify.compare", len(groups), "shards")
    for done, ((name, _), paths) in enumerate(groups):
        progress(done)
        frames = analysis_files.read(paths)
        frames["truth"] = frames["analysis"].dims[1:], _compared_with(dataset, frames["time"].values, against)
        if grid.covered is not None:  # other points have weight 0, and get the climatology for a value
            frames["analysis"] = frames["analysis"].where(grid.covered, _expected(frames, scaling))
        scored = frames.isel(time=np.flatnonzero(against.is_none | np.isin(frames["time"].values, available)))
        scores = compare_with_truth(scored, scaling, areas, bins, grid, product).reindex(time=frames["time"])
        parts = [scores, transitions(frames, last.get(name), grid)]
        if settings.events and not against.is_none:
            seen = event_scores.statistics(scored, settings, domain, grid)
            parts.append(seen.reindex(time=frames["time"]))
        if withheld:
            table = tables.read(_observations_of(observations, paths[0]))
            table = _without_gross_errors(table, domain, grid, scaling, limits)
            parts.append(compare_with_observations(frames, table, scaling, grid, product))
            if against.kind == "reference" and name == groups[0][0][0]:
                of_reference.append(compare_reference_with_observations(frames, table, grid))
        part = xr.merge(parts, join="outer", compat="no_conflicts").sel(region=names)
        total = part.drop_dims("time")
        rows.setdefault(name, []).append(part.drop_vars(total.data_vars))
        sums[name] = total + sums.get(name, 0)
        last = {name: frames.isel(time=[-1]).copy(deep=True)}  # a view would keep its whole shard in memory
    _check_complete(rows, dataset, domain)
    joined = [xr.concat(rows[name], "time").assign(sums[name]).expand_dims(analysis=[name]) for name in rows]
    whole = xr.concat(joined, "analysis", coords="different", compat="equals")
    whole = whole.assign_attrs(members=product.members, antithetic=int(product.antithetic), **against.attributes)
    whole["distance_edge"] = bins["edge"]
    if of_reference:
        whole = whole.assign(xr.concat(of_reference, "time").data_vars)
    store.replace(result, lambda partial: whole.to_netcdf(partial))


def _expected(frames: xr.Dataset, scaling: Scaling) -> xr.DataArray:
    """The climatology, which is the value of all frames at points that the source does not cover."""
    return xr.DataArray(scaling.climatology(frames["time"].values).astype("float32"), dims=frames["truth"].dims)


def _compared_with(dataset: xr.Dataset, times: np.ndarray, against: Against) -> np.ndarray:
    """The fields that analyses are compared with at some times, (T, C, H, W); NaN if there are none."""
    shape = len(times), *dataset["fields"].shape[1:]
    return np.full(shape, np.nan, "float32") if against.is_none else dataset["fields"].sel(time=times).values


def _observations_of(observations: list[Path], analysis: Path) -> list[Path]:
    """The observations of the frames of an analysis, `{shard}-{block}.nc`."""
    return [path for path in observations if path.stem == analysis.stem.split("-")[0]]


def _without_gross_errors(
    table: pd.DataFrame, domain: Domain, grid: Grid, scaling: Scaling, limits: np.ndarray | None
) -> pd.DataFrame:
    """The withheld observations, without those that an analysis would reject as gross errors."""
    kept, gross = reject_gross_errors(tables.withheld(table), domain.channels, grid, scaling, limits, domain.step_hours)
    if len(gross):
        print(f"withheld: {gross_error_note(gross, len(kept) + len(gross))}", flush=True)
    return kept


def distance_bins(used: pd.DataFrame, channels: list[str], grid: Grid) -> xr.Dataset:
    """Bins of the distance to the nearest station used.

    Returns:
        `share` (distance, channel, point), the weight of each point in the mean of a bin, and `edge` (limit), km.
    """
    latitude, longitude = (x.ravel() for x in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    distances, used = [], used.assign(channel=_counted_as(used["channel"], channels))
    for channel in channels:
        stations = used[used["channel"] == channel].drop_duplicates(["latitude", "longitude"])
        places = stations["latitude"].to_numpy(), stations["longitude"].to_numpy()
        distances.append(distance.distance_to_nearest(latitude, longitude, *places))
    limits = distance.bin_edges(np.array(distances))
    share = np.stack([distance.bin_weights(one, limits, grid.weights.ravel()) for one in distances], 1)
    return xr.Dataset({"share": (("distance", "channel", "point"), share), "edge": ("limit", limits)})


def compare_with_truth(
    frames: xr.Dataset,
    scaling: Scaling,
    areas: dict[str, np.ndarray],
    bins: xr.Dataset,
    grid: Grid,
    product: Ensemble,
) -> xr.Dataset:
    """Statistics by region and by distance to stations, rank histograms, maps and spectra of one shard.

    Args:
        frames: `analysis` (realization, time, channel, latitude, longitude) and `truth`.
        scaling: for the climatology.
        areas: weights of the points of every region.
        bins: from `distance_bins`.
        grid: of the fields.
        product: whether members are antithetic, and the seed of the random ranks of a truth that equals members.
    """
    values, truth, times = frames["analysis"].values, frames["truth"].values, frames["time"].values
    flat, flat_truth = values.reshape(*values.shape[:3], -1), truth.reshape(*truth.shape[:2], -1)
    expected = scaling.climatology(times)
    points = ensemble.pointwise(flat, flat_truth, expected.reshape(flat_truth.shape), product.antithetic)
    by_region = [ensemble.area_means(points, weights) for weights in areas.values()]
    data = {
        name: (("region", "time", "channel"), np.stack([s[name] for s in by_region])) for name in ensemble.STATISTICS
    }
    for name in BY_DISTANCE:
        binned = np.einsum("tcp,bcp->btc", points[name], bins["share"].values)
        data[f"distance_{name}"] = (("distance", "time", "channel"), binned)
    centre = values.mean(0, dtype=float)
    power = [
        [spectra.zonal((part - expected)[:, c], grid.periodic, grid.weights.mean(1)) for c in range(truth.shape[1])]
        for part in (truth, centre, values[0])
    ]
    count = len(times)
    channels = [str(name) for name in frames["channel"].values]
    chance = lambda: tie_breakers(times, channels, flat.shape[-1], product.seed)
    ranks = ensemble.rank_histogram(ensemble.ranked(flat, product.antithetic), flat_truth, areas[WHOLE], chance)
    total = np.array(power) * count if count else np.zeros(np.shape(power))
    return xr.Dataset(
        data
        | {
            "rank": (("time", "channel", "rank"), ranks),
            "sum_squared_error": (MAP, points["squared_error"].sum(0).reshape(truth.shape[1:])),
            "sum_variance": (MAP, points["variance"].sum(0).reshape(truth.shape[1:])),
            "sum_power": (("kind", "channel", "wavenumber"), total),
            "count": ((), count),
        },
        coords={
            "region": list(areas),
            "time": times,
            "channel": frames["channel"],
            "latitude": grid.latitude,
            "longitude": grid.longitude,
            "kind": ["truth", "mean", "member"],
        },
    )


def tie_breakers(times: np.ndarray, channels: list[str], points: int, seed: int) -> np.ndarray:
    """Random numbers from 0 to 1, (T, C, points), from seed, time, channel and place among the points alone."""
    drawn = np.empty((len(times), len(channels), points))
    for t, key in enumerate(calendar.time_key(times).tolist()):
        for c, name in enumerate(channels):
            counter = [0, key % 2**64, zlib.crc32(name.encode()), PURPOSE]
            drawn[t, c] = np.random.Generator(np.random.Philox(key=seed, counter=counter)).random(points)
    return drawn


def transitions(frames: xr.Dataset, last: xr.Dataset | None, grid: Grid) -> xr.Dataset:
    """Statistics of the change from each frame to the next, at the time of the later one.

    Args:
        frames: of one shard, `analysis` and `truth`.
        last: the last frame of the shard before, if there is one.
        grid: of the fields.

    Returns:
        `transition_…` (time, channel) for each of `seams.SERIES`, NaN at the very first frame, and `seam` (time), 1 at
        the first frame of a shard that follows another.
    """
    weights, length, count = grid.weights.ravel(), frames.sizes["time"], frames.sizes["channel"]
    values = frames["analysis"].values.reshape(-1, length, count, weights.size)
    truth = frames["truth"].values.reshape(length, count, weights.size)
    data = {name: np.full((length, count), np.nan) for name in seams.SERIES}
    if last is not None:
        before = last["analysis"].values.reshape(-1, count, weights.size), last["truth"].values.reshape(truth[0].shape)
    for t in range(length):
        now = values[:, t], truth[t]
        if t or last is not None:
            for name, value in seams.transition(before[0], now[0], (before[1], now[1]), weights).items():
                data[name][t] = value
        before = now
    at_seam = np.arange(length) == (0 if last is not None else -1)
    return xr.Dataset(
        {f"transition_{name}": (("time", "channel"), value) for name, value in data.items()}
        | {"seam": ("time", at_seam.astype("int8"))},
        coords={"time": frames["time"], "channel": frames["channel"]},
    )


def compare_with_observations(
    frames: xr.Dataset, table: pd.DataFrame, scaling: Scaling, grid: Grid, product: Ensemble
) -> xr.Dataset:
    """Statistics of one shard at withheld observations; random observation errors are added to the members.

    Rows that need frames of another shard are left out, and counted.
    """
    times, channels = frames["time"].values, list(frames["channel"].values)
    shape = (1, len(times), len(channels))
    data = {name: np.full(shape, np.nan) for name in ensemble.STATISTICS}
    numbers, seed = frames["realization"].values.tolist(), product.seed
    rank = np.full((*shape[1:], len(ensemble.ranked(np.array(numbers), product.antithetic)) + 1), np.nan)
    members, table, left_out = _at_observations(frames["analysis"], table, grid)
    if left_out:
        print(
            f"withheld: {left_out} of {left_out + len(table)} rows depend on frames that this shard lacks; not scored"
        )
    noise = perturbations.normal(seed, PURPOSE, numbers, 0, perturbations.keys(table))
    chosen, names = scaling.transforms.named(channels), table["channel"].to_numpy(object)
    members = transforms.perturbed(names, members, table["error"].to_numpy() * noise, chosen)
    values, among = table["value"].to_numpy(), ensemble.ranked(members, product.antithetic)
    expected = evaluate(table, channels, grid, times, scaling.climatology(times))
    for t, c, rows in _by_frame_and_channel(table, times, channels):
        at_stations = ensemble.statistics(
            members[:, None, None, rows],
            values[None, None, rows],
            expected[None, None, rows],
            np.ones(len(rows)),
            product.antithetic,
        )
        for name, value in at_stations.items():
            data[name][0, t, c] = value[0, 0]
        chance = lambda t=t, c=c, rows=rows: tie_breakers(times[[t]], channels[c : c + 1], len(rows), seed)
        at_rows = among[:, None, None, rows], values[None, None, rows]
        rank[t, c] = ensemble.rank_histogram(*at_rows, np.ones(len(rows)), chance)[0, 0]
    return xr.Dataset(
        {name: (("region", "time", "channel"), values) for name, values in data.items()}
        | {"withheld_rank": (("time", "channel", "rank"), rank)},
        coords={"region": [WITHHELD], "time": times, "channel": channels},
    )


def compare_reference_with_observations(frames: xr.Dataset, table: pd.DataFrame, grid: Grid) -> xr.Dataset:
    """Statistics of the reference itself at the withheld observations that `compare_with_observations` uses.

    It is a single value, without an observation error added, so its CRPS is its mean absolute departure. NaN at frames
    that the reference lacks.

    Returns:
        `reference_…` (time, channel) for each of `OF_REFERENCE`.
    """
    times, channels = frames["time"].values, list(frames["channel"].values)
    data = {name: np.full((len(times), len(channels)), np.nan) for name in OF_REFERENCE}
    _, table, _ = _at_observations(frames["analysis"][:1], table, grid)
    departures = evaluate(table, channels, grid, times, frames["truth"].values) - table["value"].to_numpy()
    for t, c, rows in _by_frame_and_channel(table, times, channels):
        one = departures[rows]
        for name, values in zip(OF_REFERENCE, (one**2, one, np.abs(one))):
            data[name][t, c] = values.mean()
    return xr.Dataset(
        {f"reference_{name}": (("time", "channel"), values) for name, values in data.items()},
        coords={"time": times, "channel": channels},
    )


def _at_observations(analysis: xr.DataArray, table: pd.DataFrame, grid: Grid) -> tuple[np.ndarray, pd.DataFrame, int]:
    """The members' equivalents (E, N), the rows that are scored, and how many need other frames.

    The rows have a column `scored_as`, the channel that they are scored with.
    """
    times, channels = analysis["time"].values, list(analysis["channel"].values)
    table = table[table["time"].isin(times)].assign(scored_as=_scored_as(table, channels)).dropna(subset="scored_as")
    members = evaluate(table, channels, grid, times, analysis.values)
    known = np.isfinite(members).all(0)
    return members[:, known], table[known].reset_index(drop=True), int((~known).sum())


def _by_frame_and_channel(
    table: pd.DataFrame, times: np.ndarray, channels: list[str]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each frame and channel with rows: their numbers, and those of the rows."""
    for (time, channel), rows in table.groupby(["time", "scored_as"], sort=True).indices.items():
        yield int(np.searchsorted(times, np.datetime64(time))), channels.index(channel), rows


def _scored_as(table: pd.DataFrame, channels: list[str]) -> pd.Series:
    """The channel of the fields that each row is scored with: its own, or that of the nearest level; none: not scored.

    Station pressure counts for sea-level pressure, the temperature of a mountain for that at 850 hPa. What is computed
    from several channels otherwise, as wind speed, has no channel among the scores.
    """
    name = _counted_as(table["channel"], channels)
    found = name.where(name.isin(channels)).astype(object)
    for variable in set(table["channel"]) & ON_LEVELS.keys() - set(channels):
        at, known = table["channel"] == variable, on_levels(variable, channels)
        away = np.abs(np.log(table["level"].to_numpy(float)[at, None] / np.array(list(known), float)))
        found[at] = np.array(list(known.values()), object)[away.argmin(1)] if known else None
    return found


def _counted_as(names: pd.Series, channels: list[str]) -> pd.Series:
    """The names of observed channels; for those that the fields lack, what they mostly measure."""
    return names.where(names.isin(channels), names.replace(SCORED_AS))


def _by_analysis_and_time(paths: list[Path]) -> dict[tuple[str, str], list[Path]]:
    """Group files by the name of the analysis and the first frame in their headers."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        head = analysis_files.header(path)
        groups.setdefault((head.attrs["analysis"], str(head["time"].values[0])), []).append(path)
    return groups


def _check_complete(parts: dict[str, list[xr.Dataset]], dataset: xr.Dataset, domain: Domain) -> None:
    expected = calendar.in_period(dataset, domain.test, "the fields")["time"].values
    for name, rows in parts.items():
        available = np.concatenate([row["time"].values for row in rows])
        if missing := sorted(set(expected) - set(available)):
            raise UserError(
                f"the analysis {name!r} lacks {len(missing)} frame(s), the first {missing[0]}; run snakemake"
            )
