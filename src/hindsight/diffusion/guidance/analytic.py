"""Guidance with the analytic posterior covariance of the closed-form prior, sampled by perturbed observations.

Given noisy frames, the clean ones are distributed as N(D, P): D the denoised estimate (the network's), P the posterior
covariance of the Gauss-Markov process. With observations y = H x + e, e ~ N(0, R), a sample of the clean frames is

    x = D + xi,   xi ~ N(0, P);      x_0* = x + P H^T (H P H^T + R)^-1 (y + eps - H x),   eps ~ N(0, R),

which has the right mean *and* covariance (Matheron's rule; Doucet 2010). P couples the frames, so an observation speaks
for the days around it. The system is solved matrix-free by conjugate gradients (H P H^T + R is symmetric and positive
definite), preconditioned by each frame's own block. No pass goes back through the network.

The residual that conjugate gradients carry along drifts from the true one where errors are small beside the spread, so
it is replaced by the true one now and then, and always at the end (van der Vorst and Ye 2000,
doi:10.1137/S1064827599353865). Where single precision cannot tell the observations apart, all of it is done in double.
"""

import torch

from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.guidance import Observations, White
from hindsight.diffusion.guidance.unguided import Unguided

REPLACED = 25  # iterations after which the residual is replaced by the true one
PATIENCE = 3  # times that the true residual may belie the one carried along before the precision is taken to be spent
SHARE = 0.05  # of the errors of observation, that a residual may be


