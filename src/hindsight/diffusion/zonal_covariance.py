"""Covariances of rows of observations under a linear prior whose statistics are the same at all longitudes.

A circle is a channel's circle of latitude. The covariance of a value on one circle with a value on another, l frames
later, depends on their longitudes only through the difference. So the covariances of a circle's first value with all
values of the state, e being 1 there and 0 elsewhere,

    U s A^l s U^T e,      U the modes, s their standard deviations, A the transition of whitened coefficients,

are by rotation those of all values of the circle, and the covariance of two rows of K values is a sum of K^2 of them,
however many modes there are. If values on C circles are observed, in frames up to L apart, this takes C (2 L + 2)
transforms of fields, once for all groups of rows whose entries fit in a table: only pairs of circles and differences of
longitude that occur within a group are kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov

AT_ONCE = 2**25  # values of fields that are held at once
LARGEST = 2**28  # covariances in a table, and at most one circle's more
HELD = 2**28  # values of groups' covariances that are held at once
SOURCES = 512  # values whose covariances are looked up at once


def applies(process: GaussMarkov) -> bool:
    """Whether the modes are waves in longitude, as on a globe; then the statistics are the same at all longitudes."""
    return process.modes.periodic


@dataclass(frozen=True)
class Values:
    """The P values of the state that N rows are sums of, sorted by circle.

    Value p is x[frame, circle, column], and weight[p] times it a part of row[p]; all (P,). `count` is N.
    """

    row: torch.Tensor
    frame: torch.Tensor
    circle: torch.Tensor
    column: torch.Tensor
    weight: torch.Tensor
    count: int

    @classmethod
    def of(cls, process: GaussMarkov, frame: torch.Tensor, point: torch.Tensor, weight: torch.Tensor) -> "Values":
        """Those of rows y_n = sum_k weight[n, k] x[frame[n, k], point[n, k]]; `frame` (N, K) or (N, 1)."""
        used, width = weight != 0, int(process.modes.width)
        row = torch.arange(len(point), device=point.device)[:, None]
        row, frame, point = (values.expand_as(used)[used] for values in (row, frame, point))
        order = torch.argsort(point, stable=True)
        row, frame, point, weight = (values[order] for values in (row, frame, point, weight[used]))
        return cls(row, frame, point // width, point % width, weight, len(used))


@dataclass(frozen=True)
class Extent:
    """Which covariances some groups of rows need.

    `pairs` (circles, circles) says which circles occur together in a group, the later one second; `reach` (circles,) is
    the largest difference of longitude, in points, within a group that has values on a circle; `lags` is that in frames
    within any group.
    """

    width: int
    pairs: torch.Tensor
    reach: torch.Tensor
    lags: int = 0

    @classmethod
    def empty(cls, process: GaussMarkov) -> "Extent":
        """That of no groups."""
        width, device = int(process.modes.width), process.modes.device
        circles = process.size // width
        pairs, reach = torch.zeros(circles, circles, dtype=torch.bool), torch.zeros(circles, dtype=torch.long)
        return cls(width, pairs.to(device), reach.to(device))

    @cached_property
    def sizes(self) -> torch.Tensor:
        """Number of covariances of each circle, (circles,)."""
        return self.pairs.sum(1) * self.columns * (2 * self.lags + 1)

    @property
    def columns(self) -> torch.Tensor:
        """Number of differences of longitude of each circle, (circles,)."""
        return (2 * self.reach + 1).clamp(max=self.width)

    def with_group(self, group: Values) -> "Extent":
        """That of one group more."""
        if not group.count or not len(group.row):
            return self
        circles = group.circle.unique_consecutive()
        block = torch.ones(len(circles), len(circles), dtype=torch.bool, device=circles.device).triu()
        arc, lags = _arc(group.column.unique(), self.width), int(group.frame.max() - group.frame.min())
        if lags <= self.lags and bool((self.reach[circles] >= arc).all()):
            if bool((self.pairs[circles[:, None], circles] >= block).all()):
                return self
        pairs, reach = self.pairs.clone(), self.reach.clone()
        pairs[circles[:, None], circles] |= block
        reach[circles] = reach[circles].clamp(min=arc)
        return Extent(self.width, pairs, reach, max(lags, self.lags))

    def parts(self) -> list[torch.Tensor]:
        """The circles in parts, each for one table."""
        circles = self.sizes.nonzero()[:, 0]
        number = (self.sizes[circles].cumsum(0) - 1) // LARGEST
        return [circles[number == one] for one in number.unique()]


class Table:
    """Covariances of values on some circles with those on these and later circles.

    Args:
        process: the linear prior.
        extent: of the groups that it serves.
        circles: sorted.
        deviation: standard deviations of the modes, (n,).
    """

    def __init__(self, process: GaussMarkov, extent: Extent, circles: torch.Tensor, deviation: torch.Tensor) -> None:
        self.extent, self.circles = extent, circles
        self._partner = extent.pairs[circles].cumsum(1, dtype=torch.int32) - 1
        self._reach = torch.where(extent.columns < extent.width, extent.reach, 0)[circles]
        self._columns, self._partners = extent.columns[circles], extent.pairs[circles].sum(1)
        ends = extent.sizes[circles].cumsum(0)
        self._start = ends - extent.sizes[circles]
        self._values = deviation.new_empty(int(ends[-1]))
        at_once = max(1, AT_ONCE // ((2 * extent.lags + 1) * process.size))
        for numbers in torch.arange(len(circles), device=circles.device).split(at_once):
            self._fill(numbers, _fields(process, deviation, circles[numbers], extent.lags))

    def _fill(self, numbers: torch.Tensor, fields: torch.Tensor) -> None:
        """Keep what is needed of fields (2 L + 1, B, D)."""
        fields = fields.unflatten(2, (-1, self.extent.width))
        for k, number in enumerate(numbers.tolist()):
            start, count, reach = (int(of[number]) for of in (self._start, self._columns, self._reach))
            columns = torch.arange(-reach, count - reach, device=fields.device) % self.extent.width
            part = fields[:, k, self.extent.pairs[self.circles[number]]][..., columns].flatten()
            self._values[start : start + len(part)] = part

    def add(self, group: Values, total: torch.Tensor) -> None:
        """Add the covariances of a group to (N, N); its transpose is to be added in the end."""
        first = int(torch.searchsorted(group.circle, self.circles[0]))
        last = int(torch.searchsorted(group.circle, self.circles[-1], right=True))
        for start in range(first, last, SOURCES):
            self._add(group, slice(start, min(start + SOURCES, last)), slice(start, None), total)

    def _add(self, group: Values, here: slice, onward: slice, total: torch.Tensor) -> None:
        """Add the covariances of some values with these and later ones, each pair once, a value with itself half."""
        frame, circle, column = (values[here] for values in (group.frame, group.circle, group.column))
        later, other, there = (values[onward, None] for values in (group.frame, group.circle, group.column))
        number, order = torch.searchsorted(self.circles, circle), torch.arange(len(other), device=total.device)
        place = (later - frame + self.extent.lags) * self._partners[number] + self._partner[number, other]
        place *= self._columns[number]
        place += self._start[number] + (there - column + self._reach[number]) % self.extent.width
        after = order[:, None] - order[: len(circle)]
        # values before the given one may have no place in the table; their share is 0
        share = group.weight[here] * (after.sign().to(total.dtype) + 1) / 2
        found = self._values[place.clamp(min=0, max=len(self._values) - 1)] * share
        rows = torch.stack([group.row[onward], order])
        weights = torch.sparse_coo_tensor(rows, group.weight[onward], (group.count, len(other)), check_invariants=False)
        total.index_add_(0, group.row[here], torch.sparse.mm(weights, found).T)


def covariances(
    process: GaussMarkov, groups: Sequence[Callable[[], Values]], variance: torch.Tensor | None = None
) -> Iterator[torch.Tensor]:
    """H B H^T of the rows of each group, (N, N), in the order of the groups.

    Args:
        process: the linear prior, for which `applies` holds.
        groups: of rows; they cost least if those that follow each other have circles in common.
        variance: of the modes (n,), in place of the prior's own; only for rows of one frame.
    """
    deviation = (process.variance if variance is None else variance).to(process.variance.dtype).sqrt()
    for some, extent in _batches(process, groups):
        values, parts = (group() for group in some), extent.parts()
        if len(parts) > 1:  # a group needs several tables, so all groups are held from one table to the next
            values = list(values)
        totals = ((one, deviation.new_zeros(one.count, one.count)) for one in values)
        for part in parts:
            table = Table(process, extent, part, deviation)
            totals = _added(table, totals) if len(parts) == 1 else list(_added(table, totals))
        yield from (total + total.T for _, total in totals)


def _added(table: Table, totals: Iterable[tuple[Values, torch.Tensor]]) -> Iterator[tuple[Values, torch.Tensor]]:
    """Groups and their covariances, with those of a table added."""
    for group, total in totals:
        table.add(group, total)
        yield group, total


def _batches(
    process: GaussMarkov, groups: Sequence[Callable[[], Values]]
) -> Iterator[tuple[Sequence[Callable[[], Values]], Extent]]:
    """Successive groups that one table serves; or, where a group needs more, as many as can be held at once."""
    first, extent, held = 0, Extent.empty(process), 0
    for number, group in enumerate(groups):
        values = group()
        more, held = extent.with_group(values), held + values.count**2
        fits = held <= HELD if int(extent.sizes.sum()) > LARGEST else int(more.sizes.sum()) <= LARGEST
        if number > first and not fits:
            yield groups[first:number], extent
            first, held, more = number, values.count**2, Extent.empty(process).with_group(values)
        extent = more
    if len(groups):
        yield groups[first:], extent


def _arc(columns: torch.Tensor, width: int) -> int:
    """The largest difference of sorted columns of a circle, the shorter way round."""
    gaps = torch.diff(columns, append=columns[:1] + width)
    return min(width // 2, width - int(gaps.max()))


def variances(process: GaussMarkov) -> torch.Tensor:
    """The variance of each circle's values, (circles,)."""
    circles = torch.arange(process.size // int(process.modes.width), device=process.modes.device)
    units = (_units(process, some) for some in circles.split(max(1, AT_ONCE // process.size)))
    return torch.cat([(unit.square() * process.variance).sum(1) for unit in units])


def _units(process: GaussMarkov, circles: torch.Tensor) -> torch.Tensor:
    """Unit fields at the first points of circles in modes, (B, n)."""
    unit = process.variance.new_zeros(len(circles), process.size)
    return process.modes.project(unit.scatter_(1, circles[:, None] * int(process.modes.width), 1.0))


def _fields(process: GaussMarkov, deviation: torch.Tensor, circles: torch.Tensor, lags: int) -> torch.Tensor:
    """Covariances of the first points of circles with all values up to L frames before and after; (2 L + 1, B, D)."""
    now = _units(process, circles) * deviation
    later, earlier = [now], [now]
    for _ in range(lags):
        later.append(process.times_transition(later[-1], transposed=True))
        earlier.append(process.times_transition(earlier[-1]))
    steps = torch.cat([*earlier[:0:-1], *later])
    return process.modes.expand(steps * deviation).unflatten(0, (-1, len(circles)))
