"""Observations as rows of a normalised observation operator, for the analyses and the baselines."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import perturbations
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators import derived, time_weights
from hindsight.operators.footprint import observation_operator
from hindsight.operators.interpolate import Interpolation

GROSS = 10.0  # standard deviations
NAMED = 5  # gross errors that a message names


@dataclass(frozen=True)
class Rows:
    """N observations of flat, normalised states of C * H * W values, as weighted sums over values and frames.

    y_n = sum_k weight[n, k] x[t_n + offset[n, k]][point[n, k]], t_n the frame at `time`. `value` (N,) are departures
    from what the climatology has at the station, `error` (N,) the observation errors (standard deviations), both in
    units of the climatological spread of what is observed.
    """

    time: np.ndarray  # (N,)
    point: np.ndarray  # (N, K)
    weight: np.ndarray  # (N, K)
    value: np.ndarray
    error: np.ndarray
    key: np.ndarray  # (N,), for the perturbations, see `perturbations.keys`
    offset: np.ndarray | None = None  # (N, K), frames, 0 without weight; none: all are of the row's own frame

    def __len__(self) -> int:
        return len(self.time)


def normalise(
    table: pd.DataFrame, channels: list[str], grid: Grid, scaling: Scaling, step_hours: int | None = None
) -> Rows:
    """Normalise observations in the same way as the state.

    What is observed may be a channel of the state or computed from several (`derived`), at the time of a frame or over
    several (`time_weights`); a function that is not linear is linearised about the climatology.

    Args:
        table: the rows that an analysis may use; rows of which the state has nothing are dropped.
        channels: of the state.
        grid: of the state.
        scaling: climatology and spread; the climatology at a station is interpolated like the state.
        step_hours: between frames; needed where rows have time weights.

    Raises:
        UserError: if a row lies outside the grid, or its footprint or time weights are not valid.
        ValueError: if rows have time weights and `step_hours` is not given.
    """
    table = table[can_observe(table["channel"], channels)]
    try:
        found, (frames, shares) = observation_operator(grid, table), time_weights.arrays(table)
    except ValueError as error:
        raise UserError(f"an observation {error}; remove it from the table or enlarge the domain") from None
    if frames.any() and step_hours is None:
        raise ValueError("rows with time weights need the hours between frames")
    times = table["time"].to_numpy("datetime64[ns]")
    needed = times[:, None] + frames * np.timedelta64(step_hours or 0, "h")
    unique, back = np.unique(needed, return_inverse=True)
    climatology = scaling.climatology(unique).reshape(len(unique), len(channels), int(np.prod(grid.shape)))
    expected = _at_stations(climatology, back.reshape(needed.shape), shares, found)
    value, slopes = _linearised(table, channels, expected)
    unit = np.sqrt(((slopes * scaling.spread) ** 2).sum(1))
    channel, gain = _terms(slopes * scaling.spread / unit[:, None])
    measure = np.broadcast_to(scaling.measure, grid.shape).ravel()[found.point]
    point = channel[:, :, None, None] * int(np.prod(grid.shape)) + found.point[:, None, None]
    weight = gain[:, :, None, None] * shares[:, None, :, None] * (found.weight / measure)[:, None, None]
    offset = np.where(weight != 0, frames[:, None, :, None], 0)
    flat = (len(table), int(np.prod(weight.shape[1:])))
    return Rows(
        times,
        np.broadcast_to(point, weight.shape).reshape(flat),
        weight.reshape(flat),
        (table["value"].to_numpy() - value) / unit,
        table["error"].to_numpy() / unit,
        perturbations.keys(table),
        offset.reshape(flat) if frames.any() else None,
    )


def can_observe(observed: pd.Series, channels: list[str]) -> np.ndarray:
    """Whether each observed channel is one of the state or can be computed from the state's, (N,)."""
    known = {name: derived.of(name, channels) is not None for name in observed.unique()}
    return observed.map(known).to_numpy(bool)


def _at_stations(climatology: np.ndarray, time: np.ndarray, shares: np.ndarray, found: Interpolation) -> np.ndarray:
    """The climatology (U, C, H * W) at stations, times and weights of N rows; (N, C)."""
    total = np.zeros((len(time), climatology.shape[1]))
    for frame, share in zip(time.T, shares.T):
        for point, weight in zip(found.point.T, found.weight.T):
            total += climatology[frame, :, point] * (share * weight)[:, None]
    return total


def _linearised(table: pd.DataFrame, channels: list[str], state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observed values (N,) and their slopes by the channels (N, C), at states (N, C)."""
    value, slopes = np.zeros(len(table)), np.zeros((len(table), len(channels)))
    names = table["channel"].to_numpy(object)
    for name in np.unique(names.astype(str)):
        at, function = np.flatnonzero(names == name), derived.of(str(name), channels)
        places = [channels.index(channel) for channel in function.channels]
        value[at], parts = function.linearise([state[at, c] for c in places], table.iloc[at])
        slopes[at[:, None], places] = np.stack(parts, 1)
    return value, slopes


def _terms(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The channels that each row depends on and its gains by them, (N, J) each, the largest first.

    J is the largest number of channels of a row.

    Args:
        gain: by all channels, (N, C).
    """
    most = max(1, int((gain != 0).sum(1).max(initial=0)))
    channel = np.argsort(-np.abs(gain), axis=1, kind="stable")[:, :most]
    return channel, np.take_along_axis(gain, channel, 1)


def reject_gross_errors(
    table: pd.DataFrame,
    channels: list[str],
    grid: Grid,
    scaling: Scaling,
    extremes: np.ndarray | None = None,
    step_hours: int | None = None,
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
            the first condition decides, as it does for what is computed from several channels.
        step_hours: as for `normalise`.

    Returns:
        The rows to be used, and the rejected ones with their `departure` in standard deviations.
    """
    table = table[can_observe(table["channel"], channels)]
    rows, values = normalise(table, channels, grid, scaling, step_hours), table["value"].to_numpy()
    gross = np.abs(rows.value) > GROSS * np.sqrt(1 + rows.error**2)
    if extremes is not None:
        channel = pd.Index(channels).get_indexer(table["channel"])
        lowest, highest = np.asarray(extremes)[:, channel]
        gross &= (channel < 0) | (values < lowest) | (values > highest)
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
