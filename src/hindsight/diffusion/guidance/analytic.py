"""Guidance with the analytic posterior covariance of the linear prior, sampled by perturbed observations.

Given noisy frames, the clean ones are distributed as N(D, P): D the denoised estimate (the network's), P the posterior
covariance of the Gauss-Markov process. With observations y = H x + e, e ~ N(0, R), a sample of the clean frames is

    x = D + xi,   xi ~ N(0, P);      x_0* = x + P H^T (H P H^T + R)^-1 (y + eps - H x),   eps ~ N(0, R),

which has the right mean *and* covariance (Matheron's rule; Doucet 2010). P couples the frames, so an observation also
corrects the days around it. The system is solved matrix-free by conjugate gradients (H P H^T + R is symmetric and
positive definite), preconditioned by each frame's own block. It needs no backward pass through the network.

The residual of the recurrence drifts from the true one where errors are small beside the spread, so the true one
replaces it every few iterations, and always at the end (van der Vorst and Ye 2000, doi:10.1137/S1064827599353865).
Where single precision does not suffice, everything is done in double.
"""

import torch

from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.guidance import Observations, Setup, White
from hindsight.diffusion.guidance.unguided import Unguided

REPLACE_EVERY = 25  # iterations after which the residual is replaced by the true one
PATIENCE = 3  # times that the true residual may exceed the recurrence's before single precision is given up
SHARE = 0.05  # largest residual, as a share of the observation errors


