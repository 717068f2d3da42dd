"""An observation table as the rows of an operator, normalised: what analyses and baselines are given alike."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import keyed
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.footprint import places


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