class Analytic:
    """Posterior means and samples of a stretch of frames, given its observations.

    Args:
        prior: unguided.
        observed: observations of its frames.
        tolerance: relative residual at which the solver stops, if it is small beside the errors of observation too.
        iterations: after which it gives up, loudly; as many again in double precision.
        known: H U of sets of places met before, shared by the cycles of a stream.
    """

    def __init__(
        self,
        prior: Unguided,
        observed: Observations,
        tolerance: float = 1e-4,
        iterations: int = 200,
        known: dict[bytes, torch.Tensor] | None = None,
    ) -> None:
        self.prior, self.process, self.observed = prior, prior.process, observed
        self.tolerance, self.iterations = tolerance, iterations
        self._variance = observed.error.square() * observed.present + (1 - observed.present)  # 1 in the padding
        self._rows, self._row_of = self._rows_in_modes({} if known is None else known)
        self._frames = [_run([t for t, g in enumerate(self._row_of) if g == k]) for k in range(len(self._rows))]
        self._doubled: list[torch.Tensor] = []

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        return self.update(self.prior.mean(noisy, above, below), self.prior.posterior(above))

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """A sample of the clean frames given the noisy ones and the observations.

        Raises:
            ArithmeticError: if the solver does not reach its tolerance.
        """
        sample = self.prior.draw(noisy, above, below, white)
        return self.update(sample, self.prior.posterior(above), self._errors(white))

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """The same by the closed form alone."""
        return self.update(self.prior.start(noisy, level, white), self.prior.posterior(level), self._errors(white))

    def update(self, sample: torch.Tensor, posterior: Posterior, noise: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Move fields (E, T, D) to observations plus `noise`, by the gain of the posterior covariance."""
        gap = (self.observed.value + noise) * self.observed.present - self.observed.forward(sample)
        return sample + self.gain(gap, posterior)

    def gain(self, gap: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """P H^T (H P H^T + R)^-1 times gaps (E, T, N): (E, T, D).

        Raises:
            ArithmeticError: if the solver does not reach its tolerance.
        """
        if not bool(self.observed.present.any()):
            return gap.new_zeros(*gap.shape[:2], self.process.size)
        solved, posterior = self._solve(gap, posterior)
        moved = posterior.covariance_of_modes(self._into_modes(solved))
        return self.process.modes.out_of(moved.to(gap.dtype))

    def _errors(self, white: White) -> torch.Tensor:
        seen = self.observed
        return white("observation", seen.value.shape[1] if seen.key is None else seen.key) * seen.error

    def _solve(self, right: torch.Tensor, posterior: Posterior) -> tuple[torch.Tensor, Posterior]:
        """(H P H^T + R)^-1 b, all members side by side, and the posterior in the precision that this took."""
        blocks, worst = self._blocks(posterior), 0.0
        for precise in (False, True):
            if not precise and self._spent(posterior):
                continue
            own = posterior.exact if precise else posterior
            inverse = [(frames, block.to(own.dtype)) for frames, block in blocks]
            solution, worst = self._conjugated(right.to(own.dtype), own, inverse)
            if not worst > 1:
                return solution, own
        raise ArithmeticError(
            f"the observation solver stopped at a residual {worst:.1e} times what it may be, after {self.iterations} "
            f"iterations, tolerance {self.tolerance:.0e}"
        )

    def _spent(self, posterior: Posterior) -> bool:
        """Whether single precision does not suffice.

        Products with the system are wrong by its largest eigenvalue times a rounding error, and what they are taken of
        is as large as b over the square root of error variance times spread. Every observation is taken to see what
        all others of its frame see.
        """
        known = 1 / (1 / self.process.variance + 1 / posterior.sigma[0].square().max())
        spread = torch.stack([(rows.square() * known).sum(1).max() for rows in self._rows]).max()
        ratio = (self._variance[self.observed.present > 0].min() / spread).sqrt()
        least = torch.finfo(torch.float32).eps * self.observed.present.sum(1).max().sqrt() / ratio
        return bool(least > torch.clamp(SHARE * ratio, max=self.tolerance))

    def _conjugated(
        self, right: torch.Tensor, posterior: Posterior, inverse: list[tuple[list[int] | slice, torch.Tensor]]
    ) -> tuple[torch.Tensor, float]:
        """The solution by preconditioned conjugate gradients, and its true residual over what that may be."""
        solution, residual, search, before, belied = torch.zeros_like(right), right, None, None, 0
        for number in range(1, self.iterations + 1):
            improved = _apply(inverse, residual)
            after = _dot(residual, improved)
            search = improved if search is None else improved + after / before.clamp(min=1e-30) * search
            image = self._system(search, posterior)
            length, before = after / _dot(search, image).clamp(min=1e-30), after
            solution, residual = solution + length * search, residual - length * image
            if (ended := self._over(residual, right) <= 1) or number % REPLACED == 0:
                residual = right - self._system(solution, posterior)
                if (left := self._over(residual, right)) <= 1 or (belied := belied + ended) > PATIENCE:
                    return solution, left
                search = None if ended else search
        return solution, self._over(right - self._system(solution, posterior), right)

    def _over(self, residual: torch.Tensor, right: torch.Tensor) -> float:
        """The largest residual of a member over what it may be: a share of b, and of the errors of observation.

        Members that are not finite are the walker's to refuse.
        """
        shares = _norm(residual) / (self.tolerance * _norm(right).clamp(min=1e-30))
        errors = _norm(residual / self._variance.sqrt()) / (SHARE * self.observed.present.sum().sqrt())
        return float(torch.maximum(shares, errors).nan_to_num(0.0).max())

    def _system(self, values: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """(H P H^T + R) v, by way of the modes."""
        image = self._at_places(posterior.covariance_of_modes(self._into_modes(values)))
        return image + self._variance * values

    def _into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """U^T H^T v: values at the places (E, T, N) to coefficients (E, T, n)."""
        result = values.new_empty(*values.shape[:2], len(self.process.variance))
        for rows, frames in zip(self._rows_like(values), self._frames):
            result[:, frames] = values[:, frames] @ rows
        return result

    def _at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """H U a: coefficients (E, T, n) to values at the places (E, T, N)."""
        result = coefficients.new_empty(*coefficients.shape[:2], self.observed.value.shape[1])
        for rows, frames in zip(self._rows_like(coefficients), self._frames):
            result[:, frames] = coefficients[:, frames] @ rows.T
        return result

    def _rows_like(self, values: torch.Tensor) -> list[torch.Tensor]:
        """H U of every set of places in the precision of some values."""
        if values.dtype == torch.float32:
            return self._rows
        self._doubled = self._doubled or [rows.double() for rows in self._rows]
        return self._doubled

    def _blocks(self, posterior: Posterior) -> list[tuple[list[int] | slice, torch.Tensor]]:
        """Inverse of each frame's own block of the system, time left out: (N, N) for frames that share one, float64.

        Raises:
            ArithmeticError: if observations are too sure of themselves to be told apart.
        """
        sharing: dict[tuple[int, float], list[int]] = {}
        for frame, (geometry, level) in enumerate(zip(self._row_of, posterior.sigma[0].square().tolist())):
            sharing.setdefault((geometry, level), []).append(frame)
        inverses, variance = [], self.process.variance.double()
        for (geometry, level), frames in sharing.items():
            rows, known = self._rows[geometry].double(), 1 / (1 / variance + 1 / level)
            block = (rows * known) @ rows.T + torch.diag(self._variance[frames[0]].double())
            factor, failed = torch.linalg.cholesky_ex(block)
            if bool(failed):
                least = float(self.observed.error[frames[0]][self.observed.present[frames[0]] > 0].min())
                raise ArithmeticError(
                    f"the observation solver cannot tell observations apart whose errors are as small as {least:.1e} "
                    "standard deviations"
                )
            inverses.append((_run(frames), torch.cholesky_inverse(factor)))
        return inverses

    def _rows_in_modes(self, known: dict[bytes, torch.Tensor]) -> tuple[list[torch.Tensor], list[int]]:
        """H U of every distinct set of places (N, n), and which set each frame has."""
        seen: dict[bytes, int] = {}
        rows, row_of = [], []
        for t in range(len(self.observed.value)):
            key = self.observed.places(t)
            if key not in known:
                known[key] = self.process.modes.into(self.observed.rows(t, self.process.size))
            if key not in seen:
                seen[key] = len(rows)
                rows.append(known[key])
            row_of.append(seen[key])
        return rows, row_of


def _run(frames: list[int]) -> list[int] | slice:
    """Frames in a row as a slice, which copies nothing where a list would."""
    return slice(frames[0], frames[-1] + 1) if frames == list(range(frames[0], frames[-1] + 1)) else frames


def _apply(blocks: list[tuple[list[int] | slice, torch.Tensor]], values: torch.Tensor) -> torch.Tensor:
    """Each frame's block times its values (E, T, N)."""
    result = torch.empty_like(values)
    for frames, block in blocks:
        result[:, frames] = values[:, frames] @ block
    return result


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Product of each member's values, (E, 1, 1)."""
    return (a.double() * b).sum((1, 2), keepdim=True).to(a.dtype)


def _norm(a: torch.Tensor) -> torch.Tensor:
    return a.double().square().sum((1, 2), keepdim=True).sqrt()
