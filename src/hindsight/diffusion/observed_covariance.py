"""Covariance of what observations measure under the linear prior, H B H^T, for rows of several frames.

In whitened coefficients of the modes the prior has unit covariance within a frame and A^l between frames l apart, so
that with X_f the part of H (in modes, times their standard deviations) that takes frame f,

    H B H^T = sum_f X_f X_f^T + L + L^T,      L = sum_f U_f X_f^T,      U_f = (X_{f+1} + U_{f+1}) A.
"""

import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Empirical


class ObservedCovariance:
    """H B H^T of rows y_n = sum_k weight[n, k] x[frame[n, k], point[n, k]].

    Args:
        process: the linear prior.
        modes: number of leading modes that are resolved; the contributions of the others count as uncorrelated. Of
            waves all modes are resolved.
    """

    def __init__(self, process: GaussMarkov, modes: int) -> None:
        count = len(process.variance)
        self.process = process
        self.modes = max(modes, process.coupled) if isinstance(process.modes, Empirical) else count
        self.deviation = process.variance.sqrt()

    def __call__(
        self, frame: torch.Tensor, point: torch.Tensor, weight: torch.Tensor, frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The covariance (N, N) of the resolved modes, and the variance (N,) of the others.

        Args:
            frame: of each value, from 0, (N, K).
            point: index into the state of each value, (N, K).
            weight: of each value, (N, K).
            frames: number of frames.
        """
        rows = self._in_modes(frame, point, weight, frames) * self.deviation  # (F, N, n)
        resolved, rest = rows[..., : self.modes], rows[..., self.modes :]
        total, ahead = torch.zeros(len(point), len(point)), torch.zeros_like(resolved[0])
        for part, later in zip(reversed(resolved), [None, *reversed(resolved)][:frames]):
            if later is not None:
                ahead = self._evolved(later + ahead)
                total += ahead @ part.T
        return total + total.T + sum(part @ part.T for part in resolved), rest.square().sum((0, 2))

    def _in_modes(self, frame: torch.Tensor, point: torch.Tensor, weight: torch.Tensor, frames: int) -> torch.Tensor:
        """H in modes, (F, N, n)."""
        count = len(point)
        place = frame * count + torch.arange(count)[:, None]  # of each value among F * N rows
        used = weight != 0
        matrix = torch.sparse_coo_tensor(
            torch.stack([place[used], point[used]]),
            weight[used],
            (frames * count, self.process.size),
            check_invariants=False,
        )
        if isinstance(self.process.modes, Empirical):
            rows = torch.sparse.mm(matrix, self.process.modes.matrix)
        else:
            rows = self.process.modes.project(matrix.to_dense())
        return rows.view(frames, count, -1)

    def _evolved(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (N, n) times A."""
        coupled, (groups, size) = self.process.coupled, self.process.coupling.shape[:2]
        parts = rows[:, :coupled].unflatten(1, (groups, size)) if coupled else rows[:, :0]
        if coupled:
            parts = torch.einsum("ngk,gkl->ngl", parts, self.process.coupling).flatten(1)
        others = rows[:, coupled:] * self.process.persistence[: rows.shape[1] - coupled]
        return torch.cat([parts, others], 1)
