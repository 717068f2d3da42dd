"""Observations as rows of a normalised observation operator, for the analyses and the baselines."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import intervals, perturbations, transforms
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.fields.usage import observable
from hindsight.operators import derived, time_weights
from hindsight.operators.derived import Derived
from hindsight.operators.footprint import observation_operator
from hindsight.operators.interpolate import Interpolation
from hindsight.operators.nonlinear import NonlinearRows

GROSS = 10.0  # standard deviations
NAMED = 5  # gross errors that a message names


@dataclass(frozen=True)
class Rows:
    """N observations of flat, normalised states of C * H * W values, as weighted sums over values and frames.

    y_n = sum_k weight[n, k] x[t_n + offset[n, k]][point[n, k]], t_n the frame at `time`. `value` (N,) are departures
    from the climatology at the station, `error` (N,) the observation errors (standard deviations, with what the weights
    leave out of nonlinear rows), both in units of the climatological spread of what is observed.
    """

    time: np.ndarray  # (N,)
    point: np.ndarray  # (N, K)
    weight: np.ndarray  # (N, K)
    value: np.ndarray
    error: np.ndarray
    unit: np.ndarray  # (N,), of `value` and `error`, in the units of what is observed
    key: np.ndarray  # (N,), for the perturbations, see `perturbations.keys`
    offset: np.ndarray | None = None  # (N, K), frames, 0 without weight; none: all are of the row's own frame
    nonlinear: NonlinearRows | None = None  # none: all rows are linear

    def __len__(self) -> int:
        return len(self.time)

    def each(self, change: Callable[[np.ndarray], Any]) -> "Rows":
        """Apply the same change to every array."""
        names = ("time", "point", "weight", "value", "error", "unit", "key")
        offset = None if self.offset is None else change(self.offset)
        nonlinear = None if self.nonlinear is None else self.nonlinear.each(change)
        return Rows(*(change(getattr(self, name)) for name in names), offset, nonlinear)


def normalise(
    table: pd.DataFrame, channels: list[str], grid: Grid, scaling: Scaling, step_hours: float | None = None
) -> Rows:
    """Normalise observations in the same way as the state.

    What is observed may be a channel of the state or computed from several (`derived`), at the time of a frame or over
    several (`time_weights`). A nonlinear function is linearised about the climatology, and keeps what it takes to
    linearise it again (`nonlinear`); for a mean over time, it is the function of the mean state.

    Args:
        table: the rows that an analysis may use; rows that cannot be computed from the state are dropped.
        channels: of the state.
        grid: of the state.
        scaling: climatology and spread; the climatology at a station is interpolated like the state. Observations of a
            transformed channel are transformed, and the state between points is interpolated as transformed.
        step_hours: between frames; needed where rows have time weights.

    Raises:
        UserError: if a row lies outside the grid, or its footprint or time weights are not valid.
        ValueError: if rows have time weights and `step_hours` is not given.
    """
    table = table[observable(table, channels)]
    try:
        found, (frames, shares) = observation_operator(grid, table), time_weights.arrays(table)
    except ValueError as error:
        raise UserError(f"an observation {error}; remove it from the table or enlarge the domain") from None
    if frames.any() and step_hours is None:
        raise ValueError("rows with time weights need the hours between frames")
    times = table["time"].to_numpy("datetime64[ns]")
    needed = times[:, None] + frames * (intervals.time_step(step_hours) if step_hours else np.timedelta64(0, "h"))
    unique, back = np.unique(needed, return_inverse=True)
    climatology = scaling.expected(unique).reshape(len(unique), len(channels), int(np.prod(grid.shape)))
    expected = _at_stations(climatology, back.reshape(needed.shape), shares, found)
    value, slopes, left_out, order = _linearised(table, channels, expected, scaling.spread)
    unit = _positive(np.sqrt(((slopes * scaling.spread) ** 2).sum(1) + left_out), order, scaling.spread)
    channel, gain, block = _terms(slopes * scaling.spread / unit[:, None], order)
    measure = np.broadcast_to(scaling.measure, grid.shape).ravel()[found.point]
    point = channel[:, :, None, None] * int(np.prod(grid.shape)) + found.point[:, None, None]
    share = shares[:, None, :, None] * (found.weight / measure)[:, None, None]
    weight, base = gain[:, :, None, None] * share, (scaling.spread[channel] * block)[:, :, None, None] * share
    offset = np.where((weight != 0) | (base != 0), frames[:, None, :, None], 0)
    flat = len(table), int(np.prod(weight.shape[1:]))
    values, error = (table[name].to_numpy(float) for name in ("value", "error"))
    chosen = scaling.transforms.named(channels)
    values, error = transforms.of_observations(table["channel"].to_numpy(object), values, error, chosen)
    kind = _kinds(table, channels)
    mean = np.take_along_axis(expected, channel, 1)
    nonlinear = (kind, base.reshape(flat), mean, values, error, unit, _column(table, "elevation"))
    return Rows(
        times,
        np.broadcast_to(point, weight.shape).reshape(flat),
        weight.reshape(flat),
        (values - value) / unit,
        np.where(left_out > 0, np.sqrt(error**2 + left_out), error) / unit,
        unit,
        perturbations.keys(table),
        offset.reshape(flat) if frames.any() else None,
        NonlinearRows(*nonlinear) if kind.any() else None,
    )


def _at_stations(climatology: np.ndarray, index: np.ndarray, shares: np.ndarray, found: Interpolation) -> np.ndarray:
    """The climatology (times, C, H * W) at stations, by indices of times and weights of N rows; (N, C)."""
    total = np.zeros((len(index), climatology.shape[1]))
    for frame, share in zip(index.T, shares.T):
        for point, weight in zip(found.point.T, found.weight.T):
            total += climatology[frame, :, point] * (share * weight)[:, None]
    return total


def _linearised(
    table: pd.DataFrame, channels: list[str], state: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Equivalents (N,) and their slopes by the channels (N, C), at states (N, C) with standard deviations (C,).

    Returns:
        Also the variance that the slopes leave out (N,), and for nonlinear rows the place of each channel among the
        function's, the last 1, the one before it 2 and so on; 0 elsewhere, (N, C).
    """
    value, left_out = np.zeros(len(table)), np.zeros(len(table))
    slopes, order = np.zeros((len(table), len(channels))), np.zeros((len(table), len(channels)))
    for at, function in _functions(table, channels):
        places = [channels.index(channel) for channel in function.channels]
        columns = {name: table[name].to_numpy(float)[at] for name in function.columns}
        line = function.linearise([state[at, c] for c in places], [spread[c] for c in places], columns)
        value[at], left_out[at], slopes[at[:, None], places] = line.value, line.variance, np.stack(line.slopes, 1)
        order[at[:, None], places] = np.arange(len(places), 0, -1) * bool(function.kind)
    return value, slopes, left_out, order


