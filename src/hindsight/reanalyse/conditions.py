"""Observations of a stretch of frames, as tensors that a guidance understands."""

import numpy as np
import pandas as pd
import torch

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.footprint import places as rows_of
from hindsight.operators.observed import Observed


def observed(table: pd.DataFrame, times: np.ndarray, channels: list[str], grid: Grid, scaling: Scaling) -> Observed:
    """Sort observations into frames and normalise them.

    Args:
        table: the rows that the analysis may use.
        times: of the frames, T.
        channels: of the state; rows of other channels are left out.
        grid: of the state.
        scaling: climatology and spread; the climatology at a place is interpolated as the state is.

    Raises:
        UserError: if a row lies outside the grid.
    """
    index = pd.Index(times)
    table = table[table["channel"].isin(channels) & table["time"].isin(index)]
    frame = index.get_indexer(table["time"])
    channel = pd.Index(channels).get_indexer(table["channel"])
    try:
        places = rows_of(grid, table)
    except ValueError as error:
        raise UserError(f"an observation {error}; take it out of the table or enlarge the domain") from None
    point = places.point + channel[:, None] * np.prod(grid.shape)
    climatology = scaling.climatology(times).reshape(len(times), -1)
    expected = (climatology[frame[:, None], point] * places.weight).sum(1)
    value = (table["value"].to_numpy() - expected) / scaling.spread[channel]
    error = table["error"].to_numpy() / scaling.spread[channel]
    measure = np.broadcast_to(scaling.measure, grid.shape).ravel()[places.point]
    return _padded(frame, len(times), point, places.weight / measure, value, error)


def _padded(frame: np.ndarray, frames: int, *columns: np.ndarray) -> Observed:
    """Rows to (T, N, …), N the most that a frame has."""
    order = np.argsort(frame, kind="stable")
    counts = np.bincount(frame, minlength=frames)
    most = int(counts.max(initial=0))
    place = np.concatenate([np.arange(n) for n in counts]).astype(int)
    filled = []
    for column in columns:
        target = np.zeros((frames, most, *column.shape[1:]), column.dtype)
        target[frame[order], place] = column[order]
        filled.append(target)
    present = np.arange(most) < counts[:, None]
    point, weight, value, error = filled
    as_float = lambda array: torch.tensor(array.astype(np.float32))
    return Observed(torch.tensor(point), as_float(weight), as_float(value), as_float(error), as_float(present))
