"""Cross-validation: scores at all stations of a network, each judged by an analysis from which it was withheld.

A network with `folds: 5` is analysed five times, each time with another fifth of its stations withheld. The scores are
those of `departures`, over the withheld rows of all folds together.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.fields.usage import WITHHELD
from hindsight.progress import Progress
from hindsight.settings import Ensemble, Verify
from hindsight.settings.observe import FOLD
from hindsight.verify import departures
from hindsight.verify.regions import chosen_regions

PART = [*departures.KEYS, "fold"]


def run(product: Ensemble, settings: Verify, *, static: Path, feedback: list[Path], table: Path) -> None:
    """Score each station of networks with folds by the analyses from which it was withheld, and print the scores.

    Args:
        product: number of members, and whether they are antithetic.
        settings: confidence of the intervals, regions.
        static: whose grid the regions are on.
        feedback: of the networks of all folds, `NETWORK_foldN/{analysis}/{shard}.parquet`.
        table: the scores (CSV).

    Raises:
        UserError: if there is no network with folds.
    """
    if not feedback:
        raise UserError(
            "no network has folds, so there is nothing to cross-validate; set observe.networks.NAME.folds to the "
            "number of parts of its stations (5, say), and run snakemake cross_validation again"
        )
    regions = chosen_regions(settings.regions, Grid.of(xr.load_dataset(static)))
    watch, parts, stations = Progress("verify.cross_validation", len(feedback), "tables"), [], []
    for number, path in enumerate(feedback):
        watch(number)
        rows = withheld_rows(path)
        stations.append(rows[["network", "analysis", "channel", "station", "fold"]].drop_duplicates())
        for part in departures.by_region(rows, regions):
            parts.append(departures.frame_sums(part, product).assign(fold=fold_of(path)[1]))
    watch(len(feedback))
    found = scores(pd.concat(parts), settings.confidence)
    check_stations(pd.concat(stations).drop_duplicates())
    store.replace(table, lambda partial: found.to_csv(partial, index=False, float_format="%.6g"))
    print("\n".join(lines(found)))


def withheld_rows(path: Path) -> pd.DataFrame:
    """The rows of a fold's feedback that were withheld from the analysis, with its `fold` and its plain `network`."""
    network, fold = fold_of(path)
    rows = departures.with_use(pd.read_parquet(path, columns=departures.READ))
    return rows[rows["use"] == WITHHELD].assign(network=network, fold=fold)


def fold_of(path: Path) -> tuple[str, int]:
    """The plain network, and the number of the fold, of a table of feedback."""
    network, _, fold = path.parts[-3].rpartition(FOLD)
    return network, int(fold)


def check_stations(stations: pd.DataFrame) -> None:
    """Refuse stations that were withheld in more than one fold: the tables are of different settings.

    Args:
        stations: network, analysis, channel, station and fold, each row once.
    """
    keys = ["network", "analysis", "channel", "station"]
    if (twice := stations[stations.duplicated(keys)]).size:
        raise UserError(
            f"{twice['station'].nunique()} station(s) were withheld in two folds, {twice['station'].iloc[0]} for "
            "example: the observation tables of folds are of different settings; remake them with --forcerun select "
            "simulate"
        )


def scores(sums: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Scores of all folds together, by the keys of `departures`, and the least and greatest RMSE of single folds.

    Args:
        sums: from `departures.frame_sums`, with a column `fold`.
        confidence: of the intervals.
    """
    whole = departures.summary(sums.drop(columns="fold").groupby([*departures.KEYS, "time"]).sum(), confidence)
    by_fold = sums.reset_index().groupby(PART)[departures.SUMS].sum()
    rmse = pd.Series(departures.scores(by_fold)["rmse"], by_fold.index).groupby(level=departures.KEYS)
    ends = pd.DataFrame({"folds": rmse.size(), "least_rmse": rmse.min(), "greatest_rmse": rmse.max()})
    return whole.drop(columns=["use", "observation_error"]).merge(ends.reset_index().drop(columns="use"))


def lines(scored: pd.DataFrame) -> list[str]:
    """The scores as a table of text, over the whole domain and all platforms."""
    of = scored[(scored["region"] == departures.WHOLE) & (scored["platform"] == departures.ALL)]
    head = f"{'network':16}{'channel':10}{'analysis':24}{'rows':>9}{'RMSE':>10}{'of folds':>20}"
    text = [f"{head}{'CRPS':>10}{'spread/skill':>14}"]
    for row in of.sort_values(["network", "channel", "rmse"]).itertuples():
        folds = f"{row.least_rmse:.4g} to {row.greatest_rmse:.4g}"
        ratio = "" if np.isnan(row.spread_skill) else f"{row.spread_skill:.3f}"
        text.append(
            f"{row.network:16}{row.channel:10}{row.analysis:24}{row.rows:>9,}{row.rmse:>10.4g}{folds:>20}"
            f"{row.crps:>10.4g}{ratio:>14}"
        )
    return text
