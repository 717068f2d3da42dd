"""The prior alone: what every guidance starts from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance import White, moving

# (noisy (E, T, D), closed form at the levels, frames that move (T,), observed values or None) -> denoised
Estimate = Callable[[torch.Tensor, Posterior, torch.Tensor, Points | None], torch.Tensor]


@dataclass
class Cost:
    """What sampling took, in frames of one member: network evaluations, and passes back through the network."""

    evaluations: int = 0
    backward: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.evaluations + other.evaluations, self.backward + other.backward)


class Unguided:
    """The prior's denoiser over some frames.

    Args:
        process: the closed form.
        estimate: the prior's denoiser.
        held: noise level at which frames that are clean are shown to the network.
        cost: is told of passes back; `estimate` tells of evaluations.
        at_once: members whose passes back are in memory together.
    """

    def __init__(
        self,
        process: GaussMarkov,
        estimate: Estimate,
        held: float = 1e-3,
        cost: Cost | None = None,
        at_once: int | None = None,
    ) -> None:
        self.process, self.estimate, self.held = process, estimate, held
        self.cost, self.at_once = cost or Cost(), at_once
        self._last: Posterior | None = None

    def posterior(self, level: torch.Tensor) -> Posterior:
        """The closed form's, at levels (T,)."""
        sigma = level.clamp(min=self.held)[None]
        if self._last is None or not torch.equal(self._last.sigma, sigma):
            self._last = self.process.posterior(sigma)
        return self._last

    def mean(
        self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, points: Points | None = None
    ) -> torch.Tensor:
        """E[x_0 | noisy], with observed values as part of what is known where the prior has learnt to use them."""
        return self.estimate(noisy, self.posterior(above), moving(above, below), points)

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """The denoised estimate and a draw from the closed form's covariance about it."""
        return self.mean(noisy, above, below) + self.posterior(above).draw(white("state"))

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """A draw from the closed form, given the frames whose level is finite."""
        posterior = self.posterior(level)
        return posterior.mean(noisy) + posterior.draw(white("state"))

    def pulled(
        self,
        noisy: torch.Tensor,
        above: torch.Tensor,
        below: torch.Tensor,
        use: Callable[[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], slice], torch.Tensor],
    ) -> torch.Tensor:
        """Do something with the denoised estimate and products with its transposed Jacobian, some members at a time.

        Args:
            noisy: (E, T, D).
            above: levels (T,).
            below: levels (T,).
            use: takes the estimate, a function from v to J^T v, and which members these are.
        """
        at_once = self.at_once or len(noisy)
        return torch.cat(
            [
                self._pulled(noisy, above, below, use, slice(k, min(k + at_once, len(noisy))))
                for k in range(0, len(noisy), at_once)
            ]
        )

    def _pulled(
        self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, use: Callable, members: slice
    ) -> torch.Tensor:
        before = self.cost.evaluations
        with torch.enable_grad():
            x = noisy[members].detach().requires_grad_(True)
            clean = self.mean(x, above, below)
        taken = self.cost.evaluations - before

        def back(v: torch.Tensor) -> torch.Tensor:
            self.cost.backward += taken
            return torch.autograd.grad(clean, x, v, retain_graph=True)[0]

        return use(clean.detach(), back, members)
