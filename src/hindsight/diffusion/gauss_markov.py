"""The linear prior: a stationary Gauss-Markov process, its denoiser, its posterior covariance and its samples.

In modes (orthonormal functions U of space, coefficients divided by the standard deviation of each mode, so that every
coefficient has unit variance) the state follows

    a_{t+1} = A a_t + w,    w ~ N(0, I - A A^T),

A full within each of G groups of the leading modes and diagonal among the others. With modes and A estimated from data
this is a linear inverse model (Penland and Sardeshmukh 1995, doi:10.1175/1520-0442(1995)008<1999:TOGOTS>2.0.CO;2).

Given frames with noise, x_t + sigma_t e, the posterior precision is block tridiagonal in time, so for *any* noise level
of each frame the ideal denoiser E[x | noisy x], products with the posterior covariance P and samples from N(0, P) cost
one pass forward and one back (Rauch, Tung and Striebel 1965, in information form).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from hindsight.diffusion import modes as bases
from hindsight.diffusion.modes import Modes

AT_ONCE = 2**25  # values of members that are worked on at once, for memory


@dataclass(frozen=True)
class GaussMarkov:
    """A stationary Gauss-Markov process over fields of D values, described in n <= D orthonormal modes."""

    modes: Modes  # n of them
    variance: torch.Tensor  # (n,), variance of each mode, the coupled modes first
    coupling: torch.Tensor  # (G, k, k), A within each of G groups of k modes
    persistence: torch.Tensor  # (n - G k,), A's diagonal among the others

    @property
    def size(self) -> int:
        """Number of values in a frame, D."""
        return self.modes.size

    @property
    def coupled(self) -> int:
        """Number of coupled modes, G k."""
        return self.coupling.shape[0] * self.coupling.shape[1]

    @cached_property
    def inverse_blocks(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The blocks of S^-1, S the prior covariance of the frames, among the coupled modes, (G, k, k), in float64.

        They are a frame's block given the frame before, the term that the frame after adds to it, and the block
        between a frame and the one before it.
        """
        a = self.coupling.double()
        identity = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
        inverse = torch.linalg.inv(identity - a @ a.mT)  # of the covariance of w
        return inverse, a.mT @ inverse @ a, -inverse @ a

    def times_transition(self, rows: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        """Rows (N, n) times A, or times its transpose."""
        coupled, coupling = self.coupled, self.coupling.mT if transposed else self.coupling
        parts = rows[:, :coupled].unflatten(1, coupling.shape[:2]) if coupled else rows[:, :0]
        if coupled:
            parts = torch.einsum("ngk,gkl->ngl", parts, coupling).flatten(1)
        others = rows[:, coupled:] * self.persistence[: rows.shape[1] - coupled]
        return torch.cat([parts, others], 1)

    def to(self, device: torch.device) -> "GaussMarkov":
        """The same process on another device."""
        return GaussMarkov.from_tensors({name: tensor.to(device) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors that define the process, by name (`memory` is the persistence); see `from_tensors`."""
        tensors = {"variance": self.variance, "coupling": self.coupling, "memory": self.persistence}
        return tensors | {f"modes.{name}": value for name, value in self.modes.tensors().items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "GaussMarkov":
        """The process that `GaussMarkov.tensors` came from."""
        prefix = "modes."
        modes = bases.from_tensors({n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)})
        return cls(modes, tensors["variance"], tensors["coupling"], tensors["memory"])

    def posterior(self, sigma: torch.Tensor) -> "Posterior":
        """The posterior given frames with noise levels `sigma` (B, T); no level may be zero."""
        return Posterior(self, sigma)


class Posterior:
    """The distribution of clean frames given noisy ones: N(mean(noisy), P), P = (S^-1 + N^-1)^-1.

    S is the prior covariance of the frames, N the diagonal covariance of their noise. Everything works on the whitened
    coefficients; the factors are computed in float64, when they are first needed, and kept in `dtype`.
    """

    def __init__(self, process: GaussMarkov, sigma: torch.Tensor, dtype: torch.dtype = torch.float32) -> None:
        _require_positive(sigma)
        self.process, self.sigma, self.dtype = process, sigma, dtype
        self._deviation = process.variance.to(dtype).sqrt()

    @cached_property
    def _coupled(self) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """Inverses of the Cholesky factors of each frame's block among the coupled modes, and links onward and back."""
        weight = self.process.variance[: self.process.coupled].double() / self.sigma.double()[..., None] ** 2
        return self._factor_coupled(weight.unflatten(-1, self.process.coupling.shape[:2]))

    @cached_property
    def _others(self) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """The factors of the uncoupled modes, numbers that are not inverted, and their links onward and back."""
        weight = self.process.variance[self.process.coupled :].double() / self.sigma.double()[..., None] ** 2
        return self._factor_uncoupled(weight)

    def release(self) -> None:
        """Give the memory of the factors back; they are computed anew when they are needed."""
        self.__dict__.pop("_coupled", None)
        self.__dict__.pop("_others", None)

    @cached_property
    def double(self) -> "Posterior":
        """The same posterior with factors in float64, for coefficients in float64."""
        return Posterior(self.process, self.sigma, torch.float64)

    def mean(self, noisy: torch.Tensor) -> torch.Tensor:
        """The ideal denoiser, E[x | noisy]: fields (B or E, T, D) to fields."""
        return self._in_parts(lambda part: self._covariance(part / self.sigma[..., None] ** 2), noisy)

    def covariance(self, fields: torch.Tensor) -> torch.Tensor:
        """P times fields (E, T, D)."""
        return self._in_parts(self._covariance, fields)

    def _covariance(self, fields: torch.Tensor) -> torch.Tensor:
        return self.process.modes.expand(self.covariance_of_modes(self.process.modes.project(fields)))

    def _in_parts(self, function: Callable[[torch.Tensor], torch.Tensor], members: torch.Tensor) -> torch.Tensor:
        """A function of members (E, T, D), of some at a time where they are large and share the levels."""
        each = max(1, AT_ONCE // members[0].numel()) if len(members) else 1
        if len(self.sigma) > 1 or each >= len(members):
            return function(members)
        return torch.cat([function(part) for part in members.split(each)])

    def covariance_of_modes(self, coefficients: torch.Tensor) -> torch.Tensor:
        """U^T P U times coefficients (E, T, n)."""
        return self._back(self._forward(coefficients * self._deviation)) * self._deviation

    def precision_of_modes(self, coefficients: torch.Tensor) -> torch.Tensor:
        """The inverse of `covariance_of_modes`, for coefficients (E, T, n) of members that share the levels."""
        white, process = coefficients / self._deviation, self.process
        weight = process.variance / self.sigma[0].square()[:, None].to(white.dtype)
        count, (groups, size) = process.coupled, process.coupling.shape[:2]
        coupled = white[..., :count].unflatten(-1, (groups, size))
        multiply = lambda matrix, values: torch.einsum("gkl,etgl->etgk", matrix.to(white.dtype), values)
        parts = [_prior_precision(coupled, *process.inverse_blocks, multiply).flatten(-2)] if count else []
        rho = process.persistence.double()
        inverse = 1 / (1 - rho**2)
        blocks = inverse, rho**2 * inverse, -rho * inverse
        parts += [_prior_precision(white[..., count:], *blocks, lambda matrix, values: matrix.to(white.dtype) * values)]
        return (torch.cat(parts, -1) + weight * white) / self._deviation

    def draw(self, white: torch.Tensor) -> torch.Tensor:
        """Turn white noise (E, T, D) into samples of N(0, P); a frame's noise acts on that frame and earlier ones."""
        of_part = lambda part: self._back(self.process.modes.project(part)) * self._deviation
        return self._in_parts(lambda part: self.process.modes.expand(of_part(part)), white)

    def _factor_coupled(self, weight: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """Inverses of the Cholesky factors L_t of the block-tridiagonal P^-1, and links of neighbouring frames."""
        inverse, ahead, below = self.process.inverse_blocks
        frames, identity = weight.shape[1], torch.eye(below.shape[-1], dtype=below.dtype, device=below.device)
        onward, back, factor, last = [], [], identity, identity
        size = frames, len(weight) * len(below), *identity.shape
        inverses = torch.empty(size, dtype=self.dtype, device=below.device)
        for t in range(frames):
            block = (inverse if t else identity) + (ahead if t < frames - 1 else 0) + torch.diag_embed(weight[:, t])
            if t:
                right = below.mT.expand(len(weight), *below.shape)
                link = torch.linalg.solve_triangular(factor, right, upper=False).mT  # L_{t, t-1}
                block = block - link @ link.mT
            factor = torch.linalg.cholesky(block)
            root = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
            inverses[t] = root.flatten(0, 1)
            if t:
                onward.append((root @ link).mT.to(self.dtype).flatten(0, 1))
                back.append((link @ last).to(self.dtype).flatten(0, 1))
            last = root
        return inverses, onward, back

    def _factor_uncoupled(self, weight: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """Factors L_t, not inverted, and links of the uncoupled modes, whose blocks are numbers."""
        rho = self.process.persistence.double()
        inverse = 1 / (1 - rho**2)
        frames = weight.shape[1]
        roots, links = [], []
        for t in range(frames):
            value = (inverse if t else 1.0) + (rho**2 * inverse if t < frames - 1 else 0.0) + weight[:, t]
            if t:
                links.append(-rho * inverse / roots[-1])
                value = value - links[-1] ** 2
            roots.append(value.sqrt())
        onward = [(link / root).to(self.dtype) for link, root in zip(links, roots[1:])]
        back = [(link / root).to(self.dtype) for link, root in zip(links, roots)]
        return torch.stack(roots).to(self.dtype), onward, back

    def _forward(self, right: torch.Tensor) -> torch.Tensor:
        """Solve L y = b, frame after frame; coefficients (E, T, n)."""
        coupled, others = self._split(right)
        (inverses, links, _), (roots, numbers, _) = self._coupled, self._others
        coupled, others = (coupled @ inverses.mT).unbind(), (others / roots).unbind()
        return self._join(_chain(coupled, links), _chain(others, numbers))

    def _back(self, right: torch.Tensor) -> torch.Tensor:
        """Solve L^T x = y, last frame first; coefficients (E, T, n)."""
        coupled, others = self._split(right)
        (inverses, _, links), (roots, _, numbers) = self._coupled, self._others
        coupled, others = (coupled @ inverses).unbind()[::-1], (others / roots).unbind()[::-1]
        coupled, others = _chain(coupled, links[::-1]), _chain(others, numbers[::-1])
        return self._join(coupled[::-1], others[::-1])

    def _split(self, coefficients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coefficients (E, T, n) as the coupled groups (T, B G, E / B, k) and the others (T, E, n - G k).

        Members that share a factor are the rows of one product.
        """
        count, (groups, size) = self.process.coupled, self.process.coupling.shape[:2]
        members, frames, batch = *coefficients.shape[:2], len(self.sigma)
        coupled = coefficients[..., :count].reshape(batch, members // batch, frames, groups, size)
        coupled = coupled.permute(2, 0, 3, 1, 4).flatten(1, 2)
        return coupled, coefficients[..., count:].transpose(0, 1)

    def _join(self, coupled: list[torch.Tensor], others: list[torch.Tensor]) -> torch.Tensor:
        """Groups and others of every frame as coefficients (E, T, n)."""
        groups = torch.stack(coupled).unflatten(1, (len(self.sigma), -1))  # (T, B, G, E / B, k)
        lines = groups.permute(1, 3, 0, 2, 4).flatten(0, 1).flatten(2)
        return torch.cat([lines, torch.stack(others, 1)], -1)


def ideal(process: GaussMarkov, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The ideal denoiser E[x | noisy] for levels that are used once, as in training.

    The same as `Posterior(process, sigma).mean(noisy)` to rounding: one elimination forward and one substitution back,
    in float32 and without the inverses, which pay only when factors are used again.

    Args:
        process: the linear prior.
        noisy: windows (B, T, D).
        sigma: noise level of each frame (B, T).

    Raises:
        ValueError: if a level is not above zero.
    """
    _require_positive(sigma)
    deviation, count = process.variance.sqrt(), process.coupled
    weight = process.variance / sigma[..., None] ** 2
    right = process.modes.project(noisy / sigma[..., None] ** 2) * deviation
    groups = lambda values: values[..., :count].unflatten(2, process.coupling.shape[:2])
    coupled = _solve_coupled(process, groups(weight), groups(right)).flatten(2)
    others = _solve_uncoupled(process.persistence, weight[..., count:], right[..., count:])
    return process.modes.expand(torch.cat([coupled, others], 2) * deviation)


def _solve_coupled(process: GaussMarkov, weight: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(S^-1 + diag(weight))^-1 right among the coupled modes; all (B, T, G, k)."""
    inverse, ahead, below = (block.float() for block in process.inverse_blocks)
    frames, size = weight.shape[1], weight.shape[-1]
    above = below.mT.expand(len(weight), *below.shape)
    diagonal = [torch.eye(size, device=below.device) if t == 0 else inverse for t in range(frames)]
    factors, links, solved = [], [], []
    for t in range(frames):
        block = diagonal[t] + (ahead if t < frames - 1 else 0) + torch.diag_embed(weight[:, t])
        rest = right[:, t, ..., None]
        if t:
            block, rest = block - links[-1].mT @ links[-1], rest - links[-1].mT @ solved[-1]
        factors.append(torch.linalg.cholesky(block))
        both = torch.cat([above, rest], -1) if t < frames - 1 else rest
        link, value = torch.linalg.solve_triangular(factors[-1], both, upper=False).split([both.shape[-1] - 1, 1], -1)
        links.append(link)
        solved.append(value)
    solution = [torch.linalg.solve_triangular(factors[-1].mT, solved[-1], upper=True)]
    for factor, link, value in zip(factors[-2::-1], links[-2::-1], solved[-2::-1]):
        solution.append(torch.linalg.solve_triangular(factor.mT, value - link @ solution[-1], upper=True))
    return torch.stack(solution[::-1], 1)[..., 0]


def _solve_uncoupled(persistence: torch.Tensor, weight: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The same for the uncoupled modes, whose blocks are numbers; weight and right (B, T, m)."""
    inverse, frames = 1 / (1 - persistence**2), weight.shape[1]
    pivots, solved = [], []
    for t in range(frames):
        pivot = (inverse if t else 1.0) + (persistence**2 * inverse if t < frames - 1 else 0.0) + weight[:, t]
        value = right[:, t]
        if t:
            share = -persistence * inverse / pivots[-1]
            pivot, value = pivot + share * persistence * inverse, value - share * solved[-1]
        pivots.append(pivot)
        solved.append(value)
    solution = [solved[-1] / pivots[-1]]
    for pivot, value in zip(pivots[-2::-1], solved[-2::-1]):
        solution.append((value + persistence * inverse * solution[-1]) / pivot)
    return torch.stack(solution[::-1], 1)


def _require_positive(sigma: torch.Tensor) -> None:
    if not bool((sigma > 0).all()):
        raise ValueError(f"noise levels must be above zero, got {sigma.min()}")


def _prior_precision(
    white: torch.Tensor,
    inverse: torch.Tensor,
    ahead: torch.Tensor,
    below: torch.Tensor,
    multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """S^-1 times whitened coefficients (E, T, …), by `GaussMarkov.inverse_blocks`, or by numbers in their place."""
    result = torch.cat([white[:, :1], multiply(inverse, white[:, 1:])], 1)
    result[:, :-1] += multiply(ahead, white[:, :-1]) + multiply(below.mT if below.ndim > 1 else below, white[:, 1:])
    result[:, 1:] += multiply(below, white[:, :-1])
    return result


def _chain(values: Sequence[torch.Tensor], links: list[torch.Tensor]) -> list[torch.Tensor]:
    """x_0 = v_0, x_t = v_t - x_{t-1} K_t: K_t (B G, k, k) for values (B G, E / B, k), or (B, m) for (E, m)."""
    solved = [values[0]]
    for value, link in zip(values[1:], links):
        if value.ndim == 3:
            solved.append(torch.baddbmm(value, solved[-1], link, alpha=-1))
        else:
            solved.append(torch.addcmul(value, link, solved[-1], value=-1))
    return solved
