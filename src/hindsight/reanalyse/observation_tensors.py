"""A table of observations as tensors for a stretch of frames."""

import numpy as np
import pandas as pd
import torch

from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.linear import LinearObservations
from hindsight.operators.rows import Rows, normalise


def from_table(
    table: pd.DataFrame, times: np.ndarray, channels: list[str], grid: Grid, scaling: Scaling
) -> LinearObservations:
    """Sort observations into frames and normalise them.

    Args:
        table: the rows that the analysis may use.
        times: of the frames, T.
        channels: of the state; rows that cannot be computed from them are left out.
        grid: of the state.
        scaling: climatology and spread; the climatology is interpolated to a place as the state is.

    Returns:
        The observations, but for those that depend on frames before the first or after the last.

    Raises:
        UserError: if a row lies outside the grid.
    """
    index = pd.Index(times)
    step_hours = (times[1] - times[0]) / np.timedelta64(1, "h") if len(times) > 1 else 1  # with one frame, any
    rows = normalise(table[table["time"].isin(index)], channels, grid, scaling, step_hours)
    frame = index.get_indexer(rows.time)
    if rows.offset is not None:
        needed = frame[:, None] + rows.offset
        inside = ((needed >= 0) & (needed < len(times))).all(1)
        frame, rows = frame[inside], rows.each(lambda column: column[inside])
    return _padded(frame, len(times), rows)


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


def _padded(frame: np.ndarray, frames: int, rows: Rows) -> LinearObservations:
    """Rows to tensors (T, N, …), N the largest number of rows in a frame."""
    order = np.argsort(frame, kind="stable")
    counts = np.bincount(frame, minlength=frames)
    most = int(counts.max(initial=0))
    place = np.concatenate([np.arange(n) for n in counts]).astype(int)

    def fill(column: np.ndarray) -> torch.Tensor:
        column = column.astype(np.int64) if column.dtype.kind == "M" else column
        target = np.zeros((frames, most, *column.shape[1:]), column.dtype)
        target[frame[order], place] = column[order]
        return torch.tensor(target.astype(np.float32) if column.dtype.kind == "f" else target)

    filled = rows.each(fill)
    present = torch.tensor((np.arange(most) < counts[:, None]).astype(np.float32))
    numbers = filled.point, filled.weight, filled.value, filled.error, present
    return LinearObservations(*numbers, filled.key, filled.offset, filled.nonlinear)