def _functions(table: pd.DataFrame, channels: list[str]) -> Iterator[tuple[np.ndarray, Derived]]:
    """The rows of every observed channel, and the function that it is of the state's channels."""
    names = table["channel"].to_numpy(object)
    for name in np.unique(names.astype(str)):
        yield np.flatnonzero(names == name), derived.of(str(name), channels)


def _kinds(table: pd.DataFrame, channels: list[str]) -> np.ndarray:
    """`Derived.kind` of every row, (N,)."""
    kind = np.zeros(len(table), int)
    for at, function in _functions(table, channels):
        kind[at] = function.kind
    return kind


def _positive(unit: np.ndarray, order: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Units of the rows; where one is zero, the root-mean-square spread of the channels that the row depends on."""
    mean = np.sqrt(((order > 0) * spread**2).sum(1) / np.maximum((order > 0).sum(1), 1))
    return np.where(unit > 0, unit, mean)


def _terms(gain: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The channels that each row depends on, its gains by them, and whether it is nonlinear in them, (N, J) each.

    J is the largest number of channels of a row. The largest gain comes first; in nonlinear rows, the order is that of
    the function.

    Args:
        gain: by all channels, (N, C).
        order: of the channels in nonlinear rows, see `_linearised`.
    """
    rank = np.where(order.any(1)[:, None], order, np.abs(gain))
    most = max(1, int((rank != 0).sum(1).max(initial=0)))
    channel = np.argsort(-rank, axis=1, kind="stable")[:, :most]
    return channel, np.take_along_axis(gain, channel, 1), np.take_along_axis(order > 0, channel, 1)


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].to_numpy(float) if name in table else np.full(len(table), np.nan)


def _extremes(table: pd.DataFrame, channels: list[str], extremes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value in the training period, (N,) each: of the row's channel, or of those on levels around it.

    For other derived channels, limits outside which every value lies.
    """
    lowest, highest = np.full(len(table), np.inf), np.full(len(table), -np.inf)
    for at, function in _functions(table, channels):
        places, names = [channels.index(channel) for channel in function.channels], table["channel"].iloc[at]
        if function.columns == ("level",):
            near = np.stack(function.linearise(*([np.zeros(len(at))] * len(places),) * 2, table.iloc[at]).slopes, 1) > 0
            lowest[at] = np.where(near, np.asarray(extremes)[0, places], np.inf).min(1)
            highest[at] = np.where(near, np.asarray(extremes)[1, places], -np.inf).max(1)
        elif names.iloc[0] in channels:
            lowest[at], highest[at] = np.asarray(extremes)[:, places[0]]
    return lowest, highest


def reject_gross_errors(
    table: pd.DataFrame,
    channels: list[str],
    grid: Grid,
    scaling: Scaling,
    extremes: np.ndarray | None = None,
    step_hours: float | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Separate observations with gross errors from the others.

    A gross error departs from the climatology by more than `GROSS` standard deviations (of the channel and of the
    observation error together) and lies outside the range of the channel in the training period. Extreme
    rain, which is within the range, meets the first condition only and is used.

    Args:
        table: as for `normalise`.
        channels: of the state; rows that cannot be computed from them are dropped.
        grid: of the state.
        scaling: climatology and spread.
        extremes: least and largest value of each channel in the training period (2, C); none:
            the first condition decides, as it does for other derived channels than those between levels.
        step_hours: as for `normalise`.

    Returns:
        The rows to be used, and the rejected ones with their `departure` in standard deviations.
    """
    table = table[observable(table, channels)]
    rows, values = normalise(table, channels, grid, scaling, step_hours), table["value"].to_numpy()
    gross = np.abs(rows.value) > GROSS * np.sqrt(1 + rows.error**2)
    if extremes is not None:
        lowest, highest = _extremes(table, channels, extremes)
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
        f"from the climatology and outside the range (if any) of the training period: {'; '.join(named)}"
        f"{' and others' if len(gross) > NAMED else ''}; to keep them, raise observe.networks.NAME.error (of reports: "
        "their error in observe.measurements, or NAME.error_factor)"
    )
