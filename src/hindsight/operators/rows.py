"""An observation table as the rows of an operator, normalised: what analyses and baselines are given alike."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import keyed
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.footprint import places

GROSS = 10.0  # standard deviations
NAMED = 5  # of the gross ones


@dataclass(frozen=True)
class Rows:
    """N observations of a flat, normalised state of C * H * W values: y_n = sum_k weight[n, k] x[point[n, k]].

    `value` (N,) are departures from the climatology at the place, `error` (N,) their standard deviations, both in
    standard deviations of the channel.
    """

    time: np.ndarray  # (N,)
    point: np.ndarray  # (N, K)
    weight: np.ndarray  # (N, K)
    value: np.ndarray
    error: np.ndarray
    key: np.ndarray  # (N,), what its perturbations belong to, see `keyed`

    def __len__(self) -> int:
        return len(self.time)


def normalised(table: pd.DataFrame, channels: list[str], grid: Grid, scaling: Scaling) -> Rows:
    """Normalise observations as the state is.

    Args:
        table: the rows that an analysis may use; those of other channels are left out.
        channels: of the state.
        grid: of the state.
        scaling: climatology and spread; the climatology at a place is interpolated as the state is.

    Raises:
        UserError: if a row lies outside the grid.
    """
    table = table[table["channel"].isin(channels)]
    channel = pd.Index(channels).get_indexer(table["channel"])
    try:
        found = places(grid, table)
    except ValueError as error:
        raise UserError(f"an observation {error}; take it out of the table or enlarge the domain") from None
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
        keyed.keys(table),
    )


def screened(
    table: pd.DataFrame, channels: list[str], grid: Grid, scaling: Scaling, extremes: np.ndarray | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the observations that may be used from those that are grossly wrong.

    Gross is what is `GROSS` standard deviations, of the channel and of the observation's error together, from the
    climatology, and besides outside all that the channel had in the training period (a cloudburst is the one, and not
    the other).

    Args:
        table: as for `normalised`.
        channels: of the state; rows of others are left out.
        grid: of the state.
        scaling: climatology and spread.
        extremes: least and largest value of each channel in the training period (2, C); none: anything may be outside.

    Returns:
        The rows to be used, and the gross ones with their `departure` in standard deviations.
    """
    table = table[table["channel"].isin(channels)]
    rows, values = normalised(table, channels, grid, scaling), table["value"].to_numpy()
    gross = np.abs(rows.value) > GROSS * np.sqrt(1 + rows.error**2)
    if extremes is not None:
        lowest, highest = np.asarray(extremes)[:, pd.Index(channels).get_indexer(table["channel"])]
        gross &= (values < lowest) | (values > highest)
    return table[~gross], table[gross].assign(departure=rows.value[gross])


def told(gross: pd.DataFrame, count: int) -> str:
    """A sentence on the gross ones of so many observations, and the furthest of them by name; nothing of none."""
    if gross.empty:
        return ""
    worst = gross.sort_values("departure", key=lambda far: -far.abs(), kind="stable").head(NAMED)
    named = [
        f"{row.channel} {row.value:g} at {row.latitude:g} N, {row.longitude:g} E, "
        f"{pd.Timestamp(row.time):%Y-%m-%dT%H:%M} ({row.departure:+.0f})"
        for row in worst.itertuples()
    ]
    return (
        f"{len(gross)} of {count} observations are left out as grossly wrong, further than {GROSS:g} standard "
        f"deviations from the climatology and outside all that the training period had: {'; '.join(named)}"
        f"{' and others' if len(gross) > NAMED else ''}; a larger error in the table would keep them"
    )
