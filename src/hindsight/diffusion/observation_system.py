"""The system H P H^T + R of the observation solver, and a preconditioner for it.

P is known in n modes, P = U P_n U^T. For N rows of observations a frame in T frames there are two forms, which agree to
rounding:

`Dense` holds the matrices H U of every distinct geometry, and for each the inverse of its frame's block without
coupling in time, which preconditions exactly where frames do not depend on each other. G geometries with L offsets
take

    G N (4 L n + 12 N) bytes,

and three times the first term where double precision is needed.

`MatrixFree` applies U (modes to fields) and H (a gather) one after the other, for E members and states of D values. Its
preconditioner are diagonal blocks of the system: the rows of a frame, sorted in space, B at a time, each block inverted
without coupling in time or to other blocks. It takes about

    12 B N T + 4 E T (3 D + (2 K + 8) N) + 12 K N T bytes,

K values in each row: linear in the number of rows, and independent of n.
"""

from collections.abc import Callable
from typing import Protocol

import torch

from hindsight.diffusion import modes as bases
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance import Observations

MEMORY = 2.0  # GB that the matrices of the dense form may take
BLOCK = 256  # rows
AT_ONCE = 2**24  # values of rows as fields that are projected on the modes at once

Frames = list[int] | slice
Matrices = dict[int, torch.Tensor]  # H U (N, n) by offset in frames


class System(Protocol):
    """H U and its transpose for the observations of some frames."""

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
    """The dense form where its matrices fit, and where all members share them; the other one elsewhere.

    Args:
        process: the linear prior.
        observations: of some frames.
        cache: H U by geometry.
        memory: that the matrices may take, GB.
        shape: of the grid (H, W), by which rows are sorted in space; none: the state is a line.
    """
    if observations.error.ndim == 3 or dense_memory(process, observations) > memory * 1e9:
        return MatrixFree(process, observations, shape, BLOCK)
    return Dense(process, observations, {} if cache is None else cache)


def dense_memory(process: GaussMarkov, observations: Observations) -> float:
    """Bytes that the matrices of the dense form take."""
    frames, rows = observations.value.shape
    offsets = {observations.geometry(t): len(observations.offsets(t)) for t in range(frames)}
    return sum(rows * (4.0 * count * len(process.variance) + 12.0 * rows) for count in offsets.values())


def variances(observations: Observations) -> torch.Tensor:
    """R, error variances (T, N), or (E, T, N) where members have their own; 1 in the padding."""
    return observations.error.square() * observations.present + (1 - observations.present)


