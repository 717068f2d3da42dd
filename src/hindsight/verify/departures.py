"""Departures from observations, summarised from the feedback: by use, region, platform, channel, and by month.

Sums over the rows of a frame are formed first, and every score is a function of time means of these sums, so that
intervals account for correlation in time (`scores.significance`). Departures are observation minus analysis, in the
channel's units. Used observations are fitted by the analyses: only withheld ones tell how good they are.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import store, usage
from hindsight.fields.grid import Grid
from hindsight.progress import Progress
from hindsight.scores import significance
from hindsight.settings import Ensemble, Verify
from hindsight.settings.verify import Region
from hindsight.verify.regions import WHOLE, chosen_regions, holds

KEYS = ["network", "analysis", "use", "region", "platform", "channel"]
STATION = ["network", "analysis", "use", "platform", "channel", "station"]
READ = ["analysis", "time", "latitude", "longitude", "channel", "platform", "code", "obs_error", "fg_depar", "an_depar"]
READ += ["an_spread", "crps", "rank", "reference_depar", "station"]
SUMS = ["rows", "judged", "error", "squared", "variance", "expected", "crps", "background", "product"]
SUMS += ["compared", "reference", "reference_squared", "reference_absolute"]
SCALES = {"bias": "linear", "rmse": "log", "crps": "log", "spread_skill": "log"}  # scores that have an interval
ALL = "all"  # platforms together


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
) -> None:
    """Summarise the departures of every analysis from the observations of every network."""
    watch, parts, histograms, places = Progress("verify.departures", len(feedback), "tables"), [], [], []
    regions = chosen_regions(settings.regions, Grid.of(xr.load_dataset(static)))
    for number, path in enumerate(feedback):
        watch(number)
        table = with_use(pd.read_parquet(path, columns=READ).assign(network=path.parts[-3]))
        places.append(station_sums(table, product.members))
        for part in by_region(table, regions):
            parts.append(frame_sums(part, product.members))
            histograms.append(rank_counts(part, product.members))
    watch(len(feedback))
    sums = pd.concat(parts).groupby([*KEYS, "time"], sort=True).sum()
    write = lambda table, path: store.replace(
        path, lambda partial: table.to_csv(partial, index=False, float_format="%.6g")
    )
    write(summary(sums, settings.confidence), departures)
    write(by_month(sums), monthly)
    write(by_station(pd.concat(places)), stations)
    write(pd.concat(histograms).groupby(KEYS, sort=True).sum().reset_index(), ranks)


def with_use(table: pd.DataFrame) -> pd.DataFrame:
    """Feedback with the use of each row in words."""
    return table.assign(use=np.array([usage.BY_CODE[code] for code in table["code"]], object))


def by_region(table: pd.DataFrame, regions: dict[str, Region]) -> Iterator[pd.DataFrame]:
    """The rows of every region, with the columns of `KEYS`: those of each platform, and those of all."""
    places = table["latitude"].to_numpy(), table["longitude"].to_numpy()
    for name, box in {WHOLE: None, **regions}.items():
        part = table if box is None else table[holds(box, *places)]
        yield part.assign(region=name)
        yield part.assign(region=name, platform=ALL)


def frame_sums(table: pd.DataFrame, members: int) -> pd.DataFrame:
    """Sums over the rows of each frame, `SUMS`, by `KEYS` and time.

    Args:
        table: feedback, with the columns of `KEYS`.
        members: in the ensemble, E.
    """
    keys = [*KEYS, "time"]
    return table[keys].assign(**_terms(table, members)).groupby(keys, sort=False)[SUMS].sum()


def station_sums(table: pd.DataFrame, members: int) -> pd.DataFrame:
    """Sums over the rows of each station, `SUMS`, latitude and longitude, by `STATION`; see `frame_sums`."""
    places = table[[*STATION, "latitude", "longitude"]].assign(**_terms(table, members))
    return places.groupby(STATION, sort=False)[[*SUMS, "latitude", "longitude"]].sum()


def _terms(table: pd.DataFrame, members: int) -> dict[str, np.ndarray]:
    """What each row adds to the sums."""
    error, background, reference = (table[f"{name}_depar"].to_numpy(float) for name in ("an", "fg", "reference"))
    judged, compared = np.isfinite(error), np.isfinite(reference)
    variance = table["an_spread"].to_numpy(float) ** 2
    columns = {
        "rows": np.ones(len(table)),
        "judged": judged,
        "error": error,
        "squared": error**2,
        "variance": variance,
        "expected": (1 + 1 / members) * variance + np.where(judged, table["obs_error"].to_numpy(float) ** 2, 0.0),
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
        (1: the departures are as large as spread and observation errors tell), `background_rmse`, `observation_error`,
        estimated from both departures (Desroziers et al. 2005, doi:10.1256/qj.05.108; too small where an analysis fits
        what it uses), and `reference_bias`, `reference_rmse`, `reference_crps` of the truth or reference.
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
    return pd.DataFrame(rows)


def by_month(sums: pd.DataFrame) -> pd.DataFrame:
    """Number of rows and scores of each month by `KEYS`: artificial trends show beside the numbers of observations."""
    month = sums.index.get_level_values("time").to_numpy("datetime64[M]")
    found = sums.assign(month=month.astype(str)).groupby([*KEYS, "month"], sort=True)[SUMS].sum()
    return found[["rows"]].astype(int).assign(**scores(found)).reset_index()


def by_station(sums: pd.DataFrame) -> pd.DataFrame:
    """Number of rows and scores of each station by `STATION`, with its mean position."""
    found = sums.groupby(STATION, sort=True).sum()
    places = {name: found[name] / found["rows"] for name in ("latitude", "longitude")}
    return found[["rows"]].astype(int).assign(**places, **scores(found)).reset_index()


def rank_counts(table: pd.DataFrame, members: int) -> pd.DataFrame:
    """Number of rows with each rank, columns `rank_0` to `rank_E`, by `KEYS`."""
    ranks = table["rank"].to_numpy()
    counts = (ranks[:, None] == np.arange(members + 1)).astype(int)
    columns = {f"rank_{number}": counts[:, number] for number in range(members + 1)}
    return pd.concat([table[KEYS], pd.DataFrame(columns, index=table.index)], axis=1).groupby(KEYS, sort=False).sum()
