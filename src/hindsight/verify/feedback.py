"""Feedback: every observation of a shard, its code, and its departures, in one format for all analyses.

Names are those of ECMWF's observation feedback where it has them (`obsvalue`, `biascorr`, `obs_error`, `fg_depar`,
`an_depar`). The background of all analyses is the climatology. To compare an observation with members, random
observation errors are added to these.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr
from scipy.special import ndtr

from hindsight.fields import analyses as analysis_files
from hindsight.fields import calendar, intervals, perturbations, store, transforms, usage
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling, extremes
from hindsight.fields.transforms import NONE
from hindsight.operators import time_weights
from hindsight.operators.evaluate import evaluate
from hindsight.operators.rows import reject_gross_errors
from hindsight.scores import ensemble
from hindsight.settings import Division, DomainWithoutPeriods
from hindsight.settings.preprocess import CensoredLogarithm

PURPOSE = 8 << 32  # keeps this module's random numbers apart from those of analyses
TIES = PURPOSE + 1  # of the ranks of values that equal members
ROWS = 100_000  # of a row group
COLUMNS = {
    "analysis": "name of the analysis",
    "time": "time of the frame (UTC)",
    "latitude": "degrees north",
    "longitude": "degrees east",
    "elevation": "of the instrument, m",
    "level": "hPa; NaN at the surface",
    "channel": "what is observed",
    "platform": "kind of the platform",
    "station": "name of the station",
    "source": "where the observation comes from",
    "time_weights": "weights of frames, by their distance from `time`, of what is observed; empty: the frame at `time`",
    "code": "0: used; else the first reason against its use, see the codes of observations",
    "reasons": "all reasons, as bits: 2 ** code",
    "obsvalue": "observed value, before its bias is subtracted, in the channel's units, as all below",
    "biascorr": "bias that was subtracted",
    "obs_error": "standard deviation of the observation error",
    "fg_depar": "observation minus the background, which is the climatology",
    "others_depar": "observation minus its estimate by the linear prior from all other reports; NaN if not judged",
    "others_spread": "standard deviation of others_depar",
    "reference_depar": "observation minus the truth or reference; NaN where there is none",
    "an_depar": "observation minus the mean of the analysis",
    "an_spread": "standard deviation of the members at the observation, without observation errors",
    "crps": "fair CRPS of the members, with random observation errors",
    "rank": "number of members, with random observation errors, that lie below the observation; -1: none",
}
TEXT = ("analysis", "channel", "platform", "station", "source", "time_weights")
SINGLE = ("biascorr", "obs_error", "fg_depar", "an_depar", "an_spread", "crps", "reference_depar")
SINGLE += ("others_depar", "others_spread", "level", "elevation")


def run(
    domain: DomainWithoutPeriods,
    product: Division,
    *,
    shard: str,
    fields: Path,
    climatology: Path,
    statistics: Path,
    observations: Path,
    analyses: list[Path],
    feedback: Path,
) -> None:
    """Write the feedback of a shard: every observation with its code and its departures from an analysis.

    Args:
        domain: channels and time step.
        product: seed, and whether members are antithetic.
        shard: its interval of frames.
        fields: truth or reference of the period (`fields.zarr`).
        climatology: of the fields.
        statistics: of the fields.
        observations: table of the network and shard.
        analyses: files of one analysis, of the shard and those beside it, on whose frames means over time may depend.
        feedback: the table to write.
    """
    dataset, scaling = store.read(fields), Scaling.read(climatology, statistics)
    grid, table = Grid.of(dataset), tables.read([observations])
    own = intervals.parse(shard, domain.step_hours).times
    described = describe(table, own, domain, grid, scaling, extremes(statistics))
    rows = np.flatnonzero(_evaluable(table, domain.channels, grid))
    part, times = table.iloc[rows].reset_index(drop=True), _frames(table, own, domain.step_hours)
    at_rows = lambda values, when: evaluate(part, domain.channels, grid, when, values)
    value = part["value"].to_numpy(float)
    described.loc[rows, "fg_depar"] = value - at_rows(scaling.climatology(times), times)
    described.loc[rows, "reference_depar"] = value - at_rows(_reference(dataset, times), times)
    found = analysis_files.read(analyses, times)
    members = at_rows(found["analysis"].values.astype(float), found["time"].values)
    chosen, numbers = scaling.transforms.named(domain.channels), found["realization"].values.tolist()
    for column, values in compare_members(members, part, numbers, product, chosen).items():
        described.loc[rows, column] = values
    write(described.assign(analysis=found.attrs["analysis"]), feedback)


def describe(
    table: pd.DataFrame,
    times: np.ndarray,
    domain: DomainWithoutPeriods,
    grid: Grid,
    scaling: Scaling,
    limits: np.ndarray | None,
) -> pd.DataFrame:
    """The columns of observations that do not depend on an analysis, with NaN for all others.

    Args:
        table: observation table of a network.
        times: of the shard's frames.
        domain: channels and time step.
        grid: of the fields.
        scaling: of the fields.
        limits: least and largest value of each channel in the training period.

    Returns:
        As many rows; those that analyses reject as gross errors have that code.
    """
    table = table.assign(**{name: value for name, value in tables.OPTIONAL.items() if name not in table})
    codes = usage.codes(table, times, domain.channels, grid)
    used = table[codes.first == usage.CODES[usage.USED]]
    gross = reject_gross_errors(used, domain.channels, grid, scaling, limits, domain.step_hours)[1].index
    codes = codes.with_reason(usage.BACKGROUND, table.index.isin(gross))
    known = {"code": codes.first, "reasons": codes.bits | table["reasons"], "obsvalue": table["value"] + table["bias"]}
    names, values, errors = (table[name].to_numpy() for name in ("channel", "value", "error"))
    physical = transforms.physical_errors(names, values, errors, scaling.transforms.named(domain.channels))
    known |= {"biascorr": table["bias"], "obs_error": physical, "rank": -1}
    known |= {"others_depar": table["departure"], "others_spread": table["departure_spread"]}
    return table.assign(**known).reindex(columns=[*COLUMNS])


def compare_members(
    members: np.ndarray,
    table: pd.DataFrame,
    numbers: list[int],
    product: Division,
    chosen: Mapping[str, CensoredLogarithm] = NONE,
) -> dict[str, np.ndarray]:
    """Departures of observations from an analysis.

    Args:
        members: equivalents of the observations, (E, N); NaN where frames are missing.
        table: the observations, N rows.
        numbers: of the members.
        product: seed of the random observation errors, and whether members are antithetic.
        chosen: transforms by channel; errors of these channels are added as their settings say.

    Returns:
        `an_depar`, `an_spread`, `crps` and `rank`, (N,) each; the spread of a single member is NaN. The rank of a value
        is that among `ensemble.ranked` members; if it equals n of them (no rain, for example), it gets one of its n + 1
        possible ranks at random.
    """
    value, known = table["value"].to_numpy(float), np.isfinite(members).all(0)
    noise = perturbations.normal(product.seed, PURPOSE, numbers, 0, perturbations.keys(table))
    noise = noise * table["error"].to_numpy(float)
    noisy, several = transforms.perturbed(table["channel"].to_numpy(object), members, noise, chosen), len(members) > 1
    among = ensemble.mean_difference(noisy, product.antithetic) if several else np.nan
    variance = ensemble.variances(members, product.antithetic)[0] if several else np.full(len(value), np.nan)
    return {
        "an_depar": value - members.mean(0),
        "an_spread": np.sqrt(variance),
        "crps": np.abs(noisy - value).mean(0) - among / 2,
        "rank": np.where(known, _ranks(ensemble.ranked(noisy, product.antithetic), value, table, product.seed), -1),
    }


def _ranks(members: np.ndarray, value: np.ndarray, table: pd.DataFrame, seed: int) -> np.ndarray:
    """The number of members (E, N) below each value (N,); of members equal to it, a random number counts as below."""
    below, equal = (members < value).sum(0), (members == value).sum(0)
    if not equal.any():
        return below
    chance = perturbations.normal(seed, TIES, [0], 0, perturbations.keys(table))[0]
    return below + np.floor(ndtr(chance) * (equal + 1)).astype(int)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a feedback table as Parquet, in the order of time, channel and station, with its descriptions."""
    table = table.sort_values(["time", "channel", "station"], kind="stable", ignore_index=True)
    table = table.astype({name: "float32" for name in SINGLE} | {"code": "int8", "reasons": "int32", "rank": "int16"})
    plain = pa.Table.from_pandas(table[[*COLUMNS]].astype({name: "str" for name in TEXT}), preserve_index=False)
    schema = [field.with_metadata({"description": COLUMNS[field.name]}) for field in plain.schema]
    plain = plain.cast(pa.schema(schema))
    options = {"row_group_size": ROWS, "compression": "zstd", "use_dictionary": [*TEXT]}
    store.replace(path, lambda partial: pq.write_table(plain, partial, **options))


def _evaluable(table: pd.DataFrame, channels: list[str], grid: Grid) -> np.ndarray:
    """Whether the operators can tell what each row would measure, (N,)."""
    placed = np.isfinite(table[["latitude", "longitude"]].to_numpy(float)).all(1) & usage.inside(table, grid)
    return placed & usage.observable(table, channels) & table["time"].notna().to_numpy()


def _frames(table: pd.DataFrame, own: np.ndarray, step_hours: float) -> np.ndarray:
    """The frames of a shard and those beside it that observations depend on."""
    offsets = time_weights.arrays(table)[0]
    before, after = -int(min(offsets.min(initial=0), 0)), int(max(offsets.max(initial=0), 0))
    return own[0] + np.arange(-before, len(own) + after) * intervals.time_step(step_hours)


def _reference(dataset: xr.Dataset, times: np.ndarray) -> np.ndarray:
    """The fields at some times, NaN where they have none."""
    available = dataset["time"].values[calendar.available(dataset)]
    found = dataset["fields"].sel(time=np.intersect1d(available, times))
    return found.reindex(time=times).values.astype(float)
