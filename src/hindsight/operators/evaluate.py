"""What observations would measure in given fields: the observation operator itself, without linearisation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hindsight.fields.grid import Grid
from hindsight.operators import derived, time_weights
from hindsight.operators.footprint import observation_operator
from hindsight.operators.interpolate import Interpolation


def evaluate(
    table: pd.DataFrame, channels: Sequence[str], grid: Grid, times: np.ndarray, fields: np.ndarray
) -> np.ndarray:
    """Values that the rows of an observation table would have in given fields.

    Args:
        table: rows on the grid, of channels that the state has or that can be computed from them.
        channels: of the fields, C.
        grid: of the fields.
        times: of the fields, T, evenly spaced.
        fields: physical values (…, T, C, H, W).

    Returns:
        (…, N), NaN for rows that need a frame that is not among `times`.
    """
    frames, shares = time_weights.arrays(table)
    number = pd.Index(times).get_indexer(table["time"].to_numpy("datetime64[ns]"))
    needed = number[:, None] + np.where(shares != 0, frames, 0)
    known = (number >= 0) & ((needed >= 0) & (needed < len(times))).all(1)
    result = np.full((*fields.shape[:-4], len(table)), np.nan)
    flat = fields.reshape(*fields.shape[:-2], int(np.prod(grid.shape)))
    for name, rows in pd.Series(np.flatnonzero(known)).groupby(table["channel"].to_numpy(object)[known]):
        function, at = derived.of(str(name), channels), rows.to_numpy()
        part, total = table.iloc[at], 0.0
        operator, columns = observation_operator(grid, part), {c: part[c].to_numpy(float) for c in function.columns}
        for lag, share in zip(needed[at].T, shares[at].T):
            values = [_at_points(flat[..., channels.index(c), :], lag, operator) for c in function.channels]
            total = total + share * function.linearise(values, [np.zeros(1)] * len(values), columns).value
        result[..., at] = total
    return result


def _at_points(field: np.ndarray, frame: np.ndarray, operator: Interpolation) -> np.ndarray:
    """One channel (…, T, H * W) at the frame and place of each row, (…, N)."""
    return (field[..., frame[:, None], operator.point] * operator.weight).sum(-1)
