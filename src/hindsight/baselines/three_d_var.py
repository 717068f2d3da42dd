"""3D-Var: the minimum of a cost function for each frame, with the covariance of the training period (Lorenc 1986).

As in optimal interpolation the background is the climatology, and its error covariance B = L L^T that of the departures
in the training period (`baselines.covariance`). Each member minimises a cost of its own (`minimise`), with a background
drawn from B and perturbed observations: an ensemble of data assimilations (Houtekamer et al. 1996,
doi:10.1175/1520-0493(1996)124<1225:ASSATE>2.0.CO;2). For linear observations it is optimal interpolation, to the
tolerance of the minimisation. Nonlinear ones are linearised about the mode of the posterior; optimal interpolation
linearises them about estimates of its mean, in two loops.
"""

from pathlib import Path

import numpy as np

from hindsight import __version__
from hindsight.baselines import covariance as covariances
from hindsight.baselines import each_frame, minimise
from hindsight.fields import analyses, calendar, intervals, perturbations, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Ensemble, TrainingDomain
from hindsight.settings.baselines import Minimisation

PURPOSE = 9 << 32  # constant of this module's random numbers, so that no two methods share any


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
    covariance: Path,
) -> None:
    """Analyse by 3D-Var with the covariance of the training period, an ensemble by perturbed observations."""
    scaling, span = Scaling.read(climatology, statistics), settings.optimal_interpolation.frames
    grid, times = Grid.of(store.read(fields)), intervals.parse(shard, domain.step_hours).times
    size = len(domain.channels) * int(np.prod(grid.shape)) * span
    method = ThreeDVar(covariances.read(covariance, size)[1], span, settings.three_d_var)
    files = {"statistics": statistics, "observations": observations}
    rows = each_frame.read_rows(domain, grid, scaling, **files, times=times, halo=span // 2)
    if note := each_frame.unused_note(rows, span):
        print(note)
    values = each_frame.analyse("three_d_var", method, rows, times, domain.step_hours, product)
    print(f"minimised in at most {method.loops} outer loops and {method.iterations} iterations")
    values = scaling.restore(values.reshape(*values.shape[:2], len(domain.channels), *grid.shape), times)
    attributes = {"analysis": "three_d_var", "frames": span, "seed": product.seed, "hindsight": __version__}
    analyses.write(values, list(range(product.members)), times, domain.channels, grid, attributes, analysis)


class ThreeDVar:
    """The analysis of one frame at a time, from the observations of the `span` frames around it.

    Args:
        root: a square root L of the background error covariance of these frames, (n, n).
        span: number of frames.
        settings: limits of the minimisation; the largest numbers that were needed are in `loops` and `iterations`.
    """

    def __init__(self, root: np.ndarray, span: int, settings: Minimisation) -> None:
        self.root, self.span, self.settings = root, span, settings
        self.size = len(root) // span
        self.loops = self.iterations = 0

    def members(self, rows: Rows, time: np.datetime64, step_hours: float, product: Ensemble) -> np.ndarray:
        """Members of the analysis of one frame, (E, D), normalised, without rows that need frames beyond the span.

        Raises:
            UserError: if the minimisation has not converged.
        """
        rows = each_frame.of_span(rows, time, self.span, step_hours, self.size)
        frame = int(calendar.frame_number(np.array([time]), step_hours)[0])
        background = each_frame.draw(product, PURPOSE, frame, len(self.root), product.antithetic)
        numbers = range(product.members)
        noise = perturbations.normal(product.seed, PURPOSE, numbers, frame, rows.key, product.antithetic)
        sums = Sums(self.root, *minimise.parts(rows))
        where = f"baselines.three_d_var, {calendar.text(time)}"
        found = minimise.analyse(rows, sums, background, noise, self.settings, where)
        self.loops, self.iterations = max(self.loops, found.loops), max(self.iterations, found.iterations)
        middle = self.span // 2 * self.size
        return found.control.astype(np.float32) @ self.root[middle : middle + self.size].T


class Sums:
    """Weighted sums of the state L v, as one matrix; only the rows of L that are observed are read.

    Args:
        root: L, (n, m).
        point: indices into the state, (P, K).
        weight: of these values, (P, K).
    """

    def __init__(self, root: np.ndarray, point: np.ndarray, weight: np.ndarray) -> None:
        self.matrix = np.zeros((len(point), root.shape[1]))
        for corner, share in zip(point.T, weight.T):
            self.matrix += root[corner] * share[:, None]

    def forward(self, control: np.ndarray) -> np.ndarray:
        """From control variables (E, m) to sums (E, P)."""
        return control @ self.matrix.T

    def adjoint(self, sums: np.ndarray) -> np.ndarray:
        """The transposed map."""
        return sums @ self.matrix
