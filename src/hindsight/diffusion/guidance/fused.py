"""Observations of the state's own values, as noise levels of their own.

A value seen with error r, y = x + r e, *is* the value at noise level r. Fused with the noisy frame it is a value of
level (1/sigma^2 + 1/r^2)^-1/2: what diffusion forcing does for frames, done for points. A prior that was trained with
levels of points (train.points) denoises it directly, so that E[x_0 | noisy frames, y] is one network evaluation and
nothing is approximated but what the network has not learnt: no gain, no Jacobian, no constant to tune. Ours.

It serves observations of grid values; between grid points another guidance has to.
"""

import torch

from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.guidance import White
from hindsight.diffusion.guidance.analytic import Analytic


class Fused(Analytic):
    """Posterior means straight from the network; the arguments are those of `Analytic`, and the observed values.

    Args:
        points: the observations as values of the state.
    """

    def __init__(self, *about: object, points: Points, **more: object) -> None:
        super().__init__(*about, **more)
        self.points = points

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        return self.prior.mean(noisy, above, below, self.points)

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """A draw from the closed form without the observations: at the first level they are all the network needs."""
        return self.prior.start(noisy, level, white)

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """The mean, and a draw of the closed form's departures from it: xi + K (eps - H xi)."""
        posterior = self.prior.posterior(above)
        departure = posterior.draw(white("state"))
        gap = self._errors(white) * self.observed.present - self.observed.forward(departure)
        return self.mean(noisy, above, below) + departure + self.gain(gap, posterior)
