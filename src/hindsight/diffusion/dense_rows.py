"""H U as matrices, for few observations, at places that frames share.

H is a sum of J parts that all members share, each times slopes of the member's own (where all rows are linear J = 1 and
the slope is 1). G geometries of N rows, in frames of one noise level, with offsets to L frames, with n modes, take

    G N (4 J L n + 12 N) bytes

and three times the first term where double precision is needed; where members have slopes of their own, every frame
counts as a geometry in the second term. The preconditioner is the inverse of every frame's block, with the mean of the
slopes, without coupling in time: exact where frames do not depend on each other and members are alike.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance import Observations

TOO_SMALL = "the observation solver cannot distinguish observations with errors as small as {:.1e} standard deviations"

ITERATIONS = 800.0  # products with H U and its transpose: 50 iterations of 8 members

Frames = list[int] | slice
Matrices = dict[tuple[int, int], torch.Tensor]  # H U (N, n) by offset in frames and part


def applies(observations: Observations) -> bool:
    """Whether H is the same for all members, but for slopes of their own."""
    return observations.error.ndim == 2 or observations.slopes is not None


def memory(process: GaussMarkov, observations: Observations) -> float:
    """Bytes that the matrices take."""
    frames, rows = observations.value.shape[-2:]
    offsets = {observations.geometry(t): len(observations.offsets(t)) for t in range(frames)}
    blocks = len(offsets) if observations.slopes is None else frames
    modes = 4.0 * len(process.variance) * _parts(observations)
    return rows * (modes * sum(offsets.values()) + 12.0 * rows * blocks)


def work(process: GaussMarkov, observations: Observations) -> float:
    """Multiplications for the blocks of a posterior and the iterations with it."""
    (frames, rows), modes = observations.value.shape[-2:], float(len(process.variance))
    shared = observations.slopes is None
    blocks = len({observations.geometry(t) for t in range(frames)}) if shared else frames
    return blocks * rows**2 * (2 * modes + rows) + ITERATIONS * _parts(observations) * frames * rows * modes


def _parts(observations: Observations) -> int:
    return 1 if observations.slopes is None else observations.slopes.shape[-1]


def variances(observations: Observations) -> torch.Tensor:
    """R, error variances (T, N), or (E, T, N) where members have their own; 1 in the padding."""
    return observations.error.square() * observations.present + (1 - observations.present)


class Dense:
    """H U as matrices.

    Args:
        process: the linear prior.
        observations: of some frames, for which `applies` holds.
        cache: H U by geometry, shared by the cycles of a stretch.
    """

    precise = False

    def __init__(self, process: GaussMarkov, observations: Observations, cache: dict[bytes, Matrices]) -> None:
        self.process, self.observations, variance = process, observations, variances(observations)
        self._slopes, self._variance = observations.slopes, variance.mean(0) if variance.ndim == 3 else variance
        self._rows, self._geometry_of = self._rows_in_modes(cache)
        self._frames = [
            _as_slice([t for t, g in enumerate(self._geometry_of) if g == k]) for k in range(len(self._rows))
        ]
        self._doubled: list[Matrices] = []

    def into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        result = values.new_zeros(*values.shape[:2], len(self.process.variance))
        for rows, frames in zip(self._rows_like(values), self._frames):
            for (offset, part), matrix in rows.items():
                result[:, _shifted(frames, offset)] += self._sloped(values[:, frames], frames, part) @ matrix
        return result

    def at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        result = coefficients.new_zeros(*coefficients.shape[:2], self.observations.value.shape[-1])
        for rows, frames in zip(self._rows_like(coefficients), self._frames):
            for (offset, part), matrix in rows.items():
                seen = coefficients[:, _shifted(frames, offset)] @ matrix.T
                result[:, frames] += self._sloped(seen, frames, part)
        return result

    def _sloped(self, values: torch.Tensor, frames: Frames, part: int) -> torch.Tensor:
        """Values (E, F, N) times the slopes by one part of H."""
        return values if self._slopes is None else values * self._slopes[:, frames, :, part]

    def largest_variance(self, variance: torch.Tensor) -> torch.Tensor:
        """See `System`."""
        largest = []
        for rows, frames in zip(self._rows, self._frames):
            parts = [_summed(rows, part) for part in range(_parts(self.observations))]
            products = [[(one * other * variance).sum(1) for one in parts] for other in parts]
            if self._slopes is not None:
                slopes = self._slopes[:, frames].unbind(-1)
                products = [[p * s * r for p, s in zip(line, slopes)] for line, r in zip(products, slopes)]
            largest.append(sum(sum(line) for line in products).max())
        return torch.stack(largest).max()

    def preconditioner(self, posterior: Posterior) -> Callable[[torch.Tensor], torch.Tensor]:
        """Each frame's own block of the system, inverted.

        Observations that depend on several frames count as if these were alike; the solution does not change by that.
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
        sharing: dict[tuple[int, float, int], list[int]] = {}
        for frame, (geometry, level) in enumerate(zip(self._geometry_of, posterior.sigma[0].square().tolist())):
            alone = 0 if self._slopes is None else frame
            sharing.setdefault((geometry, level, alone), []).append(frame)
        inverses, variance = [], self.process.variance.double()
        for (geometry, level, _), frames in sharing.items():
            rows, remaining = self._mean_rows(geometry, frames[0]).double(), 1 / (1 / variance + 1 / level)
            own = self._variance[frames[0]].double()
            block = (rows * remaining) @ rows.T + torch.diag(own)
            inverses.append((_as_slice(frames), inverse(block, own[self.observations.present[frames[0]] > 0].sqrt())))
        return inverses

    def _mean_rows(self, geometry: int, frame: int) -> torch.Tensor:
        """H U (N, n) of a frame, of all offsets together, with the mean of the members' slopes."""
        rows, slopes = self._rows[geometry], self._slopes
        if slopes is None:
            return _summed(rows, 0)
        parts = slopes[:, frame].mean(0).unbind(-1)
        return torch.stack([_summed(rows, k) * slope[:, None] for k, slope in enumerate(parts)]).sum(0)

    def _rows_like(self, values: torch.Tensor) -> list[Matrices]:
        """H U of every geometry in the precision of `values`."""
        if values.dtype == torch.float32:
            return self._rows
        self._doubled = self._doubled or [{k: part.double() for k, part in rows.items()} for rows in self._rows]
        return self._doubled

    def _rows_in_modes(self, cache: dict[bytes, Matrices]) -> tuple[list[Matrices], list[int]]:
        """H U (N, n) of every distinct geometry, and the number of each frame's geometry."""
        numbers: dict[bytes, int] = {}
        rows, geometry_of = [], []
        for t in range(len(self.observations.present)):
            key = self.observations.geometry(t)
            if key not in cache:
                taken = lambda offset, part, t=t: self.observations.rows(t, self.process.size, offset, part)
                cache[key] = {
                    (offset, part): self.process.modes.project(taken(offset, part))
                    for offset in self.observations.offsets(t)
                    for part in range(_parts(self.observations))
                }
            if key not in numbers:
                numbers[key] = len(rows)
                rows.append(cache[key])
            geometry_of.append(numbers[key])
        return rows, geometry_of


def inverse(block: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """The inverse of a positive definite block.

    Raises:
        ArithmeticError: if it is not, because errors are too small.
    """
    factor, failed = torch.linalg.cholesky_ex(block)
    if bool(failed):
        raise ArithmeticError(TOO_SMALL.format(error.min()))
    return torch.cholesky_inverse(factor)


def _as_slice(frames: list[int]) -> Frames:
    """Consecutive frames as a slice, which copies nothing where a list would."""
    return slice(frames[0], frames[-1] + 1) if frames == list(range(frames[0], frames[-1] + 1)) else frames


def _shifted(frames: Frames, offset: int) -> Frames:
    """Frames at an offset from others."""
    if isinstance(frames, slice):
        return slice(frames.start + offset, frames.stop + offset)
    return [frame + offset for frame in frames]


def _summed(rows: Matrices, part: int) -> torch.Tensor:
    """H U of a part, of all offsets together: what observations measure of frames that are alike."""
    found = [matrix for (_, number), matrix in rows.items() if number == part]
    return torch.stack(found).sum(0) if len(found) > 1 else found[0]
