"""Moment matching by the network's Jacobian (Rozet et al. 2024, arXiv:2405.13712, section 4.2).

Tweedie's second formula gives Cov[x_0 | x_sigma] = sigma^2 J^T, J the Jacobian of the denoiser, so that

    E[x_0 | x_sigma, y] = D + sigma^2 J^T H^T v,    (R + H sigma^2 J^T H^T) v = y - H D.

A network's Jacobian is not quite symmetric and conjugate gradients can blow up; GMRES (Saad and Schultz 1986) needs no
symmetry and its residual never grows.
"""

from collections.abc import Callable

import torch

from hindsight.diffusion.guidance import Observations, Setup, falling, linearise
from hindsight.diffusion.guidance.unguided import Unguided


class Mmps:
    """Posterior means with the covariance given by the Jacobian of the network.

    Args:
        prior: the unguided denoiser.
        observations: of the frames that the prior denoises.
        iterations: of the solver; each is a backward pass through the network, and one more follows.
    """

    def __init__(self, prior: Unguided, observations: Observations, iterations: int = 3) -> None:
        self.prior, self.observations, self.iterations = prior, observations, iterations
        self.start = prior.start

    def mean(self, noisy: torch.Tensor, above: torch.Tensor, below: torch.Tensor) -> torch.Tensor:
        """E[x_0 | noisy, y] (E, T, D)."""
        square, active = above.square()[:, None], falling(above, below)[:, None]

        def guided(clean: torch.Tensor, back: Callable, members: slice) -> torch.Tensor:
            obs = linearise(self.observations, clean, self.prior.process, above)
            error = torch.where(obs.present > 0, obs.error, 1.0)
            spread = lambda v: square * back(obs.adjoint(v / error * active, clean.shape[-1]))
            system = lambda v: v + obs.forward(spread(v)) / error * active
            innovation = (obs.value * obs.present - obs.forward(clean)) / error * active
            return clean + spread(gmres(system, innovation, self.iterations))

        return self.prior.with_jacobian(noisy, above, below, guided)


def build(setup: Setup, iterations: int = 3) -> Mmps:
    """The guidance with `iterations`."""
    return Mmps(setup.prior, setup.observations, iterations)


def gmres(system: Callable[[torch.Tensor], torch.Tensor], right: torch.Tensor, iterations: int) -> torch.Tensor:
    """The vector of least residual in the Krylov space, for each member separately.

    Args:
        system: a linear map of (E, T, N) that does not mix members.
        right: (E, T, N).
        iterations: products with the system.

    Returns:
        (E, T, N); its residual is never larger than that of zero.
    """
    norm = right.flatten(1).norm(dim=1)
    basis = [right.flatten(1) / norm.clamp(min=1e-30)[:, None]]
    images = []
    for _ in range(iterations):
        image = system(basis[-1].view_as(right)).flatten(1)
        images.append(image)
        fresh = image
        for _ in range(2):  # twice is enough (Kahan and Parlett)
            for vector in basis:
                fresh = fresh - (fresh * vector).sum(1, keepdim=True) * vector
        length = fresh.norm(dim=1, keepdim=True)
        basis.append(torch.where(length > 1e-6 * image.norm(dim=1, keepdim=True), fresh / length.clamp(min=1e-30), 0.0))
    matrix = torch.stack(images, 2).double()  # (E, T * N, iterations)
    share = torch.linalg.pinv(matrix) @ right.flatten(1).double()[..., None]
    solution = torch.stack(basis[:-1], 2) @ share.to(right.dtype)
    return solution[..., 0].view_as(right)
