"""Each report compared with estimates by all the others, from the linear prior in space and time (a buddy check).

A series is what one station reports of one channel. Two estimates are made of each report: from all others of the
frames around it, for the check; and from the other series alone, for the station's bias and drift, since all reports of
a series have these in common and would confirm each other. Both are leave-one-out of one Gaussian process
(`diffusion.leave_one_out`): with innovations d of covariance S = H B H^T + R, leaving out a group g of rows,

    r_g = ((S^-1)_gg)^-1 (S^-1 d)_g,      cov(r_g) = ((S^-1)_gg)^-1.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch

from hindsight.diffusion import leave_one_out, zonal_covariance
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.observed_covariance import ObservedCovariance
from hindsight.diffusion.zonal_covariance import Values
from hindsight.fields import intervals
from hindsight.fields.grid import great_circle
from hindsight.operators.rows import Rows
from hindsight.settings.quality import Quality

LARGEST = 1200  # rows that are compared with each other at once: their matrix is factorised
TOGETHER = 400  # rows that are judged at once, where there are more than `LARGEST`

Group = tuple[np.ndarray, np.ndarray]  # rows that are judged together, and their neighbours, themselves included


@dataclass(frozen=True)
class Judgement:
    """N rows compared with estimates by the others, in units of the rows' values.

    `departure` and `variance` are from all other rows that are kept, `from_others` and `variance_from_others` from
    those of other series, `expected` is the standard deviation of an innovation, `rejected` says which rows fail.
    """

    departure: np.ndarray
    variance: np.ndarray
    from_others: np.ndarray
    variance_from_others: np.ndarray
    expected: np.ndarray
    rejected: np.ndarray


class Neighbours:
    """Judges the rows of frames by those of the frames around them.

    Args:
        process: the linear prior.
        settings: of quality control.
        table: the observation table, of N rows.
        rows: the same, normalised.
        step_hours: between frames.
    """

    def __init__(
        self, process: GaussMarkov, settings: Quality, table: pd.DataFrame, rows: Rows, step_hours: float
    ) -> None:
        self.process, self.settings, self.rows = process, settings, rows
        self.observed = ObservedCovariance(process, settings.modes)
        step = intervals.time_step(step_hours)
        self.frame = ((rows.time - rows.time.min()) // step).astype(int) if len(rows) else np.zeros(0, int)
        self.offset = np.zeros_like(rows.point) if rows.offset is None else rows.offset
        self.latitude, self.longitude = (table[name].to_numpy(float) for name in ("latitude", "longitude"))
        self.series = pd.factorize(table["station"].astype(str) + "\n" + table["channel"].astype(str))[0]
        self.channel = pd.factorize(table["channel"])[0]
        self._order = np.argsort(self.frame, kind="stable")
        self._starts = np.searchsorted(self.frame[self._order], np.arange(self.frame.max(initial=-1) + 2))

    def of_frames(self, first: int, last: int) -> np.ndarray:
        """The rows of the frames from `first` to `last`, the latter not included."""
        first, last = max(first, 0), min(max(last, 0), len(self._starts) - 1)
        return self._order[self._starts[min(first, last)] : self._starts[last]]

    def judge(self, frames: np.ndarray, value: np.ndarray, kept: np.ndarray) -> Iterator[tuple[np.ndarray, Judgement]]:
        """Judge the rows of some frames, those that are near each other together.

        Args:
            frames: their numbers, 0 at the earliest row's.
            value: innovations of all rows, normalised, (N,).
            kept: whether each row may be used as a neighbour, and is judged, (N,).

        Yields:
            The numbers of some rows, and their judgement; every kept row of the frames once.
        """
        groups = (group for frame in frames for group in self.groups(int(frame), kept))
        for (own, around), covariance in self.with_covariances(groups):
            yield own, self._judged(own, around, covariance, value)

    def groups(self, frame: int, kept: np.ndarray) -> Iterator[Group]:
        """Rows of the frame that are judged together, and the rows that are nearest to them."""
        half = self.settings.frames // 2
        around = self.of_frames(frame - half, frame + half + 1)
        around = around[kept[around]]
        own = around[self.frame[around] == frame]
        if not len(own):
            return
        if len(around) <= LARGEST:
            yield own, around
            return
        for group in _halved(own, self.latitude, self.longitude):
            centre = self.latitude[group].mean(), _mean_longitude(self.longitude[group])
            distance = great_circle(self.latitude[around], self.longitude[around], *centre)
            distance = np.where(np.isin(around, group), -1.0, distance)
            yield group, around[np.sort(np.argsort(distance, kind="stable")[:LARGEST])]

    def with_covariances(self, groups: Iterable[Group]) -> Iterator[tuple[Group, np.ndarray]]:
        """Groups with H B H^T of the second of each, (n, n).

        Where statistics are the same at all longitudes, groups of one latitude follow each other, since they share the
        work (`zonal_covariance`).
        """
        if not zonal_covariance.applies(self.process):
            yield from ((group, self.covariance(group[1])) for group in groups)
            return
        groups = sorted(groups, key=lambda group: self.latitude[group[0]].mean())
        values = [partial(self._values, around) for _, around in groups]
        for group, covariance in zip(groups, zonal_covariance.covariances(self.process, values)):
            yield group, covariance.numpy().astype(float)

    def _judged(self, own: np.ndarray, around: np.ndarray, covariance: np.ndarray, value: np.ndarray) -> Judgement:
        """The judgement of some rows by the rows around them, which have this H B H^T."""
        covariance = covariance + self.errors(around, self.rows.error[around])
        check = leave_one_out.check(value[around], covariance, self.settings.neighbours)
        order = np.argsort(around, kind="stable")
        place = order[np.searchsorted(around[order], own)]
        departure, variance = self._from_others(around, value, check.inverse, ~check.rejected, place)
        expected = np.sqrt(np.diagonal(covariance)[place])
        judged = check.departure[place], check.variance[place]
        return Judgement(*judged, departure, variance, expected, check.rejected[place])

    def _from_others(
        self, around: np.ndarray, value: np.ndarray, inverse: np.ndarray, kept: np.ndarray, place: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Departures of some rows from the estimate by the kept rows of other series, and their variances.

        `inverse` (n, n) is that of S among the kept rows.
        """
        solved = inverse @ value[around]
        departure, variance = np.full(len(place), np.nan), np.full(len(place), np.nan)
        series = self.series[around]
        for number, at in enumerate(place):
            if not kept[at]:
                continue
            group = np.flatnonzero((series == series[at]) & kept)
            block = np.linalg.inv(inverse[np.ix_(group, group)])
            this = int(np.searchsorted(group, at))
            departure[number], variance[number] = block[this] @ solved[group], block[this, this]
        return departure, variance

    def covariance(self, around: np.ndarray) -> np.ndarray:
        """H B H^T of some rows, (n, n)."""
        frame, point, weight = self._places(around)
        covariance, rest = self.observed(frame, point, weight, int(frame.max()) + 1)
        covariance = covariance.numpy().astype(float)
        covariance[np.diag_indices_from(covariance)] += rest.numpy()
        return covariance

    def _values(self, around: np.ndarray) -> Values:
        """The values of the state that some rows are sums of."""
        return Values.of(self.process, *self._places(around))

    def _places(self, around: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Frames from the first one on, indices into the state, and weights of some rows, (n, K)."""
        frame = self.frame[around][:, None] + self.offset[around]
        weight = torch.tensor(self.rows.weight[around].astype(np.float32))
        return torch.tensor(frame - frame.min()), torch.tensor(self.rows.point[around]), weight

    def errors(self, around: np.ndarray, error: np.ndarray) -> np.ndarray:
        """R of some rows with these errors (n,), (n, n).

        Errors of a channel's stations in one frame have a share in common that falls with distance.
        """
        spec, share = self.settings, np.eye(len(around))
        together = pd.Series(np.arange(len(around))).groupby([self.channel[around], self.frame[around]])
        for rows in together.indices.values():
            place = self.latitude[around[rows]], self.longitude[around[rows]]
            distance = great_circle(place[0][:, None], place[1][:, None], place[0], place[1])
            share[np.ix_(rows, rows)] = spec.correlated_share * np.exp(-distance / spec.correlated_km)
        share[np.diag_indices_from(share)] = 1.0
        return share * error[:, None] * error


def _halved(rows: np.ndarray, latitude: np.ndarray, longitude: np.ndarray) -> Iterator[np.ndarray]:
    """Rows in groups of neighbours, halved along the longer side until they are at most `TOGETHER`."""
    if len(rows) <= TOGETHER:
        yield rows
        return
    north, east = latitude[rows], longitude[rows]
    wide = np.ptp(east) * np.cos(np.deg2rad(north.mean())) > np.ptp(north)
    order = np.argsort(east if wide else north, kind="stable")
    for half in np.array_split(rows[order], 2):
        yield from _halved(half, latitude, longitude)


def _mean_longitude(longitude: np.ndarray) -> float:
    """The middle of longitudes on the circle (degrees)."""
    angle = np.deg2rad(longitude)
    return float(np.rad2deg(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())))
