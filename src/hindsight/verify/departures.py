"""Departures from observations, summarised from the feedback: by use, region, platform, channel, month and station.

Sums over the rows of a frame are formed first, and every score is a function of time means of these sums, so that
intervals account for correlation in time (`scores.significance`). Departures are observation minus analysis, in the
channel's units. Analyses fit the observations that they use: only the withheld ones verify them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import xarray as xr

from hindsight.fields import store, usage
from hindsight.fields.grid import Grid
from hindsight.progress import Progress
from hindsight.scores import significance
from hindsight.settings import Ensemble, Verify
from hindsight.settings.lexicon import ON_LEVELS
from hindsight.settings.verify import Region
from hindsight.verify.regions import WHOLE, chosen_regions, holds

KEYS = ["network", "analysis", "use", "region", "platform", "channel"]
STATION = ["network", "analysis", "use", "platform", "channel", "station"]
READ = [
    "analysis",
    "time",
    "latitude",
    "longitude",
    "level",
    "channel",
    "platform",
    "code",
    "obs_error",
    "fg_depar",
    "an_depar",
]
READ += ["an_spread", "crps", "rank", "reference_depar", "station"]
SUMS = ["rows", "judged", "error", "squared", "variance", "expected", "crps", "background", "product"]
SUMS += ["compared", "reference", "reference_squared", "reference_absolute"]
SCALES = {"bias": "linear", "rmse": "log", "crps": "log", "spread_skill": "log"}  # scores that have an interval
ALL = "all"  # platforms together
LEVELS = np.array([1000, 925, 850, 700, 500, 400, 300, 250, 200, 150, 100, 70, 50, 30, 20, 10])  # hPa, mandatory levels
OURS = "diffusion"  # the analysis of which there are series
BINS = 60  # of a station's series


def run(
    product: Ensemble,
    settings: Verify,
    *,
    static: Path,
    feedback: list[Path],
    departures: Path,
    monthly: Path,
    ranks: Path,
    stations: Path,
    series: Path,
) -> None:
    """Summarise the departures of every analysis from the observations of every network."""
    watch, parts, histograms, by_place = Progress("verify.departures", len(feedback), "tables"), [], [], []
    starts = bin_starts(feedback)
    regions = chosen_regions(settings.regions, Grid.of(xr.load_dataset(static)))
    for number, path in enumerate(feedback):
        watch(number)
        table = with_use(pd.read_parquet(path, columns=READ).assign(network=path.parts[-3]))
        by_place = summed([*by_place, station_sums(table, product, starts)])
        for part in by_region(table, regions):
            parts.append(frame_sums(part, product))
            histograms.append(rank_counts(part, product))
    watch(len(feedback))
    sums = pd.concat(parts).groupby([*KEYS, "time"], sort=True).sum()
    write = lambda table, path: store.replace(
        path, lambda partial: table.to_csv(partial, index=False, float_format="%.6g")
    )
    write(summary(sums, settings.confidence), departures)
    write(by_month(sums), monthly)
    at_stations = pd.concat(by_place).groupby(level=[*STATION, "bin"]).sum()
    write(by_station(at_stations), stations)
    write(station_series(at_stations, starts), series)
    write(pd.concat(histograms).groupby(KEYS, sort=True).sum().reset_index(), ranks)


def with_use(table: pd.DataFrame) -> pd.DataFrame:
    """Feedback with the use of each row in words, and the nearest mandatory level in the name of what is on levels."""
    use = np.array([usage.BY_CODE[code] for code in table["code"]], object)
    return table.assign(use=use, channel=with_level(table["channel"], table["level"].to_numpy(float)))


def with_level(channel: pd.Series, level: np.ndarray) -> pd.Series:
    """Names of what is observed, with the mandatory level that is nearest in log pressure: `t 500 hPa`.

    Args:
        channel: names, N.
        level: hPa, NaN at the surface, (N,).
    """
    on_level = channel.isin(ON_LEVELS).to_numpy() & (level > 0)
    nearest = np.abs(np.log(level[on_level, None] / LEVELS)).argmin(1)
    names = channel.astype(object).to_numpy(copy=True)
    names[on_level] = [f"{name} {LEVELS[at]} hPa" for name, at in zip(names[on_level], nearest)]
    return pd.Series(names, channel.index)


def by_region(table: pd.DataFrame, regions: dict[str, Region]) -> Iterator[pd.DataFrame]:
    """The rows of every region, with the columns of `KEYS`: those of each platform, and those of all."""
    places = table["latitude"].to_numpy(), table["longitude"].to_numpy()
    for name, box in {WHOLE: None, **regions}.items():
        part = table if box is None else table[holds(box, *places)]
        yield part.assign(region=name)
        yield part.assign(region=name, platform=ALL)


def frame_sums(table: pd.DataFrame, product: Ensemble) -> pd.DataFrame:
    """Sums over the rows of each frame, `SUMS`, by `KEYS` and time.

    Args:
        table: feedback, with the columns of `KEYS`.
        product: number of members, and whether they are antithetic.
    """
    keys = [*KEYS, "time"]
    return table[keys].assign(**_terms(table, product)).groupby(keys, sort=False)[SUMS].sum()


def bin_starts(feedback: list[Path]) -> np.ndarray:
    """Starts of at most `BINS` equal parts, of whole hours, of the time that feedback covers."""
    groups = [file.row_group(k) for file in map(pq.read_metadata, feedback) for k in range(file.num_row_groups)]
    times = [known for group in groups if (known := _column(group, "time").statistics)]
    if not times:
        return np.zeros(1, "datetime64[ns]")
    first, last = np.datetime64(min(t.min for t in times), "h"), np.datetime64(max(t.max for t in times), "h")
    hours = int((last - first) / np.timedelta64(1, "h")) // BINS + 1
    return np.arange(first, last + 1, np.timedelta64(hours, "h")).astype("datetime64[ns]")


def station_sums(table: pd.DataFrame, product: Ensemble, starts: np.ndarray) -> pd.DataFrame:
    """Sums over the rows of each station and bin, `SUMS`, latitude and longitude, by `STATION` and `bin`.

    Args:
        table: feedback, with the columns of `STATION`.
        product: number of members, and whether they are antithetic.
        starts: of the bins.
    """
    bins = np.searchsorted(starts, table["time"].to_numpy("datetime64[ns]"), side="right") - 1
    places = table[[*STATION, "latitude", "longitude"]].assign(bin=bins, **_terms(table, product))
    return places.groupby([*STATION, "bin"], sort=False)[[*SUMS, "latitude", "longitude"]].sum()


def summed(sums: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Add up sums of equal keys as soon as new rows outnumber the others, so that memory does not grow with time.

    Args:
        sums: from `station_sums`; the first holds what was added up before.
    """
    if sum(map(len, sums[1:])) <= len(sums[0]):
        return sums
    return [pd.concat(sums).groupby(level=sums[0].index.names, sort=True).sum()]


