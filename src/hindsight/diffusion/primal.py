"""The observation solver in the space of the state, for more observations and modes than matrices can hold.

In modes the increments of the clean frames, whose covariance is P before the observations, are the solution of

    J a = U^T H^T R^-1 d,      J = P^-1 + U^T H^T R^-1 H U,

the primal form of the analysis (Courtier 1997). It is solved by conjugate gradients, preconditioned by J for
observations that are spread evenly over each frame: J~ = P^-1 + c, c the precision of a frame's observations divided by
its D values. J~^-1 is the posterior covariance at lower noise levels, so that a product costs one pass forward and one
back; and since J~ z is known of each preconditioned residual z, products with J need no P^-1. Large scales, on which
many observations depend, converge at once; iterations are for small scales and for places without observations.
"""

import torch

from hindsight.diffusion.dense_rows import variances
from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.observation_system import MatrixFree

AT_ONCE = 2**25  # coefficients of members that are solved together
PATIENCE = 3  # times that the true residual may exceed the recurrence's before a precision is given up
SHARE = 0.05  # largest error of the increments, in their posterior standard deviations


class Primal:
    """The solver.

    Args:
        system: the observations of some frames, without matrices.
    """

    def __init__(self, system: MatrixFree) -> None:
        self.system, self.process, self.observations = system, system.process, system.observations
        average = self.observations.average()
        self._variance = variances(self.observations)
        self._precision = (average.squared() / variances(average)).sum(1) / self.process.size  # c of each frame

    def increments(
        self, innovation: torch.Tensor, posterior: Posterior, tolerance: float, iterations: int
    ) -> tuple[torch.Tensor, float]:
        """P H^T (H P H^T + R)^-1 times innovations (E, T, N), in modes (E, T, n); the error relative to the allowed.

        The error, the largest of a member, is counted in posterior standard deviations, root-mean-square over as many
        values as there are observations, or coefficients if these are fewer. At most `SHARE` is allowed, and
        `tolerance` times the innovations in their errors.
        """
        posterior.release()  # two sets of factors would be the largest part of the memory
        effective = self.process.posterior((posterior.sigma**-2.0 + self._precision).rsqrt())
        effective = effective.double if innovation.dtype == torch.float64 else effective
        each = max(1, AT_ONCE // (innovation.shape[1] * len(self.process.variance)))
        parts = [innovation] if self._variance.ndim == 3 else innovation.split(each)
        found = [self._solved(part, posterior, effective, tolerance, iterations) for part in parts]
        return torch.cat([one for one, _ in found]), max(error for _, error in found)

    def dual(self, innovation: torch.Tensor, increments: torch.Tensor) -> torch.Tensor:
        """(H P H^T + R)^-1 times innovations, given their increments."""
        return (innovation - self.system.at_places(increments)) / self._variance

    def _solved(
        self,
        innovation: torch.Tensor,
        posterior: Posterior,
        effective: Posterior,
        tolerance: float,
        iterations: int,
    ) -> tuple[torch.Tensor, float]:
        """The increments of some members, by conjugate gradients; the sampler refuses members that are not finite."""
        variance = self._variance.to(innovation.dtype)
        right = self.system.into_modes(innovation / variance)
        allowed = self._allowed(innovation / variance.sqrt(), tolerance)
        precision = self._precision.to(right.dtype)[:, None]
        seen = lambda a: self.system.into_modes(self.system.at_places(a) / variance)
        solution, residual, search, even, before, false_ends = torch.zeros_like(right), right, None, right, right, 0
        for _ in range(iterations):
            improved = effective.covariance_of_modes(residual)
            after = _dot(residual, improved)
            if not bool((after.sqrt() > allowed).any()):
                residual = right - posterior.precision_of_modes(solution) - seen(solution)
                improved, search, false_ends = effective.covariance_of_modes(residual), None, false_ends + 1
                after = _dot(residual, improved)
                if not bool((after.sqrt() > allowed).any()) or false_ends > PATIENCE:
                    break
            share = 0.0 if search is None else after / before.clamp(min=1e-30)
            search = improved if search is None else improved + share * search
            even = residual + share * even  # J~ times the search direction
            product = even + seen(search) - precision * search
            length, before = after / _dot(search, product).clamp(min=1e-30), after
            solution, residual = solution + length * search, residual - length * product
        ratio = (after.sqrt() / allowed).nan_to_num(torch.inf)
        return solution, float(torch.where(_dot(right, right).isfinite(), ratio, 0.0).max())

    def _allowed(self, innovation: torch.Tensor, tolerance: float) -> torch.Tensor:
        """The largest error of each member (E, 1, 1), given innovations in their errors (E, T, N)."""
        values = self.observations.present.sum().clamp(max=innovation.shape[1] * len(self.process.variance))
        share, of_innovations = SHARE * values.sqrt(), tolerance * _dot(innovation, innovation).sqrt()
        return torch.minimum(share, of_innovations).clamp(min=1e-30)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Inner product for each member, (E, 1, 1)."""
    return (a.double() * b).sum((1, 2), keepdim=True).to(a.dtype)
