"""Guidance with the analytic posterior covariance of the linear prior, sampled by perturbed observations.

Given noisy frames, the clean ones are distributed as N(D, P): D the denoised estimate (the network's), P the posterior
covariance of the Gauss-Markov process. With observations y = H x + e, e ~ N(0, R), a sample of the clean frames is

    x = D + xi,   xi ~ N(0, P);      x_0* = x + P H^T (H P H^T + R)^-1 (y + eps - H x),   eps ~ N(0, R),

which has the right mean *and* covariance (Matheron's rule; Doucet 2010). P couples the frames, so an observation also
corrects the days around it. The system is solved by conjugate gradients (H P H^T + R is symmetric and positive
definite), in one of the three forms of `observation_system`, or in the space of the state (`primal`). It needs no
backward pass through the network.

The residual of the recurrence drifts from the true one where errors are far smaller than the spread, so the true one
replaces it at intervals, and always at the end (van der Vorst and Ye 2000, doi:10.1137/S1064827599353865).
Where single precision does not suffice, everything is done in double.
"""

from collections.abc import Callable
from functools import cached_property

import torch

from hindsight.diffusion import dense_rows, observation_system
from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.guidance import Observations, Setup, White, linearise
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.observation_system import MatrixFree
from hindsight.diffusion.primal import Primal

REPLACE_EVERY = 25  # iterations after which the residual is replaced by the true one
PATIENCE = 3  # times that the true residual may exceed the recurrence's before a precision is given up
MANY = 1024  # observations of a frame, from which they are solved for in the space of the state
SHARE = 0.05  # largest residual, as a share of the observation errors


