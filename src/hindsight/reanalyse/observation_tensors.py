"""A table of observations as tensors for a stretch of frames."""

import numpy as np
import pandas as pd
import torch

from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.linear import LinearObservations
from hindsight.operators.rows import normalise


def from_table(
    table: pd.DataFrame, times: np.ndarray, channels: list[str], grid: Grid, scaling: Scaling
) -> LinearObservations:
    """Sort observations into frames and normalise them.

    Args:
        table: the rows that the analysis may use.
        times: of the frames, T.
        channels: of the state; rows of other channels are left out.
        grid: of the state.
        scaling: climatology and spread; the climatology is interpolated to a place as the state is.

    Returns:
        The observations, but for those that depend on frames before the first or after the last.

    Raises:
        UserError: if a row lies outside the grid.
    """
    index = pd.Index(times)
    step_hours = int((times[1] - times[0]) / np.timedelta64(1, "h")) if len(times) > 1 else 1  # of one frame: any
    rows = normalise(table[table["time"].isin(index)], channels, grid, scaling, step_hours)
    frame = index.get_indexer(rows.time)
    columns = [rows.point, rows.weight, rows.value, rows.error, rows.key]
    if rows.offset is None:
        return _padded(frame, len(times), *columns)
    needed = frame[:, None] + rows.offset
    inside = ((needed >= 0) & (needed < len(times))).all(1)
    return _padded(frame[inside], len(times), *(column[inside] for column in (*columns, rows.offset)))


def largest_departures(observations: LinearObservations, channels: int, size: int) -> list[float]:
    """The largest observed departure of each channel from the climatology, in standard deviations.

    Args:
        observations: normalised.
        channels: number of channels of the state.
        size: values of the state.
    """
    present = observations.present > 0
    channel = observations.point[..., 0][present] // (size // channels)
    largest = torch.zeros(channels, dtype=observations.value.dtype)
    return largest.scatter_reduce_(0, channel, observations.value[present].abs(), "amax").tolist()


def _padded(frame: np.ndarray, frames: int, *columns: np.ndarray) -> LinearObservations:
    """Columns of rows to tensors (T, N, …), N the largest number of rows in a frame."""
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
    point, weight, value, error, key, *offset = filled
    as_float = lambda array: torch.tensor(array.astype(np.float32))
    floats = (as_float(array) for array in (weight, value, error, present))
    return LinearObservations(torch.tensor(point), *floats, torch.tensor(key), *map(torch.tensor, offset))
