"""Observations of a stretch of frames, as tensors that a guidance understands."""

import numpy as np
import pandas as pd
import torch

from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.observed import Observed
from hindsight.operators.rows import normalised


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
    rows = normalised(table[table["time"].isin(index)], channels, grid, scaling)
    return _padded(index.get_indexer(rows.time), len(times), rows.point, rows.weight, rows.value, rows.error, rows.key)


def furthest(seen: Observed, channels: int, size: int) -> list[float]:
    """The largest departure from the climatology that is observed of each channel, in standard deviations.

    Args:
        seen: the observations.
        channels: of the state.
        size: values of the state.
    """
    there = seen.present > 0
    channel = seen.point[..., 0][there] // (size // channels)
    found = torch.zeros(channels, dtype=seen.value.dtype)
    return found.scatter_reduce_(0, channel, seen.value[there].abs(), "amax").tolist()


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
    point, weight, value, error, key = filled
    as_float = lambda array: torch.tensor(array.astype(np.float32))
    floats = (as_float(array) for array in (weight, value, error, present))
    return Observed(torch.tensor(point), *floats, torch.tensor(key))