class Analytic:
    """Posterior means and samples of a stretch of frames, given its observations.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        tolerance: relative residual at which the solver stops, if it is also far smaller than the observation errors.
        iterations: after which it raises an error; as many again in double precision.
        cache: H U by geometry, shared by the cycles of a stretch.
        memory: GB that the matrices of the solver may take; it decides the form, see `observation_system.build`.
        shape: of the grid (H, W); none: the state is a line.
    """

    def __init__(
        self,
        prior: Unguided,
        observations: Observations,
        tolerance: float = 1e-4,
        iterations: int = 200,
        cache: dict[bytes, dense_rows.Matrices] | None = None,
        memory: float = observation_system.MEMORY,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.prior, self.process, self.observations = prior, prior.process, observations
        self.tolerance, self.iterations, self.memory, self.shape = tolerance, iterations, memory, shape
        self.cache = {} if cache is None else cache
        self._variance = observation_system.variances(observations)

    @cached_property
    def system(self) -> observation_system.System:
        """H P H^T + R; built on first use, as nonlinear observations have another one for every linearisation."""
        return observation_system.build(self.process, self.observations, self.cache, self.memory, self.shape)

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        clean, posterior = self.prior.mean(noisy, above, below), self.prior.posterior(above)
        return self.linearise(clean, posterior).update(clean, posterior)

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """A sample of the clean frames given the noisy ones and the observations.

        Raises:
            ArithmeticError: if the solver does not reach its tolerance.
        """
        return self._sample(self.prior.mean(noisy, above, below), self.prior.posterior(above), white)

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """A sample given the observations, by the linear prior without the network."""
        posterior = self.prior.posterior(level)
        return self._sample(posterior.mean(noisy), posterior, white)

    def _sample(self, clean: torch.Tensor, posterior: Posterior, white: White) -> torch.Tensor:
        """A sample of N(clean, P) given the observations, linearised about `clean`."""
        here = self.linearise(clean, posterior)
        return here.update(clean + posterior.draw(white("state")), posterior, here._errors(white))

    def linearise(self, clean: torch.Tensor, posterior: Posterior) -> "Analytic":
        """The same guidance with its observations linearised about estimates (E, T, D); itself if all are linear."""
        observations = linearise(self.observations, clean, self.process, posterior.sigma)
        return self if observations is self.observations else self.with_observations(observations)

    def with_observations(self, observations: Observations) -> "Analytic":
        """The same guidance with other observations of its frames."""
        return Analytic(self.prior, observations, self.tolerance, self.iterations, self.cache, self.memory, self.shape)

    def half_squares(self, clean: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """The terms of r^T (H P H^T + R)^-1 r / 2 by observation, r = y - H `clean`; (E, T, N).

        Raises:
            ArithmeticError: if the solver does not reach its tolerance.
        """
        here = self.linearise(clean, posterior)
        innovation = here.observations.value * here.observations.present - here.observations.forward(clean)
        if not bool(here.observations.present.any()):
            return torch.zeros_like(innovation)
        return innovation * here._dual(innovation, posterior).to(innovation.dtype) / 2

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
        return self.process.modes.expand(self._increments(innovation, posterior).to(innovation.dtype))

    def _increments(self, innovation: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """The same in modes, (E, T, n)."""
        if self._primal:
            return self._solve_primal(innovation, posterior)
        solved, posterior = self._solve(innovation, posterior)
        return posterior.covariance_of_modes(self.system.into_modes(solved))

    def _dual(self, innovation: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """(H P H^T + R)^-1 times innovations (E, T, N)."""
        if not self._primal:
            return self._solve(innovation, posterior)[0]
        increments = self._solve_primal(innovation, posterior)
        return self._primal.dual(innovation.to(increments.dtype), increments)

    @cached_property
    def _primal(self) -> Primal | None:
        """The solver in the space of the state, for many observations in a frame where no form with matrices fits."""
        many = self.observations.present.shape[1] > MANY
        return Primal(self.system) if many and type(self.system) is MatrixFree else None

    def _solve_primal(self, innovation: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """The increments in modes (E, T, n), in the precision that they take."""
        worst = 0.0
        for used in (posterior, posterior.double):
            solver = innovation.to(used.dtype), used, self.tolerance, self.iterations
            increments, worst = self._primal.increments(*solver)
            if not worst > 1:
                return increments
        raise self._failed(worst)

    def _errors(self, white: White) -> torch.Tensor:
        """Random errors of the observations, (E, T, N)."""
        keys = self.observations.key
        size = {"size": self.observations.value.shape[-1]} if keys is None else {"keys": keys}
        return white("observation", **size) * self.observations.error

    def _solve(self, right: torch.Tensor, posterior: Posterior) -> tuple[torch.Tensor, Posterior]:
        """(H P H^T + R)^-1 b for all members, and the posterior in the precision that it took."""
        inverse, worst = self.system.preconditioner(posterior), 0.0
        for precise in (False, True):
            if not precise and (self.system.precise or self._needs_double(posterior)):
                continue
            used = posterior.double if precise else posterior
            solution, worst = self._conjugate_gradients(right.to(used.dtype), used, inverse)
            if not worst > 1:
                return solution, used
        raise self._failed(worst)

    def _failed(self, worst: float) -> ArithmeticError:
        """The error of a solver that stopped at a residual relative to the allowed one."""
        return ArithmeticError(
            f"the observation solver stopped at a residual {worst:.1e} times the allowed one, after at most "
            f"{self.iterations} iterations, tolerance {self.tolerance:.0e}"
        )

    def _needs_double(self, posterior: Posterior) -> bool:
        """Whether single precision does not suffice.

        The error of a product with the system is a rounding error times its largest eigenvalue times the length of the
        vector, which is up to |b| / sqrt(error variance x largest variance of an observed value). The bound assumes
        that all observations of a frame measure the same value.
        """
        variance = 1 / (1 / self.process.variance + 1 / posterior.sigma[0].square().max())
        least_variance = self._variance[..., self.observations.present > 0].min()
        ratio = (least_variance / self.system.largest_variance(variance)).sqrt()
        least = torch.finfo(torch.float32).eps * self.observations.present.sum(1).max().sqrt() / ratio
        return bool(least > torch.clamp(SHARE * ratio, max=self.tolerance))

    def _conjugate_gradients(
        self, right: torch.Tensor, posterior: Posterior, inverse: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, float]:
        """The solution by preconditioned conjugate gradients, and its true residual relative to the allowed one."""
        solution, residual, search, before, false_ends = torch.zeros_like(right), right, None, None, 0
        for number in range(1, self.iterations + 1):
            improved = inverse(residual)
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

        |R^-1/2 residual|^2 bounds the sum, over all coefficients, of the increments' squared errors in posterior
        standard deviations; so where observations are more than coefficients, the allowed residual does not grow with
        them. The sampler refuses members that are not finite.
        """
        values = self.observations.present.sum().clamp(max=right.shape[1] * len(self.process.variance))
        shares = _norm(residual) / (self.tolerance * _norm(right).clamp(min=1e-30))
        errors = _norm(residual / self._variance.sqrt()) / (SHARE * values.sqrt())
        worst = torch.maximum(shares, errors).nan_to_num(torch.inf)
        return float(torch.where(_norm(right).isfinite(), worst, 0.0).max())

    def _system(self, values: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        """(H P H^T + R) v, by way of the modes."""
        image = self.system.at_places(posterior.covariance_of_modes(self.system.into_modes(values)))
        return image + self._variance * values


def build(setup: Setup) -> Analytic:
    """The guidance; it has no settings."""
    solver = setup.tolerance, setup.iterations, setup.cache, setup.memory, setup.shape[-2:]
    return Analytic(setup.prior, setup.observations, *solver)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Inner product for each member, (E, 1, 1)."""
    return (a.double() * b).sum((1, 2), keepdim=True).to(a.dtype)


def _norm(a: torch.Tensor) -> torch.Tensor:
    return a.double().square().sum((1, 2), keepdim=True).sqrt()
