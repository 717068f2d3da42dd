"""Observations of the state's own values, as noise levels of their own.

A value observed with error r, y = x + r e, *is* the value at noise level r. Fused with the noisy frame it is a value of
level (1/sigma^2 + 1/r^2)^-1/2: diffusion forcing, with points in the place of frames. A prior that was trained with
levels of points (train.points) denoises it directly: E[x_0 | noisy frames, y] is one network evaluation, without gain,
Jacobian or constant to tune; the only approximation is the network. Ours.

It takes observations of grid values; observations between grid points need another guidance.
"""

import torch

from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.dense_rows import Matrices
from hindsight.diffusion.guidance import Observations, Setup, White
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.errors import UserError


class Fused(Analytic):
    """Posterior means straight from the network.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        points: the observations as values of the state.
        tolerance: see `Analytic`, as for `iterations` and `cache`.
        iterations: of the observation solver.
        cache: H U by geometry.
        **more: see `Analytic`.
    """

    def __init__(
        self,
        prior: Unguided,
        observations: Observations,
        points: Points,
        tolerance: float = 1e-4,
        iterations: int = 200,
        cache: dict[bytes, Matrices] | None = None,
        **more: float | tuple[int, int] | None,
    ) -> None:
        super().__init__(prior, observations, tolerance, iterations, cache, **more)
        self.points = points

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        return self.prior.mean(noisy, above, below, self.points)

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """A draw from the linear prior without the observations; the network uses them from the first level on."""
        return self.prior.start(noisy, level, white)

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """The mean plus a posterior departure drawn from the linear prior: xi + K (eps - H xi)."""
        posterior = self.prior.posterior(above)
        departure = posterior.draw(white("state"))
        innovation = self._errors(white) * self.observations.present - self.observations.forward(departure)
        return self.mean(noisy, above, below) + departure + self.gain(innovation, posterior)


def build(setup: Setup) -> Fused:
    """The guidance; it has no settings.

    Raises:
        UserError: if observations depend on several values of the state, or are nonlinear.
    """
    values = setup.observations.on_values(setup.prior.process.size)
    if values is None:
        raise UserError(
            "guidance 'fused' needs observations of single values of the state, and some depend on several (between "
            "grid points, means, derived channels) or are nonlinear; set reanalyse.guidance.method: analytic, or mmps"
        )
    points = Points(values[0][None], values[1][None])
    solver = setup.tolerance, setup.iterations, setup.cache
    return Fused(setup.prior, setup.observations, points, *solver, memory=setup.memory, shape=setup.shape[-2:])
