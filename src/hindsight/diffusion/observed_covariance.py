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
            modes that are not one matrix (`Empirical`) all are resolved.
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
        number, frame_of, rows = self._in_modes(frame, point, weight)
        resolved, total = rows[:, : self.modes], torch.zeros(len(point), len(point))
        ahead, later = resolved.new_zeros(0, resolved.shape[1]), number[:0]  # U_f of the rows that have later frames
        for f in reversed(range(frames)):
            here = frame_of == f
            part, which = resolved[here], number[here]
            ahead = self.process.times_transition(ahead)
            across = ahead @ part.T
            total[which[:, None], which] += part @ part.T
            total[later[:, None], which] += across
            total[which[:, None], later] += across.T
            later, ahead = _joined(later, ahead, which, part)
        rest = torch.zeros(len(point)).index_add(0, number, rows[:, self.modes :].square().sum(1))
        return total, rest

    def _in_modes(
        self, frame: torch.Tensor, point: torch.Tensor, weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each pair of a row and a frame that it depends on: their numbers (pairs,), the row of X_f (pairs, n)."""
        used, count = weight != 0, len(point)
        key = (frame * count + torch.arange(count)[:, None])[used]
        pairs, place = torch.unique(key, return_inverse=True)
        matrix = torch.sparse_coo_tensor(
            torch.stack([place, point[used]]), weight[used], (len(pairs), self.process.size), check_invariants=False
        )
        if isinstance(self.process.modes, Empirical):
            rows = torch.sparse.mm(matrix, self.process.modes.matrix)
        else:
            rows = self.process.modes.project(matrix.to_dense())
        return pairs % count, pairs // count, rows * self.deviation


def _joined(
    numbers: torch.Tensor, rows: torch.Tensor, more: torch.Tensor, others: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of rows (N, n) with their numbers, those of one number added."""
    unique, place = torch.unique(torch.cat([numbers, more]), return_inverse=True)
    return unique, rows.new_zeros(len(unique), rows.shape[1]).index_add(0, place, torch.cat([rows, others]))
