"""Observations as rows of a normalised observation operator, for the analyses and the baselines."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import perturbations
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.footprint import observation_operator

GROSS = 10.0  # standard deviations
NAMED = 5  # gross errors that a message names


@dataclass(frozen=True)
class Rows:
    """N observations of a flat, normalised state of C * H * W values: y_n = sum_k weight[n, k] x[point[n, k]].

    `value` (N,) are departures from the climatology at the station, `error` (N,) the observation errors (standard
    deviations), both in standard deviations of the channel.
    """

    time: np.ndarray  # (N,)
    point: np.ndarray  # (N, K)
    weight: np.ndarray  # (N, K)
    value: np.ndarray
    error: np.ndarray
    key: np.ndarray  # (N,), for the perturbations, see `perturbations.keys`

    def __len__(self) -> int:
        return len(self.time)


def normalise(table: pd.DataFrame, channels: list[str], grid: Grid, scaling: Scaling) -> Rows:
    """Normalise observations in the same way as the state.

    Args:
        table: the rows that an analysis may use; rows of other channels are dropped.
        channels: of the state.
        grid: of the state.
        scaling: climatology and spread; the climatology at a station is interpolated like the state.

    Raises:
        UserError: if a row lies outside the grid.
    """
    table = table[table["channel"].isin(channels)]
    channel = pd.Index(channels).get_indexer(table["channel"])
    try:
        found = observation_operator(grid, table)
    except ValueError as error:
        raise UserError(f"an observation {error}; remove it from the table or enlarge the domain") from None
    point = found.point + channel[:, None] * np.prod(grid.shape)
    times = table["time"].to_numpy("datetime64[ns]")
    unique, back = np.unique(times, return_inverse=True)
    climatology = scaling.climatology(unique).reshape(len(unique), len(channels) * int(np.prod(grid.shape)))
    expected = (climatology[back[:, None], point] * found.weight).sum(1)
    measure = np.broadcast_to(scaling.measure, grid.shape).ravel()[found.point]
    return Rows(
        times,
        point,
        found.weight / measure,
        (table["value"].to_numpy() - expected) / scaling.spread[channel],
        table["error"].to_numpy() / scaling.spread[channel],
        perturbations.keys(table),
    )


def reject_gross_errors(
    table: pd.DataFrame, channels: list[str], grid: Grid, scaling: Scaling, extremes: np.ndarray | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate observations with gross errors from the others.

    A gross error departs from the climatology by more than `GROSS` standard deviations (of the channel and of the
    observation error together) and lies outside the range of the channel in the training period. Extreme
    rain, which is within the range, meets the first condition only and is used.

    Args:
        table: as for `normalise`.
        channels: of the state; rows of other channels are dropped.
        grid: of the state.
        scaling: climatology and spread.
        extremes: least and largest value of each channel in the training period (2, C); none:
            the first condition decides.

    Returns:
        The rows to be used, and the rejected ones with their `departure` in standard deviations.
    """
    table = table[table["channel"].isin(channels)]
    rows, values = normalise(table, channels, grid, scaling), table["value"].to_numpy()
    gross = np.abs(rows.value) > GROSS * np.sqrt(1 + rows.error**2)
    if extremes is not None:
        lowest, highest = np.asarray(extremes)[:, pd.Index(channels).get_indexer(table["channel"])]
        gross &= (values < lowest) | (values > highest)
    return table[~gross], table[gross].assign(departure=rows.value[gross])


def gross_error_note(gross: pd.DataFrame, count: int) -> str:
    """A sentence on the gross errors among `count` observations that lists the largest; empty if there are none."""
    if gross.empty:
        return ""
    worst = gross.sort_values("departure", key=lambda far: -far.abs(), kind="stable").head(NAMED)
    named = [
        f"{row.channel} {row.value:g} at {row.latitude:g} N, {row.longitude:g} E, "
        f"{pd.Timestamp(row.time):%Y-%m-%dT%H:%M} ({row.departure:+.0f})"
        for row in worst.itertuples()
    ]
    return (
        f"{len(gross)} of {count} observations are rejected as gross errors, more than {GROSS:g} standard deviations "
        f"from the climatology and outside the range of the training period: {'; '.join(named)}"
        f"{' and others' if len(gross) > NAMED else ''}; to keep them, raise observe.networks.NAME.error"
    )
