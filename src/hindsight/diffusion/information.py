"""The precision of a trajectory given its noise and its observations, factored in the space of the state.

In whitened coefficients of n modes a trajectory of T frames has the posterior precision

    J = S^-1 + N^-1 + G^T R^-1 G,      G = H U times the modes' standard deviations,

S the prior's covariance and N that of the frames' noise. J has T n columns, however many rows H has: they are summed in
its last term. S^-1 is block tridiagonal in time, and so is J in blocks of q frames, q the number of frames that a row
spans beyond its first, at least 1. One sweep (block elimination, in double precision) gives the inverses of its pivots,
and with them J^-1 times any vector. For N rows of K values a frame and D grid values, the inverses take

    4 q T n^2 bytes and q^2 T n^3 multiplications,

and the sums over rows 4 T n^2 bytes, which are kept where there is room, and T n (2 D n + 2 N K) multiplications. Where
rows span frames, the inverses take three times the bytes, the sums 2 q + 1 times, and both about four times the
multiplications.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion import modes as bases
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance import Observations

AT_ONCE = 2**22  # values of fields that are projected on the modes at once
POSTERIORS = 8  # noise levels of a sample

Step = Callable[[torch.Tensor], torch.Tensor]  # rows (…, q n) of one block to those of the next


def span(observations: Observations) -> int:
    """The largest number of frames that a row spans beyond its first; at least 1."""
    if observations.offset is None:
        return 1
    used = (_shared(observations.weight) != 0) & (observations.present > 0)[..., None]
    last = torch.where(used, observations.offset, 0).amax(-1)
    return max(1, int((last - torch.where(used, observations.offset, 0).amin(-1)).max()))


def memory(process: GaussMarkov, observations: Observations) -> float:
    """Bytes of the inverses of J's pivots and, where rows span frames, of the blocks between frames."""
    reach, each = span(observations), 4.0 if observations.offset is None else 12.0
    return each * -(-len(observations.present) // reach) * (reach * len(process.variance)) ** 2


def memory_of_sums(process: GaussMarkov, observations: Observations) -> float:
    """Bytes that the sums over rows take."""
    each = 1 if observations.offset is None else 2 * span(observations) + 1
    return 4.0 * each * len(observations.present) * len(process.variance) ** 2


def work(process: GaussMarkov, observations: Observations) -> float:
    """Multiplications for a posterior: those of the factors, and a share of those of the sums, made once for many."""
    count, reach = len(process.variance), span(observations)
    each = 1.0 if observations.offset is None else 4.0
    return len(observations.present) * count**2 * (each * reach**2 * count + each * reach * process.size / POSTERIORS)


class Information:
    """J of some frames and observations.

    Args:
        process: the linear prior, with modes in double precision.
        observations: of T frames, in double precision, the same for all members.
        keep: whether the sums over rows are kept from one posterior to the next.

    Attributes:
        signal: the largest sum, over the rows of a frame, of prior variance / error variance.
    """

    def __init__(self, process: GaussMarkov, observations: Observations, keep: bool = True) -> None:
        self.process, self.frames, self.reach = process, len(observations.present), span(observations)
        self.deviation = process.variance.double().sqrt()
        self._frames = _by_frame(observations)
        self._spans, self._keep = observations.offset is not None, keep
        self._sums: dict[tuple[int, int], Symmetric | torch.Tensor] = {}
        self.signal = max(float(self._sum(t, t).diagonal().sum()) for t in range(self.frames))

    def factored(self, posterior: Posterior, factor: float = 1.0) -> Callable[[torch.Tensor], torch.Tensor]:
        """J^-1, for coefficients (E, T, n) in double precision.

        Args:
            posterior: of the frames.
            factor: by which R is multiplied.

        Raises:
            ArithmeticError: if J is not positive definite in double precision.
        """
        weight = self.process.variance.double() / posterior.sigma[0].double().square()[:, None]
        steps: list[tuple[Step, Step]] = []
        pivots: list[Symmetric] = []
        inverse = self.deviation.new_zeros(0, 0)
        for first in range(0, self.frames, self.reach):
            pivot = self._diagonal(first, weight, factor)
            if first:
                steps.append(self._step(first, factor))
                over = steps[-1][0]
                pivot = pivot - over(over(inverse).T)
            root, failed = torch.linalg.cholesky_ex(pivot)
            if bool(failed):
                raise ArithmeticError("the precision of the state given the observations is not positive definite")
            inverse = torch.cholesky_inverse(root)
            pivots.append(Symmetric(inverse))
        return lambda coefficients: self._solved(coefficients, pivots, steps)

    def _solved(self, right: torch.Tensor, pivots: list["Symmetric"], steps: list[tuple[Step, Step]]) -> torch.Tensor:
        """Eliminate block after block, then substitute back."""
        parts = [part.flatten(1) for part in right.split(self.reach, 1)]
        for number, (over, _) in enumerate(steps):
            parts[number + 1] = parts[number + 1] - over(parts[number] @ pivots[number].full)
        found = [parts[-1] @ pivots[-1].full]
        for part, pivot, (_, back) in zip(parts[-2::-1], pivots[-2::-1], steps[::-1]):
            found.append((part - back(found[-1])) @ pivot.full)
        return torch.cat([part.unflatten(1, (-1, right.shape[-1])) for part in found[::-1]], 1)

    def _diagonal(self, first: int, weight: torch.Tensor, factor: float) -> torch.Tensor:
        """The block of J of q frames, or of those that are left."""
        frames = range(first, min(first + self.reach, self.frames))
        rows = []
        for t in frames:
            own = self._sum(t, t) / factor + self._prior(t) + torch.diag(weight[t])
            rows.append(torch.cat([own if u == t else self._between(t, u, factor) for u in frames], 1))
        return torch.cat(rows)

    def _step(self, first: int, factor: float) -> tuple[Step, Step]:
        """Rows times the transposed block of J between some frames and those before them, and times the block."""
        if not self._spans and self.reach == 1:
            coupled, others = self._evolution[2]
            return (lambda rows: _times(rows, coupled.mT, others)), (lambda rows: _times(rows, coupled, others))
        frames, before = range(first, min(first + self.reach, self.frames)), range(first - self.reach, first)
        block = torch.cat([torch.cat([self._between(t, u, factor) for u in before], 1) for t in frames])
        return (lambda rows: rows @ block.T), (lambda rows: rows @ block)

    def _between(self, t: int, u: int, factor: float) -> torch.Tensor:
        """The block of J between two different frames, (n, n)."""
        if t < u:
            return self._between(u, t, factor).T
        rows = self._sum(t, u) / factor
        return rows if t - u > 1 else rows + _dense(*self._evolution[2])

    def _sum(self, t: int, u: int) -> torch.Tensor:
        """G^T R^-1 G between a frame and itself or an earlier one, (n, n)."""
        if (t, u) not in self._sums:
            found = self._in_modes(*_sharing(self._frames[t], self._frames[u], self.process.size))
            if not self._keep:
                return found
            self._sums[t, u] = Symmetric(found) if t == u else found
        kept = self._sums[t, u]
        return kept.full if isinstance(kept, Symmetric) else kept

    def _prior(self, t: int) -> torch.Tensor:
        """The block of S^-1 of one frame, (n, n)."""
        (coupled, others), (ahead, ahead_others), _ = self._evolution
        first, last = t == 0, t == self.frames - 1
        here = torch.eye(coupled.shape[-1], dtype=coupled.dtype, device=coupled.device) if first else coupled
        alone = torch.ones_like(others) if first else others
        return _dense((here if last else here + ahead).expand_as(coupled), alone if last else alone + ahead_others)

    @property
    def _evolution(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """`GaussMarkov.inverse_blocks`, each with the same of the uncoupled modes, which are numbers."""
        rho = self.process.persistence.double()
        inverse = 1 / (1 - rho**2)
        return list(zip(self.process.inverse_blocks, (inverse, rho**2 * inverse, -rho * inverse)))

    def _in_modes(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """U^T one^T other U times deviations on both sides, of sparse rows (N, D), some modes at a time; (n, n)."""
        modes, count, found = self.process.modes, len(self.deviation), []
        for some in torch.arange(count, device=self.deviation.device).split(max(1, AT_ONCE // self.process.size)):
            if isinstance(modes, bases.Empirical):
                fields = modes.matrix[:, some]
            else:
                unit = torch.zeros(len(some), count, dtype=torch.float64, device=some.device)
                fields = modes.expand(unit.scatter_(1, some[:, None], 1.0)).T
            found.append(modes.project(torch.sparse.mm(one.t(), torch.sparse.mm(other, fields)).T))
        return torch.cat(found).T * self.deviation[:, None] * self.deviation


class Symmetric:
    """A symmetric matrix (n, n) in half of its memory: its halves [[A, B'], [B, C]] as A and C in one square, and B."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self.count, half = len(matrix), -(-len(matrix) // 2)
        first, last = matrix[:half, :half], matrix[half:, half:]
        self._both = first.tril()
        self._both[: len(last), : len(last)] += last.triu(1)
        self._diagonal, self._across = last.diagonal().clone(), matrix[half:, :half].clone()

    @property
    def full(self) -> torch.Tensor:
        """The matrix."""
        half, rest = len(self._both), self.count - len(self._both)
        found = self._both.new_empty(self.count, self.count)
        found[:half, :half] = self._both.tril() + self._both.tril(-1).T
        upper = self._both[:rest, :rest].triu(1)
        found[half:, half:] = upper + upper.T + torch.diag(self._diagonal)
        found[half:, :half], found[:half, half:] = self._across, self._across.T
        return found


Values = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # of a frame: its rows' numbers, grid values, weights / errors


def _by_frame(observations: Observations) -> list[Values]:
    """The values of every frame that rows depend on, sorted by row."""
    frames, count, _ = observations.point.shape
    row = torch.arange(frames * count, device=observations.point.device).view(frames, count, 1)
    frame = row // count if observations.offset is None else row // count + observations.offset
    weight = observations.weight / torch.where(observations.present > 0, observations.error, 1.0)[..., None]
    used = (observations.weight != 0) & (observations.present > 0)[..., None]
    columns = [x.expand_as(used)[used] for x in (frame, row, observations.point, weight)]
    order = torch.argsort(columns[0], stable=True)
    sizes = torch.bincount(columns[0], minlength=frames).tolist()
    return list(zip(*(column[order].split(sizes) for column in columns[1:])))


def _sharing(one: Values, other: Values, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows that depend on two frames, divided by their errors, as sparse matrices (N, D) for either frame."""
    rows = torch.unique_consecutive(one[0])
    rows = rows[torch.isin(rows, other[0])]
    found = []
    for row, point, weight in (one, other):
        here = torch.isin(row, rows)
        place = torch.stack([torch.searchsorted(rows, row[here]), point[here]])
        shape = len(rows), size
        found.append(torch.sparse_coo_tensor(place, weight[here], shape, check_invariants=False).coalesce())
    return found[0], found[1]


def _shared(weight: torch.Tensor) -> torch.Tensor:
    """Weights (T, N, K); where members have their own, those that any has."""
    return weight.abs().amax(0) if weight.ndim == 4 else weight


def _dense(coupled: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Blocks (G, k, k) and numbers (m,) down the diagonal of a matrix."""
    return torch.block_diag(*coupled, torch.diag(others))


def _times(rows: torch.Tensor, coupled: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Rows (r, n) times a matrix of blocks (G, k, k) and numbers (m,) down its diagonal."""
    groups, size = coupled.shape[:2]
    left, right = rows[:, : groups * size], rows[:, groups * size :] * others
    blocks = (left.unflatten(1, (groups, size)).transpose(0, 1) @ coupled).transpose(0, 1).flatten(1)
    return torch.cat([blocks, right], 1)
