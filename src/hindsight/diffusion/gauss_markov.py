"""The closed-form start: a stationary Gauss-Markov process, its denoiser, its posterior covariance and its samples.

In modes (orthonormal functions U of space, coefficients divided by the standard deviation of each mode, so that every
coefficient has unit variance) the state follows

    a_{t+1} = A a_t + w,    w ~ N(0, I - A A^T),

A full among the leading `coupled` modes and diagonal among the others. With modes and A estimated from data this is a
linear inverse model (Penland and Sardeshmukh 1995, doi:10.1175/1520-0442(1995)008<1999:TOGOTS>2.0.CO;2).

Given frames with noise, x_t + sigma_t e, the posterior precision is block tridiagonal in time, so for *any* noise level
of each frame the ideal denoiser E[x | noisy x], products with the posterior covariance P and samples from N(0, P) cost
one pass forward and one back (Rauch, Tung and Striebel 1965, in information form).
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class GaussMarkov:
    """A stationary Gauss-Markov process over fields of D values, described in n <= D orthonormal modes."""

    modes: torch.Tensor  # (D, n), orthonormal columns
    variance: torch.Tensor  # (n,), variance of each mode, the coupled modes first
    coupling: torch.Tensor  # (k, k), A among the first k modes
    memory: torch.Tensor  # (n - k,), A's diagonal among the others

    @property
    def size(self) -> int:
        """Values a frame, D."""
        return len(self.modes)

    def to(self, device: torch.device) -> "GaussMarkov":
        """The same process on another device."""
        return GaussMarkov(*(tensor.to(device) for tensor in (self.modes, self.variance, self.coupling, self.memory)))

    def into_modes(self, fields: torch.Tensor) -> torch.Tensor:
        """Project fields (…, D) on the modes (…, n)."""
        return fields @ self.modes

    def from_modes(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Sum the modes: (…, n) to fields (…, D)."""
        return coefficients @ self.modes.T

    def posterior(self, sigma: torch.Tensor) -> "Posterior":
        """The posterior given frames with noise levels `sigma` (B, T); no level may be zero."""
        return Posterior(self, sigma)


class Posterior:
    """What is known of a stretch of frames, given noisy ones: N(mean(noisy), P), P = (S^-1 + N^-1)^-1.

    Everything works on the whitened coefficients; the factors are computed in float64 and kept in float32.
    """

    def __init__(self, process: GaussMarkov, sigma: torch.Tensor) -> None:
        if not bool((sigma > 0).all()):
            raise ValueError(f"noise levels must be above zero, got {sigma.min()}")
        self.process, self.sigma = process, sigma
        self._deviation = process.variance.sqrt()
        weight = process.variance.double() / sigma.double()[..., None] ** 2  # (B, T, n)
        k = len(process.coupling)
        self._factor_coupled(weight[..., :k])
        self._factor_others(weight[..., k:])

    def mean(self, noisy: torch.Tensor) -> torch.Tensor:
        """The ideal denoiser, E[x | noisy]: fields (B or E, T, D) to fields."""
        return self.covariance(noisy / self.sigma[..., None] ** 2)

    def covariance(self, fields: torch.Tensor) -> torch.Tensor:
        """P times fields (E, T, D)."""
        return self.process.from_modes(self.covariance_of_modes(self.process.into_modes(fields)))

    def covariance_of_modes(self, coefficients: torch.Tensor) -> torch.Tensor:
        """U^T P U times coefficients (E, T, n)."""
        return self._back(self._forward(coefficients * self._deviation)) * self._deviation

    def draw(self, white: torch.Tensor) -> torch.Tensor:
        """Turn white noise (E, T, D) into samples of N(0, P), each frame's noise kept with its frame."""
        return self.process.from_modes(self._back(self.process.into_modes(white)) * self._deviation)

    def _factor_coupled(self, weight: torch.Tensor) -> None:
        """Cholesky factors L_t of the block-tridiagonal precision, and the blocks below them."""
        a = self.process.coupling.double()
        frames, k = weight.shape[1], len(a)
        identity = torch.eye(k, dtype=a.dtype, device=a.device)
        inverse = torch.linalg.inv(identity - a @ a.T)  # of the innovations' covariance
        below, ahead = -inverse @ a, a.T @ inverse @ a
        factors, links = [], []
        for t in range(frames):
            block = (inverse if t else identity) + (ahead if t < frames - 1 else 0) + torch.diag_embed(weight[:, t])
            if t:
                link = torch.linalg.solve_triangular(factors[-1], below.T.expand(len(weight), k, k), upper=False).mT
                links.append(link)  # L_{t, t-1}
                block = block - link @ link.mT
            factors.append(torch.linalg.cholesky(block))
        self._inverses = [torch.linalg.solve_triangular(f, identity.expand_as(f), upper=False).float() for f in factors]
        self._links = [link.float() for link in links]

    def _factor_others(self, weight: torch.Tensor) -> None:
        """The same for the modes without coupling, where every block is a number."""
        rho = self.process.memory.double()
        inverse = 1 / (1 - rho**2)
        frames = weight.shape[1]
        roots, links = [], []
        for t in range(frames):
            value = (inverse if t else 1.0) + (rho**2 * inverse if t < frames - 1 else 0.0) + weight[:, t]
            if t:
                links.append(-rho * inverse / roots[-1])
                value = value - links[-1] ** 2
            roots.append(value.sqrt())
        self._roots = [root.float() for root in roots]
        self._small_links = [link.float() for link in links]

    def _forward(self, right: torch.Tensor) -> torch.Tensor:
        """Solve L y = b, frame after frame; coefficients (E, T, n)."""
        k, solved = len(self.process.coupling), []
        for t in range(right.shape[1]):
            coupled, others = right[:, t, :k, None], right[:, t, k:]
            if t:
                coupled = coupled - self._links[t - 1] @ solved[-1][0]
                others = others - self._small_links[t - 1] * solved[-1][1]
            solved.append((self._inverses[t] @ coupled, others / self._roots[t]))
        return torch.stack([torch.cat([c[..., 0], o], -1) for c, o in solved], 1)

    def _back(self, right: torch.Tensor) -> torch.Tensor:
        """Solve L^T x = y, last frame first; coefficients (E, T, n)."""
        k, frames, solved = len(self.process.coupling), right.shape[1], []
        for t in reversed(range(frames)):
            coupled, others = right[:, t, :k, None], right[:, t, k:]
            if t < frames - 1:
                coupled = coupled - self._links[t].mT @ solved[-1][0]
                others = others - self._small_links[t] * solved[-1][1]
            solved.append((self._inverses[t].mT @ coupled, others / self._roots[t]))
        return torch.stack([torch.cat([c[..., 0], o], -1) for c, o in reversed(solved)], 1)
