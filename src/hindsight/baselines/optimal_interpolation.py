"""Optimal interpolation (Gandin 1963; Daley 1991, ch. 4) with the covariance of the training period, sampled.

The background is the climatology, and its error covariance B that of the departures in the training period. Members are
samples of the analysis' distribution N(x_a, B - B H^T (H B H^T + R)^-1 H B) by Matheron's rule, so that it is scored as
an ensemble, like the diffusion analysis. Nonlinear observations are linearised about the mean of the analysis
(`outer_loops`).
"""

from pathlib import Path

import numpy as np
import scipy.linalg

from hindsight import __version__
from hindsight.baselines import covariance as covariances
from hindsight.baselines import each_frame, outer_loops
from hindsight.errors import UserError
from hindsight.fields import analyses, calendar, intervals, perturbations
from hindsight.fields.frames import Frames
from hindsight.fields.scaling import Scaling
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Ensemble, TrainingDomain

PURPOSE = 1 << 32  # constant of this module's random numbers, so that no two methods share any


def run(
    domain: TrainingDomain,
    product: Ensemble,
    settings: Baselines,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    observations: list[Path],
    shard: str,
    analysis: Path,
    covariance: Path | None = None,
) -> None:
    """Analyse by optimal interpolation with the covariance of the training period, and sample its posterior.

    The covariance is the one of `baselines.covariance`; without that file it is fitted here.
    """
    scaling, span = Scaling.read(climatology, statistics), settings.optimal_interpolation.frames
    training = Frames(fields, domain.train, scaling)
    size, grid = int(np.prod(training.shape)) * span, training.grid
    if covariance:
        method = OptimalInterpolation(*covariances.read(covariance, size), span)
    else:
        reach = settings.optimal_interpolation.localisation_km
        method = OptimalInterpolation.from_covariance(covariances.fit(training, span, reach), span)
    times = intervals.parse(shard, domain.step_hours).times
    files = {"statistics": statistics, "observations": observations}
    rows = each_frame.read_rows(domain, grid, scaling, **files, times=times, halo=span // 2)
    if note := each_frame.unused_note(rows, span):
        print(note)
    values = each_frame.analyse("optimal_interpolation", method, rows, times, domain.step_hours, product)
    values = scaling.restore(values.reshape(*values.shape[:2], len(domain.channels), *grid.shape), times)
    attributes = {"analysis": "optimal_interpolation", "frames": span, "seed": product.seed, "hindsight": __version__}
    analyses.write(values, list(range(product.members)), times, domain.channels, grid, attributes, analysis)


class OptimalInterpolation:
    """The analysis of one frame at a time, from the observations of the `span` frames around it.

    Args:
        covariance: the background error covariance B of these frames, (n, n).
        root: a square root of B.
        span: number of frames.
    """

    def __init__(self, covariance: np.ndarray, root: np.ndarray, span: int) -> None:
        self.covariance, self.root, self.span = covariance, root, span
        self.size = len(covariance) // span
        self._cached: tuple[bytes, tuple] = (b"", ())

    @classmethod
    def from_covariance(cls, covariance: np.ndarray, span: int) -> "OptimalInterpolation":
        """Make the method from a covariance; overwrites `covariance`, to save memory."""
        single = covariance.astype(np.float32)
        return cls(single, covariances.cholesky(covariance).astype(np.float32), span)

    def gain(self, point: np.ndarray, weight: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, tuple]:
        """H B (N rows) and the Cholesky factor of H B H^T + R; cached while H and R stay the same."""
        key = b"".join(a.tobytes() for a in (point, weight, error))
        if key != self._cached[0]:
            mapped, system = np.zeros((len(point), len(self.covariance))), np.diag(error**2)
            for corner, share in zip(point.T, weight.T):
                mapped += self.covariance[corner] * share[:, None]
            for corner, share in zip(point.T, weight.T):
                system += mapped[:, corner] * share
            self._cached = key, (mapped, _factor(system, error))
        return self._cached[1]

    def analyse(
        self, background: np.ndarray, value: np.ndarray, point: np.ndarray, weight: np.ndarray, error: np.ndarray
    ) -> np.ndarray:
        """The analyses of background states (E, span * D), given observed values (E, N)."""
        if not len(point):
            return background
        mapped, factor = self.gain(point, weight, error)
        innovation = value - (background[:, point] * weight).sum(-1)
        return background + scipy.linalg.cho_solve(factor, innovation.T).T @ mapped

    def mean(self, rows: Rows) -> np.ndarray:
        """The mean of the analysis of rows of the frames in the span, (span * D,)."""
        background = np.zeros((1, len(self.covariance)))
        return self.analyse(background, rows.value[None], rows.point, rows.weight, rows.error)[0]

    def deviations(self, rows: Rows, point: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Standard deviations in the analysis of weighted sums of the state, for point and weight (M, K): (M,)."""
        variance = np.einsum("mkl,mk,ml->m", self.covariance[point[:, :, None], point[:, None]], weight, weight)
        if len(rows):
            mapped, factor = self.gain(rows.point, rows.weight, rows.error)
            seen = sum(mapped[:, corner] * share for corner, share in zip(point.T, weight.T))
            variance = variance - (seen * scipy.linalg.cho_solve(factor, seen)).sum(0)
        return np.sqrt(np.maximum(variance, 0.0))

    def members(self, rows: Rows, time: np.datetime64, step_hours: float, product: Ensemble) -> np.ndarray:
        """Members of the analysis of one frame, (E, D), normalised, without rows that need frames beyond the span."""
        rows = each_frame.of_span(rows, time, self.span, step_hours, self.size)
        rows = outer_loops.linearised(self, rows)
        frame = int(calendar.frame_number(np.array([time]), step_hours)[0])
        drawn = each_frame.draw(product, PURPOSE, frame, len(self.root), product.antithetic)
        drawn = drawn.astype(np.float32) @ self.root.T
        numbers = range(product.members)
        noise = perturbations.normal(product.seed, PURPOSE, numbers, frame, rows.key, product.antithetic)
        states = self.analyse(drawn, rows.value + rows.error * noise, rows.point, rows.weight, rows.error)
        middle = self.span // 2 * self.size
        return states[:, middle : middle + self.size]


def _factor(system: np.ndarray, error: np.ndarray) -> tuple:
    """The Cholesky factor of H B H^T + R.

    Raises:
        UserError: if observation errors are so small that the matrix is singular.
    """
    try:
        return scipy.linalg.cho_factor(system)
    except scipy.linalg.LinAlgError:
        raise UserError(
            f"optimal interpolation cannot use observation errors as small as {error.min():.1e} standard deviations, "
            "as its matrix is singular; give the observations larger errors"
        ) from None
