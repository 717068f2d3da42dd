"""The system H P H^T + R of the observation solver, and a preconditioner for it.

P is known in n modes, P = U P_n U^T. For N rows of observations a frame in T frames there are three forms, whose
products agree to rounding. `Dense` is taken if it fits and has few rows (2 N < n) or no more work than `StateSpace`;
else `StateSpace` if it fits; else `MatrixFree`:

`Dense` (`dense_rows`) holds the matrices H U of every distinct geometry, and for each the inverse of its frame's block
without coupling in time. It suits few observations at places that frames share.

`StateSpace` applies U (modes to fields) and H (a gather) one after the other, and has the inverse of the whole system
through the space of the state (`information`). It suits many observations at places that change.

`MatrixFree` does the same without any large matrix, for states of very many modes and E members with fields of D
values. Its preconditioner consists of diagonal blocks of the system: the rows of a frame, sorted in space, B at a time,
each block inverted without coupling in time or to other blocks; of waves they come from `zonal_covariance`. It takes
about

    12 B N T + 4 E T (3 D + (2 K + 8) N) + 12 K N T bytes,

K values in each row: linear in the number of rows, and independent of n; of waves a table of about 1 GB more at most.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from typing import Protocol

import torch

from hindsight.diffusion import dense_rows, information, zonal_covariance
from hindsight.diffusion import modes as bases
from hindsight.diffusion.dense_rows import TOO_SMALL, Dense, Matrices, inverse, variances
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance import Observations
from hindsight.diffusion.information import Information

MEMORY = 2.0  # GB that the matrices may take
BLOCK = 256  # rows
AT_ONCE = 2**24  # values of rows as fields that are projected on the modes at once
SIGNAL = 3e9  # of `Information`; beyond it double precision is not enough for the differences of large numbers
INFLATION = 1e5  # largest factor of R
ROUNDING = 1e-6  # of covariances in single precision, as a share of the largest variance


class System(Protocol):
    """H U and its transpose for the observations of some frames.

    `precise`: its preconditioner is the inverse in double precision, so single precision would gain nothing.
    """

    precise: bool

    def into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """U^T H^T v: values at the places (E, T, N) to coefficients (E, T, n)."""
        ...

    def at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """H U a: coefficients (E, T, n) to values at the places (E, T, N)."""
        ...

    def largest_variance(self, variance: torch.Tensor) -> torch.Tensor:
        """The largest variance of an observed value, for modes with these variances (n,)."""
        ...

    def preconditioner(self, posterior: Posterior) -> Callable[[torch.Tensor], torch.Tensor]:
        """An approximate inverse of the system, for values (E, T, N) of any precision.

        Raises:
            ArithmeticError: if the errors of observations are too small to tell them apart.
        """
        ...


def build(
    process: GaussMarkov,
    observations: Observations,
    cache: dict[bytes, Matrices] | None = None,
    memory: float = MEMORY,
    shape: tuple[int, int] | None = None,
) -> System:
    """The form that suits the observations and whose matrices fit, as the module says.

    Args:
        process: the linear prior.
        observations: of some frames.
        cache: H U by geometry.
        memory: that the matrices may take, GB.
        shape: of the grid (H, W), by which rows are sorted in space; none: the state is a line.
    """
    if dense_rows.applies(observations) and dense_rows.memory(process, observations) <= memory * 1e9:
        few = 2 * observations.present.shape[1] < len(process.variance)
        if few or dense_rows.work(process, observations) <= information.work(process, observations):
            return Dense(process, observations, {} if cache is None else cache)
    left = memory * 1e9 - information.memory(process, observations)
    if left >= 0:
        return StateSpace(process, observations, information.memory_of_sums(process, observations) <= left)
    return MatrixFree(process, observations, shape, BLOCK)


class MatrixFree:
    """H U without matrices, for many observations at changing places, and for members that have their own H.

    Args:
        process: the linear prior.
        observations: of some frames.
        shape: see `build`.
        block: rows of a block of the preconditioner.
    """

    precise = False

    def __init__(
        self,
        process: GaussMarkov,
        observations: Observations,
        shape: tuple[int, int] | None = None,
        block: int = BLOCK,
    ) -> None:
        self.process, self.observations = process, observations
        self._by_precision = {torch.float32: (process.modes, observations)}
        variance, weight = variances(observations), observations.weight
        self._variance = variance.mean(0) if variance.ndim == 3 else variance
        self._weight = weight.mean(0) if weight.ndim == 4 else weight
        self._grid, self._block = shape or (1, process.size), block

    @cached_property
    def _places(self) -> list[torch.Tensor]:
        """The rows of every block."""
        return _in_space(self.observations, self._grid, self._block)

    def into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        modes, observations = self._like(values)
        return modes.project(observations.adjoint(values, self.process.size))

    def at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        modes, observations = self._like(coefficients)
        return observations.forward(modes.expand(coefficients))

    def largest_variance(self, variance: torch.Tensor) -> torch.Tensor:
        """See `System`; for waves an upper bound, as if the values of a row were perfectly correlated."""
        if zonal_covariance.applies(self.process):
            return self._bound(variance)
        return torch.stack([(self._rows(places).square() * variance).sum(1).max() for places in self._places]).max()

    def _bound(self, variance: torch.Tensor) -> torch.Tensor:
        """The least of two bounds of an observed value's variance: by the prior's, and by the largest of a mode."""
        weight = (self._weight * self.observations.present[..., None]).abs()
        spread = self._prior_variances[self.observations.point // int(self.process.modes.width)].sqrt()
        by_prior, by_modes = (weight * spread).sum(-1).square(), weight.square().sum(-1) * variance.max()
        return torch.minimum(by_prior, by_modes).max()

    @cached_property
    def _prior_variances(self) -> torch.Tensor:
        """The prior's variance on each circle of latitude of each channel, (C H,)."""
        return zonal_covariance.variances(self.process)

    def preconditioner(self, posterior: Posterior) -> Callable[[torch.Tensor], torch.Tensor]:
        """Diagonal blocks of the system, inverted, with the mean of H and R over members that have their own."""
        frames, rows = self.observations.present.shape
        places = torch.nn.utils.rnn.pad_sequence(self._places, batch_first=True, padding_value=frames * rows)
        blocks = self._blocks(posterior, places.shape[1])
        by_precision = {torch.float32: blocks}

        def apply(values: torch.Tensor) -> torch.Tensor:
            if values.dtype not in by_precision:
                by_precision[values.dtype] = blocks.to(values.dtype)
            flat = torch.nn.functional.pad(values.flatten(1), (0, 1))
            solved = flat[:, places].transpose(0, 1) @ by_precision[values.dtype]  # (blocks, E, B)
            flat[:, places.flatten()] = solved.transpose(0, 1).flatten(1)
            return flat[:, :-1].view_as(values)

        return apply

    def _blocks(self, posterior: Posterior, size: int) -> torch.Tensor:
        """The inverse of every block, zero beyond its rows; in single precision, as there are many."""
        inverses = torch.zeros(len(self._places), size, size, device=self.process.variance.device)
        for number, covariance in self._covariances(posterior.sigma[0].double().square()):
            places = self._places[number]
            own = self._variance.flatten()[places].double()
            inverses[number, : len(places), : len(places)] = inverse(covariance + torch.diag(own), own.sqrt())
        return inverses

    def _covariances(self, level: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """H P H^T of every block with its number, in double precision; frames have noise of variance `level` (T,)."""
        variance, rows = self.process.variance.double(), self.observations.present.shape[1]
        of_block = level[torch.stack([places[0] for places in self._places]) // rows]
        for one in of_block.unique():
            remaining, numbers = 1 / (1 / variance + 1 / one), torch.nonzero(of_block == one)[:, 0].tolist()
            if zonal_covariance.applies(self.process):
                yield from zip(numbers, self._from_circles(numbers, remaining))
                continue
            for number in numbers:
                block = self._rows(self._places[number]).double()
                yield number, (block * remaining) @ block.T

    def _from_circles(self, numbers: list[int], variance: torch.Tensor) -> Iterator[torch.Tensor]:
        """The same of some blocks, given the variance of modes, by `zonal_covariance`."""
        groups = [partial(self._values, number) for number in numbers]
        for covariance in zonal_covariance.covariances(self.process, groups, variance):
            rounding = torch.full_like(covariance[0], ROUNDING * float(covariance.diagonal().max()))
            yield (covariance + torch.diag(rounding)).double()

    def _values(self, number: int) -> zonal_covariance.Values:
        """The values of the state that the rows of a block are sums of, as if all were of one frame."""
        (point, weight), frame = self._weights(self._places[number]), self._places[0].new_zeros(1, 1)
        return zonal_covariance.Values.of(self.process, frame, point, weight)

    def _weights(self, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices into the state and weights of some rows of all frames, (B, K)."""
        weight = (self._weight * self.observations.present[..., None]).flatten(0, 1)
        return self.observations.point.flatten(0, 1)[places], weight[places]

    def _rows(self, places: torch.Tensor) -> torch.Tensor:
        """H U of some rows of all frames, as if all frames that they depend on were alike; (B, n)."""
        (point, weight), modes = self._weights(places), self.process.modes
        if isinstance(modes, bases.Empirical):
            return torch.einsum("bkn,bk->bn", modes.matrix[point], weight)
        step, size, found = max(1, AT_ONCE // self.process.size), self.process.size, []
        for at, share in zip(point.split(step), weight.split(step)):
            found.append(modes.project(share.new_zeros(len(at), size).scatter_add_(1, at, share)))
        return torch.cat(found)

    def _like(self, values: torch.Tensor) -> tuple[bases.Modes, Observations]:
        """U and H in the precision of `values`."""
        if values.dtype not in self._by_precision:
            tensors = self.process.modes.tensors().items()
            double = {name: part.double() if part.is_floating_point() else part for name, part in tensors}
            self._by_precision[values.dtype] = bases.from_tensors(double), self.observations.double()
        return self._by_precision[values.dtype]


class StateSpace(MatrixFree):
    """Without matrices of rows, and preconditioned by the inverse of the whole system, through the space of the state.

    With P^-1 + H^T R^-1 H, which has the size of the state however many rows there are,

        (H P H^T + R)^-1 = R^-1 - R^-1 H (P^-1 + H^T R^-1 H)^-1 H^T R^-1.

    Where members have their own H and R, their means take the place of these.

    Args:
        process: the linear prior.
        observations: of some frames.
        keep: see `Information`.
    """

    precise = True

    def __init__(self, process: GaussMarkov, observations: Observations, keep: bool = True) -> None:
        super().__init__(process, observations)
        self._average = observations.average()
        modes, _ = self._like(observations.error.double())
        self._modes, self._rows_of_all = modes, self._average.double()
        self.information = Information(replace(process, modes=modes), self._rows_of_all, keep)

    def preconditioner(self, posterior: Posterior) -> Callable[[torch.Tensor], torch.Tensor]:
        """The inverse of the system, to rounding; with a larger R where errors are too small for double precision."""
        factor = max(1.0, self.information.signal / SIGNAL)
        if factor > INFLATION:
            raise ArithmeticError(TOO_SMALL.format(self._rows_of_all.error[self._rows_of_all.present > 0].min()))
        inverse, deviation = self.information.factored(posterior, factor), self.information.deviation
        precision = 1 / (factor * variances(self._rows_of_all))

        def apply(values: torch.Tensor) -> torch.Tensor:
            scaled = values.double() * precision
            state = self._modes.project(self._rows_of_all.adjoint(scaled, self.process.size))
            moved = self._modes.expand(inverse(state * deviation) * deviation)
            return (scaled - self._rows_of_all.forward(moved) * precision).to(values.dtype)

        return apply


def _in_space(observations: Observations, shape: tuple[int, int], block: int) -> list[torch.Tensor]:
    """The rows of every frame in blocks of neighbours: places in the flattened (T N), padding left out.

    A frame is cut into strips of latitude, about as many as there are blocks in each; rows of a strip are sorted by
    longitude.
    """
    frames, count = observations.present.shape
    place = observations.point[..., 0] % (shape[0] * shape[1])
    blocks = []
    for t in range(frames):
        here = torch.nonzero(observations.present[t] > 0)[:, 0]
        sorted_here = _sorted_in_strips(here, place[t] // shape[1], place[t] % shape[1], block)
        blocks += [t * count + part for part in sorted_here.split(block) if len(part)]
    return blocks


def _sorted_in_strips(here: torch.Tensor, row: torch.Tensor, column: torch.Tensor, block: int) -> torch.Tensor:
    """Rows sorted into strips by one coordinate, and in each strip by the other."""
    strips = max(1, round((len(here) / block) ** 0.5)) if int(row.max()) else 1
    across = max(1, -(-len(here) // (strips * block))) * block  # rows of a strip, in whole blocks
    by_row = here[torch.argsort(row[here], stable=True)]
    return torch.cat([strip[torch.argsort(column[strip], stable=True)] for strip in by_row.split(across)] or [by_row])