class Analytic:
    """Posterior means and samples of a stretch of frames, given its observations.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        tolerance: relative residual at which the solver stops, if it is also small beside the observation errors.
        iterations: after which it raises an error; as many again in double precision.
        cache: H U by geometry, shared by the cycles of a stretch.
    """

    def __init__(
        self,
        prior: Unguided,
        observations: Observations,
        tolerance: float = 1e-4,
        iterations: int = 200,
        cache: dict[bytes, dict[int, torch.Tensor]] | None = None,
    ) -> None:
        self.prior, self.process, self.observations = prior, prior.process, observations
        self.tolerance, self.iterations = tolerance, iterations
        self._variance = observations.error.square() * observations.present + (
            1 - observations.present
        )  # 1 in the padding
        self._rows, self._geometry_of = self._rows_in_modes({} if cache is None else cache)
        self._frames = [
            _as_slice([t for t, g in enumerate(self._geometry_of) if g == k]) for k in range(len(self._rows))
        ]
        self._doubled: list[dict[int, torch.Tensor]] = []

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
        """A sample by the linear prior alone."""
        return self.update(self.prior.start(noisy, level, white), self.prior.posterior(level), self._errors(white))

    def update(self, sample: torch.Tensor, posterior: Posterior, noise: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Move fields (E, T, D) to observations plus `noise`, by the gain of the posterior covariance."""
        innovation = (self.observations.value + noise) * self.observations.present - self.observations.forward(sample)
        return sample + self.gain(innovation, posterior)

    def gain(self, innovation: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """P H^T (H P H^T + R)^-1 times innovations (E, T, N): (E, T, D).

        Raises:
            ArithmeticError: if the solver does not reach its tolerance.
        """
        if not bool(self.observations.present.any()):
            return innovation.new_zeros(*innovation.shape[:2], self.process.size)
        solved, posterior = self._solve(innovation, posterior)
        moved = posterior.covariance_of_modes(self._into_modes(solved))
        return self.process.modes.expand(moved.to(innovation.dtype))

    def _errors(self, white: White) -> torch.Tensor:
        keys = self.observations.key
        size = {"size": self.observations.value.shape[1]} if keys is None else {"keys": keys}
        return white("observation", **size) * self.observations.error

    def _solve(self, right: torch.Tensor, posterior: Posterior) -> tuple[torch.Tensor, Posterior]:
        """(H P H^T + R)^-1 b for all members, and the posterior in the precision that it took."""
        blocks, worst = self._blocks(posterior), 0.0
        for precise in (False, True):
            if not precise and self._needs_double(posterior):
                continue
            used = posterior.double if precise else posterior
            inverse = [(frames, block.to(used.dtype)) for frames, block in blocks]
            solution, worst = self._conjugate_gradients(right.to(used.dtype), used, inverse)
            if not worst > 1:
                return solution, used
        raise ArithmeticError(
            f"the observation solver stopped at a residual {worst:.1e} times the allowed one, after {self.iterations} "
            f"iterations, tolerance {self.tolerance:.0e}"
        )

    def _needs_double(self, posterior: Posterior) -> bool:
        """Whether single precision does not suffice.

        The error of a product with the system is a rounding error times its largest eigenvalue times the length of the
        vector, which is up to |b| / sqrt(error variance x largest variance of an observed value). The bound assumes
        that all observations of a frame measure the same value.
        """
        variance = 1 / (1 / self.process.variance + 1 / posterior.sigma[0].square().max())
        largest_variance = torch.stack([(_summed(rows).square() * variance).sum(1).max() for rows in self._rows]).max()
        ratio = (self._variance[self.observations.present > 0].min() / largest_variance).sqrt()
        least = torch.finfo(torch.float32).eps * self.observations.present.sum(1).max().sqrt() / ratio
        return bool(least > torch.clamp(SHARE * ratio, max=self.tolerance))

    def _conjugate_gradients(
        self, right: torch.Tensor, posterior: Posterior, inverse: list[tuple[list[int] | slice, torch.Tensor]]
    ) -> tuple[torch.Tensor, float]:
        """The solution by preconditioned conjugate gradients, and its true residual relative to the allowed one."""
        solution, residual, search, before, false_ends = torch.zeros_like(right), right, None, None, 0
        for number in range(1, self.iterations + 1):
            improved = _apply(inverse, residual)
            after = _dot(residual, improved)
            search = improved if search is None else improved + after / before.clamp(min=1e-30) * search
            image = self._system(search, posterior)
            length, before = after / _dot(search, image).clamp(min=1e-30), after
            solution, residual = solution + length * search, residual - length * image
            if (converged := self._residual_ratio(residual, right) <= 1) or number % REPLACE_EVERY == 0:
                residual = right - self._system(solution, posterior)
                if (left := self._residual_ratio(residual, right)) <= 1 or (
                    false_ends := false_ends + converged
                ) > PATIENCE:
                    return solution, left
                search = None if converged else search
        return solution, self._residual_ratio(right - self._system(solution, posterior), right)

    def _residual_ratio(self, residual: torch.Tensor, right: torch.Tensor) -> float:
        """The largest residual of a member relative to the allowed one: a share of b, and of the observation errors.

        The sampler refuses members that are not finite.
        """
        shares = _norm(residual) / (self.tolerance * _norm(right).clamp(min=1e-30))
        errors = _norm(residual / self._variance.sqrt()) / (SHARE * self.observations.present.sum().sqrt())
        return float(torch.maximum(shares, errors).nan_to_num(0.0).max())

    def _system(self, values: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """(H P H^T + R) v, by way of the modes."""
        image = self._at_places(posterior.covariance_of_modes(self._into_modes(values)))
        return image + self._variance * values

    def _into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """U^T H^T v: values at the places (E, T, N) to coefficients (E, T, n)."""
        result = values.new_zeros(*values.shape[:2], len(self.process.variance))
        for rows, frames in zip(self._rows_like(values), self._frames):
            for offset, part in rows.items():
                result[:, _shifted(frames, offset)] += values[:, frames] @ part
        return result

    def _at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """H U a: coefficients (E, T, n) to values at the places (E, T, N)."""
        result = coefficients.new_zeros(*coefficients.shape[:2], self.observations.value.shape[1])
        for rows, frames in zip(self._rows_like(coefficients), self._frames):
            for offset, part in rows.items():
                result[:, frames] += coefficients[:, _shifted(frames, offset)] @ part.T
        return result

    def _rows_like(self, values: torch.Tensor) -> list[dict[int, torch.Tensor]]:
        """H U of every geometry in the precision of `values`."""
        if values.dtype == torch.float32:
            return self._rows
        self._doubled = self._doubled or [{k: part.double() for k, part in rows.items()} for rows in self._rows]
        return self._doubled

    def _blocks(self, posterior: Posterior) -> list[tuple[list[int] | slice, torch.Tensor]]:
        """Inverse of each frame's block (N, N) without coupling in time, float64, with the frames that share it.

        Observations that depend on several frames count as if these were alike: it preconditions, and decides nothing.

        Raises:
            ArithmeticError: if the errors of observations are too small to tell them apart.
        """
        sharing: dict[tuple[int, float], list[int]] = {}
        for frame, (geometry, level) in enumerate(zip(self._geometry_of, posterior.sigma[0].square().tolist())):
            sharing.setdefault((geometry, level), []).append(frame)
        inverses, variance = [], self.process.variance.double()
        for (geometry, level), frames in sharing.items():
            rows, remaining = _summed(self._rows[geometry]).double(), 1 / (1 / variance + 1 / level)
            block = (rows * remaining) @ rows.T + torch.diag(self._variance[frames[0]].double())
            factor, failed = torch.linalg.cholesky_ex(block)
            if bool(failed):
                least = float(self.observations.error[frames[0]][self.observations.present[frames[0]] > 0].min())
                raise ArithmeticError(
                    f"the observation solver cannot tell observations apart whose errors are as small as {least:.1e} "
                    "standard deviations"
                )
            inverses.append((_as_slice(frames), torch.cholesky_inverse(factor)))
        return inverses

    def _rows_in_modes(
        self, cache: dict[bytes, dict[int, torch.Tensor]]
    ) -> tuple[list[dict[int, torch.Tensor]], list[int]]:
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


def build(setup: Setup) -> Analytic:
    """The guidance; it has no settings."""
    return Analytic(setup.prior, setup.observations, setup.tolerance, setup.iterations, setup.cache)


def _as_slice(frames: list[int]) -> list[int] | slice:
    """Consecutive frames as a slice, which copies nothing where a list would."""
    return slice(frames[0], frames[-1] + 1) if frames == list(range(frames[0], frames[-1] + 1)) else frames


def _shifted(frames: list[int] | slice, offset: int) -> list[int] | slice:
    """Frames at an offset from others."""
    if isinstance(frames, slice):
        return slice(frames.start + offset, frames.stop + offset)
    return [frame + offset for frame in frames]


def _summed(rows: dict[int, torch.Tensor]) -> torch.Tensor:
    """H U of all offsets together: what observations measure of frames that are alike."""
    return torch.stack(list(rows.values())).sum(0) if len(rows) > 1 else rows[0]


def _apply(blocks: list[tuple[list[int] | slice, torch.Tensor]], values: torch.Tensor) -> torch.Tensor:
    """Each frame's block times its values (E, T, N)."""
    result = torch.empty_like(values)
    for frames, block in blocks:
        result[:, frames] = values[:, frames] @ block
    return result


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Inner product for each member, (E, 1, 1)."""
    return (a.double() * b).sum((1, 2), keepdim=True).to(a.dtype)


def _norm(a: torch.Tensor) -> torch.Tensor:
    return a.double().square().sum((1, 2), keepdim=True).sqrt()