def _terms(table: pd.DataFrame, product: Ensemble) -> dict[str, np.ndarray]:
    """What each row adds to the sums."""
    error, background, reference = (table[f"{name}_depar"].to_numpy(float) for name in ("an", "fg", "reference"))
    judged, compared = np.isfinite(error), np.isfinite(reference)
    variance = table["an_spread"].to_numpy(float) ** 2
    share = table["analysis"].map(product.mean_share).to_numpy(float)
    columns = {
        "rows": np.ones(len(table)),
        "judged": judged,
        "error": error,
        "squared": error**2,
        "variance": variance,
        "expected": (1 + share) * variance + np.where(judged, table["obs_error"].to_numpy(float) ** 2, 0.0),
        "crps": table["crps"].to_numpy(float),
        "background": np.where(judged, background**2, 0.0),
        "product": error * background,
        "compared": compared,
        "reference": reference,
        "reference_squared": reference**2,
        "reference_absolute": np.abs(reference),
    }
    return {name: np.nan_to_num(values.astype(float)) for name, values in columns.items()}


def scores(sums: pd.DataFrame | dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores from sums, or from any means of them, by the names of `SUMS`.

    Returns:
        `bias` (mean departure), `rmse`, fair `crps`, `spread` of the members, `spread_skill` with observation errors
        (1: departures are as large as spread and errors lead to expect), `background_rmse`, `observation_error`,
        estimated from both departures of observations that the analysis used (Desroziers et al. 2005,
        doi:10.1256/qj.05.108; too small where it fits them more closely than their errors allow), and `reference_bias`,
        `reference_rmse`, `reference_crps` of the truth or reference.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = {name: sums[name] / sums["judged"] for name in SUMS}
        other = {name: sums[name] / sums["compared"] for name in SUMS}
        return {
            "bias": mean["error"],
            "rmse": np.sqrt(mean["squared"]),
            "crps": mean["crps"],
            "spread": np.sqrt(mean["variance"]),
            "spread_skill": np.sqrt(mean["expected"] / mean["squared"]),
            "background_rmse": np.sqrt(mean["background"]),
            "observation_error": np.sqrt(mean["product"]),
            "reference_bias": other["reference"],
            "reference_rmse": np.sqrt(other["reference_squared"]),
            "reference_crps": other["reference_absolute"],
        }


def summary(sums: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Scores of the whole period by `KEYS`, with lower and upper limits of those of `SCALES`.

    Args:
        sums: by `KEYS` and time.
        confidence: of the intervals.
    """
    frames = np.sort(sums.index.get_level_values("time").unique())
    rows = []
    for key, part in sums.groupby(KEYS, sort=True):
        series = part.droplevel(KEYS).reindex(frames, fill_value=0.0)[SUMS]
        weighted = scores(dict(zip(SUMS, significance.weighted_means(series.to_numpy()).T)))
        row = dict(zip(KEYS, key)) | {"rows": int(series["rows"].sum())}
        for name, values in weighted.items():
            row[name] = values[0]
            if name in SCALES:
                row[f"{name}_lower"], row[f"{name}_upper"] = significance.interval(values, confidence, SCALES[name])
        rows.append(row)
    return _of_used(pd.DataFrame(rows))


def by_month(sums: pd.DataFrame) -> pd.DataFrame:
    """Number of rows and scores of each month by `KEYS`: a trend may come from a change in the number of rows."""
    month = sums.index.get_level_values("time").to_numpy("datetime64[M]")
    found = sums.assign(month=month.astype(str)).groupby([*KEYS, "month"], sort=True)[SUMS].sum()
    return _of_used(found[["rows"]].astype(int).assign(**scores(found)).reset_index())


def by_station(sums: pd.DataFrame) -> pd.DataFrame:
    """Number of rows and scores of each station by `STATION`, with its mean position, from `station_sums`."""
    found = sums.groupby(STATION, sort=True).sum()
    places = {name: found[name] / found["rows"] for name in ("latitude", "longitude")}
    return _of_used(found[["rows"]].astype(int).assign(**places, **scores(found)).reset_index())


def _of_used(table: pd.DataFrame) -> pd.DataFrame:
    """Scores, with the observation error only of rows that the analysis used: of others it would estimate nothing."""
    return table.assign(observation_error=table["observation_error"].where(table["use"] == "used"))


def station_series(sums: pd.DataFrame, starts: np.ndarray) -> pd.DataFrame:
    """Departures of the diffusion analysis at each station over time.

    Args:
        sums: from `station_sums`.
        starts: of the bins.

    Returns:
        `STATION` without the analysis, `start` of the bin, `rows`, `bias`, `rmse`, and `expected`, the standard
        deviation of a departure by spread and observation error together.
    """
    ours = sums[sums.index.get_level_values("analysis") == OURS].droplevel("analysis").sort_index()
    found = {name: values for name, values in scores(ours).items() if name in ("bias", "rmse")}
    expected = np.sqrt(ours["expected"] / ours["judged"].where(ours["judged"] > 0))
    start = starts[ours.index.get_level_values("bin")].astype("datetime64[h]")
    columns = {"start": start, "rows": ours["rows"].astype(int), **found, "expected": expected}
    return ours.assign(**columns)[[*columns]].reset_index().drop(columns="bin")


def rank_counts(table: pd.DataFrame, product: Ensemble) -> pd.DataFrame:
    """Number of rows with each rank, columns `rank_0` to `rank_E`, by `KEYS`; E members are ranked."""
    ranks = table["rank"].to_numpy()
    counts = (ranks[:, None] == np.arange(product.ranked + 1)).astype(int)
    columns = {f"rank_{number}": counts[:, number] for number in range(product.ranked + 1)}
    return pd.concat([table[KEYS], pd.DataFrame(columns, index=table.index)], axis=1).groupby(KEYS, sort=False).sum()


def _column(group: pq.RowGroupMetaData, name: str) -> pq.ColumnChunkMetaData:
    """A column of a row group."""
    return next(c for k in range(group.num_columns) if (c := group.column(k)).path_in_schema == name)
