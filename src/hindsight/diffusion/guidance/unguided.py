"""The prior's denoiser without observations, which every guidance builds on."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from hindsight.diffusion.denoiser import Points
from hindsight.diffusion.gauss_markov import GaussMarkov, Posterior
from hindsight.diffusion.guidance import White, falling

# (noisy (E, T, D), linear posterior at the levels, frames whose level falls (T,), observed values or None) -> denoised
Estimate = Callable[[torch.Tensor, Posterior, torch.Tensor, Points | None], torch.Tensor]


@dataclass
class Cost:
    """Cost of sampling in frames of one member: network evaluations, and backward passes through the network.

    With a controller also the points of frames that it moved, those of them at a bound, and the sum of the squares of
    its shifts, in expected errors of the denoised estimates.
    """

    evaluations: int = 0
    backward: int = 0
    controlled: int = 0
    at_bound: int = 0
    control: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class Unguided:
    """The prior's denoiser over some frames.

    Args:
        process: the linear prior.
        estimate: the prior's denoiser.
        fixed_sigma: noise level that the network is given for frames that are clean.
        cost: counts the backward passes here; `estimate` counts evaluations.
        at_once: members for which the network's graph is held at once; it limits memory.
    """

    def __init__(
        self,
        process: GaussMarkov,
        estimate: Estimate,
        fixed_sigma: float = 1e-3,
        cost: Cost | None = None,
        at_once: int | None = None,
    ) -> None:
        self.process, self.estimate, self.fixed_sigma = process, estimate, fixed_sigma
        self.cost, self.at_once = cost or Cost(), at_once
        self._last: Posterior | None = None

    def posterior(self, level: torch.Tensor) -> Posterior:
        """The posterior of the linear prior at levels (T,)."""
        sigma = level.clamp(min=self.fixed_sigma)[None]
        if self._last is None or not torch.equal(self._last.sigma, sigma):
            self._last = self.process.posterior(sigma)
        return self._last

    def mean(
        self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, points: Points | None = None
    ) -> torch.Tensor:
        """E[x_0 | noisy], and given observed values `points` if the prior has learnt to use them."""
        return self.estimate(noisy, self.posterior(above), falling(above, below), points)

    def draw(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor, white: White) -> torch.Tensor:
        """The denoised estimate plus a draw from the posterior covariance of the linear prior."""
        return self.mean(noisy, above, below) + self.posterior(above).draw(white("state"))

    def start(self, noisy: torch.Tensor, level: torch.Tensor, white: White) -> torch.Tensor:
        """A draw from the linear prior, given the frames whose level is finite."""
        posterior = self.posterior(level)
        return posterior.mean(noisy) + posterior.draw(white("state"))

    def with_jacobian(
        self,
        noisy: torch.Tensor,
        above: torch.Tensor,
        below: torch.Tensor,
        use: Callable[[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], slice], torch.Tensor],
    ) -> torch.Tensor:
        """Apply `use` to the denoised estimate and its transposed Jacobian, some members at a time.

        Args:
            noisy: (E, T, D).
            above: levels (T,).
            below: levels (T,).
            use: takes the estimate, a function from v to J^T v, and the slice of members.
        """
        at_once = self.at_once or len(noisy)
        return torch.cat(
            [
                self._with_jacobian(noisy, above, below, use, slice(k, min(k + at_once, len(noisy))))
                for k in range(0, len(noisy), at_once)
            ]
        )

    def _with_jacobian(
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
