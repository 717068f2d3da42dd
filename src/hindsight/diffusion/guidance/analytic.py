"""Guidance with the analytic posterior covariance of the closed-form prior, sampled by perturbed observations.

Given noisy frames, the clean ones are distributed as N(D, P): D the denoised estimate (the network's), P the posterior
covariance of the Gauss-Markov process. With observations y = H x + e, e ~ N(0, R), a sample of the clean frames is

    x = D + xi,   xi ~ N(0, P);      x_0* = x + P H^T (H P H^T + R)^-1 (y + eps - H x),   eps ~ N(0, R),

which has the right mean *and* covariance (Matheron's rule; Doucet 2010). P couples the frames, so an observation speaks
for the days around it. The system is solved matrix-free by conjugate gradients (H P H^T + R is symmetric and positive
definite), preconditioned by each frame's own block. No pass goes back through the network.
"""

import torch

from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.guidance import Observations, White
from hindsight.diffusion.guidance.unguided import Unguided


class Analytic:
    """Posterior means and samples of a stretch of frames, given its observations.

    Args:
        prior: unguided.
        observed: observations of its frames.
        tolerance: relative residual at which the solver stops.
        iterations: after which it gives up, loudly.
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
        if not bool(self.observed.present.any()):
            return sample
        gap = (self.observed.value + noise) * self.observed.present - self.observed.forward(sample)
        return sample + self.gain(gap, posterior)

    def gain(self, gap: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """P H^T (H P H^T + R)^-1 times gaps (E, T, N): (E, T, D)."""
        moved = posterior.covariance_of_modes(self._into_modes(self._solve(gap, posterior)))
        return self.process.modes.out_of(moved)

    def _errors(self, white: White) -> torch.Tensor:
        seen = self.observed
        return white("observation", seen.value.shape[1] if seen.key is None else seen.key) * seen.error

    def _solve(self, right: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """(H P H^T + R)^-1 b by preconditioned conjugate gradients, all members side by side."""
        inverse = self._blocks(posterior)
        solution, residual = torch.zeros_like(right), right
        bound = self.tolerance * _norm(right).clamp(min=1e-30)
        search = improved = _apply(inverse, residual)
        before = _dot(residual, improved)
        for _ in range(self.iterations):
            image = self._system(search, posterior)
            length = before / _dot(search, image).clamp(min=1e-30)
            solution = solution + length * search
            residual = residual - length * image
            if not bool((_norm(residual) > bound).any()):  # members that are not finite are the walker's to refuse
                return solution
            improved = _apply(inverse, residual)
            after = _dot(residual, improved)
            search, before = improved + after / before.clamp(min=1e-30) * search, after
        worst = float((_norm(residual) / bound).max()) * self.tolerance
        raise ArithmeticError(
            f"the observation solver stopped at a residual of {worst:.1e} after {self.iterations} "
            f"iterations, tolerance {self.tolerance:.0e}"
        )

    def _system(self, values: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """(H P H^T + R) v, by way of the modes."""
        image = self._at_places(posterior.covariance_of_modes(self._into_modes(values)))
        return image + self._variance * values

    def _into_modes(self, values: torch.Tensor) -> torch.Tensor:
        """U^T H^T v: values at the places (E, T, N) to coefficients (E, T, n)."""
        result = values.new_empty(*values.shape[:2], len(self.process.variance))
        for rows, frames in zip(self._rows, self._frames):
            result[:, frames] = values[:, frames] @ rows
        return result

    def _at_places(self, coefficients: torch.Tensor) -> torch.Tensor:
        """H U a: coefficients (E, T, n) to values at the places (E, T, N)."""
        result = coefficients.new_empty(*coefficients.shape[:2], self.observed.value.shape[1])
        for rows, frames in zip(self._rows, self._frames):
            result[:, frames] = coefficients[:, frames] @ rows.T
        return result

    def _blocks(self, posterior: Posterior) -> list[tuple[list[int] | slice, torch.Tensor]]:
        """Inverse of each frame's own block of the system, time left out: (N, N) for frames that share one."""
        sharing: dict[tuple[int, float], list[int]] = {}
        for frame, (geometry, level) in enumerate(zip(self._row_of, posterior.sigma[0].square().tolist())):
            sharing.setdefault((geometry, level), []).append(frame)
        inverses = []
        for (geometry, level), frames in sharing.items():
            rows, known = self._rows[geometry], 1 / (1 / self.process.variance + 1 / level)
            block = (rows * known) @ rows.T + torch.diag(self._variance[frames[0]])
            inverses.append((_run(frames), torch.cholesky_inverse(torch.linalg.cholesky(block.double())).float()))
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
    return (a.double() * b).sum((1, 2), keepdim=True).float()


def _norm(a: torch.Tensor) -> torch.Tensor:
    return a.double().square().sum((1, 2), keepdim=True).sqrt().float()