class Dense:
    """H U as matrices.

    Args:
        process: the linear prior.
        observations: of some frames, the same for all members.
        cache: H U by geometry, shared by the cycles of a stretch.
    """

    def __init__(self, process: GaussMarkov, observations: Observations, cache: dict[bytes, Matrices]) -> None:
        self.process, self.observations, self._variance = process, observations, variances(observations)
        self._rows, self._geometry_of = self._rows_in_modes(cache)
        self._frames = [
            _as_slice([t for t, g in enumerate(self._geometry_of) if g == k]) for k in range(len(self._rows))
        ]
        self._doubled: list[Matrices] = []

    def into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        result = values.new_zeros(*values.shape[:2], len(self.process.variance))
        for rows, frames in zip(self._rows_like(values), self._frames):
            for offset, part in rows.items():
                result[:, _shifted(frames, offset)] += values[:, frames] @ part
        return result

    def at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        result = coefficients.new_zeros(*coefficients.shape[:2], self.observations.value.shape[1])
        for rows, frames in zip(self._rows_like(coefficients), self._frames):
            for offset, part in rows.items():
                result[:, frames] += coefficients[:, _shifted(frames, offset)] @ part.T
        return result

    def largest_variance(self, variance: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        return torch.stack([(_summed(rows).square() * variance).sum(1).max() for rows in self._rows]).max()

    def preconditioner(self, posterior: Posterior) -> Callable[[torch.Tensor], torch.Tensor]:
        """Each frame's own block of the system, inverted.

        Observations that depend on several frames count as if these were alike: it preconditions, and decides nothing.
        """
        blocks = self._blocks(posterior)
        by_precision = {torch.float64: blocks}

        def apply(values: torch.Tensor) -> torch.Tensor:
            if values.dtype not in by_precision:
                by_precision[values.dtype] = [(frames, block.to(values.dtype)) for frames, block in blocks]
            result = torch.empty_like(values)
            for frames, block in by_precision[values.dtype]:
                result[:, frames] = values[:, frames] @ block
            return result

        return apply

    def _blocks(self, posterior: Posterior) -> list[tuple[Frames, torch.Tensor]]:
        """Inverse of each frame's block (N, N), float64, with the frames that share it."""
        sharing: dict[tuple[int, float], list[int]] = {}
        for frame, (geometry, level) in enumerate(zip(self._geometry_of, posterior.sigma[0].square().tolist())):
            sharing.setdefault((geometry, level), []).append(frame)
        inverses, variance = [], self.process.variance.double()
        for (geometry, level), frames in sharing.items():
            rows, remaining = _summed(self._rows[geometry]).double(), 1 / (1 / variance + 1 / level)
            block = (rows * remaining) @ rows.T + torch.diag(self._variance[frames[0]].double())
            here = self.observations.error[frames[0]][self.observations.present[frames[0]] > 0]
            inverses.append((_as_slice(frames), _inverse(block, here)))
        return inverses

    def _rows_like(self, values: torch.Tensor) -> list[Matrices]:
        """H U of every geometry in the precision of `values`."""
        if values.dtype == torch.float32:
            return self._rows
        self._doubled = self._doubled or [{k: part.double() for k, part in rows.items()} for rows in self._rows]
        return self._doubled

    def _rows_in_modes(self, cache: dict[bytes, Matrices]) -> tuple[list[Matrices], list[int]]:
        """H U (N, n) of every distinct geometry, by offset in frames, and the number of each frame's geometry."""
        numbers: dict[bytes, int] = {}
        rows, geometry_of = [], []
        for t in range(len(self.observations.value)):
            key = self.observations.geometry(t)
            if key not in cache:
                cache[key] = {
                    offset: self.process.modes.project(self.observations.rows(t, self.process.size, offset))
                    for offset in self.observations.offsets(t)
                }
            if key not in numbers:
                numbers[key] = len(rows)
                rows.append(cache[key])
            geometry_of.append(numbers[key])
        return rows, geometry_of


class MatrixFree:
    """H U without matrices, for many observations at changing places, and for members that have their own H.

    Args:
        process: the linear prior.
        observations: of some frames.
        shape: see `build`.
        block: rows of a block of the preconditioner.
    """

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
        self._places = _in_space(observations, shape or (1, process.size), block)

    def into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        modes, observations = self._like(values)
        return modes.project(observations.adjoint(values, self.process.size))

    def at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        modes, observations = self._like(coefficients)
        return observations.forward(modes.expand(coefficients))

    def largest_variance(self, variance: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        return torch.stack([(self._rows(places).square() * variance).sum(1).max() for places in self._places]).max()

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
        variance, level = self.process.variance.double(), posterior.sigma[0].double().square()
        inverses = torch.zeros(len(self._places), size, size, device=variance.device)
        for number, places in enumerate(self._places):
            frame, rows = int(places[0]) // self.observations.present.shape[1], self._rows(places).double()
            own = self._variance.flatten()[places].double()
            block = (rows / (1 / variance + 1 / level[frame])) @ rows.T + torch.diag(own)
            inverses[number, : len(places), : len(places)] = _inverse(block, own.sqrt())
        return inverses

    def _rows(self, places: torch.Tensor) -> torch.Tensor:
        """H U of some rows of all frames, as if all frames that they depend on were alike; (B, n)."""
        point, modes = self.observations.point.flatten(0, 1)[places], self.process.modes
        weight = (self._weight * self.observations.present[..., None]).flatten(0, 1)[places]
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


def _in_space(observations: Observations, shape: tuple[int, int], block: int) -> list[torch.Tensor]:
    """The rows of every frame in blocks of neighbours: places in the flattened (T N), padding left out.

    As many strips of latitude as each has blocks, sorted by longitude.
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


def _inverse(block: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """The inverse of a positive definite block.

    Raises:
        ArithmeticError: if it is not, because errors are too small.
    """
    factor, failed = torch.linalg.cholesky_ex(block)
    if bool(failed):
        raise ArithmeticError(
            f"the observation solver cannot tell observations apart whose errors are as small as "
            f"{float(error.min()):.1e} standard deviations"
        )
    return torch.cholesky_inverse(factor)


def _as_slice(frames: list[int]) -> Frames:
    """Consecutive frames as a slice, which copies nothing where a list would."""
    return slice(frames[0], frames[-1] + 1) if frames == list(range(frames[0], frames[-1] + 1)) else frames


def _shifted(frames: Frames, offset: int) -> Frames:
    """Frames at an offset from others."""
    if isinstance(frames, slice):
        return slice(frames.start + offset, frames.stop + offset)
    return [frame + offset for frame in frames]


def _summed(rows: Matrices) -> torch.Tensor:
    """H U of all offsets together: what observations measure of frames that are alike."""
    return torch.stack(list(rows.values())).sum(0) if len(rows) > 1 else rows[0]
