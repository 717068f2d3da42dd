"""Weak-constraint 4D-Var of a shard: a cost function for whole trajectories, with the linear prior as model.

The model is a_{t+1} = A a_t + w and the covariance of its error that of w (`diffusion.gauss_markov`). The control
variables (`minimise`) are white: those of the first frame, whose background is the climatology, and the model errors of
the others, so that a trajectory is a run of the model forced by them (Trémolet 2006, doi:10.1256/qj.05.224). The
stretch is the shard and `halo` frames on both sides, which are discarded. Members have perturbed observations and
backgrounds that are drawn trajectories. For linear observations they are samples of the Rauch-Tung-Striebel smoother,
that is of the posterior that the diffusion would sample without a network: a check of both, by another route.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse

from hindsight import __version__, prior
from hindsight.baselines import each_frame, minimise
from hindsight.baselines.linear_model import LinearModel
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.fields import analyses, calendar, intervals, perturbations, store
from hindsight.fields.grid import Grid
from hindsight.operators.rows import Rows
from hindsight.progress import Progress
from hindsight.settings import Baselines, Ensemble, TrainingDomain
from hindsight.settings.baselines import Minimisation

PURPOSE = 10 << 32  # constant of this module's random numbers, so that no two methods share any
BLOCK = 8  # members at a time, for memory


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
    linear_prior: Path,
) -> None:
    """Analyse by weak-constraint 4D-Var with the linear prior, an ensemble by perturbed observations."""
    grid, halo = Grid.of(store.read(fields)), settings.four_d_var.halo
    process, scaling = prior.read_linear(linear_prior, climatology, statistics, grid)
    times, step = intervals.parse(shard, domain.step_hours).times, intervals.time_step(domain.step_hours)
    stretch = times[0] + np.arange(-halo, len(times) + halo) * step
    files = {"statistics": statistics, "observations": observations}
    rows = each_frame.read_rows(domain, grid, scaling, **files, times=times, halo=halo)
    method = FourDVar(process, settings.four_d_var)
    values = method.members(rows, stretch, domain.step_hours, product)[:, halo : halo + len(times)]
    print(f"minimised in at most {method.loops} outer loops and {method.iterations} iterations")
    values = scaling.restore(values.reshape(*values.shape[:2], len(domain.channels), *grid.shape), times)
    attributes = {"analysis": "four_d_var", "halo": halo, "seed": product.seed, "hindsight": __version__}
    analyses.write(values, list(range(product.members)), times, domain.channels, grid, attributes, analysis)


class FourDVar:
    """The analysis of all frames of a stretch together.

    Args:
        process: the linear prior.
        settings: limits of the minimisation; the largest numbers that were needed are in `loops` and `iterations`.
    """

    def __init__(self, process: GaussMarkov, settings: Minimisation) -> None:
        self.model, self.size, self.settings = LinearModel(process), process.size, settings
        self.loops = self.iterations = 0

    def members(self, rows: Rows, times: np.ndarray, step_hours: float, product: Ensemble) -> np.ndarray:
        """Members of the analysis of the frames at some times, (E, T, D), normalised.

        Rows that need other frames are not used.

        Raises:
            UserError: if the minimisation has not converged.
        """
        given, rows = len(rows), each_frame.of_frames(rows, times[0], len(times), step_hours, self.size)
        if given > len(rows):
            print(f"{given - len(rows)} of {given} observations depend on frames outside the stretch and are not used")
        sums = Sums(self.model, len(times), *minimise.parts(rows))
        frames = calendar.frame_number(times, step_hours)
        draw = lambda frame: each_frame.draw(product, PURPOSE, int(frame), self.model.count, product.antithetic)
        drawn, numbers = np.stack([draw(frame) for frame in frames], 1), range(product.members)
        frame = calendar.frame_number(rows.time, step_hours)
        noise = perturbations.normal(product.seed, PURPOSE, numbers, frame, rows.key, product.antithetic)
        where = f"baselines.four_d_var, {calendar.text(times[0])} and {len(times) - 1} frames after it"
        watch, found = Progress("baselines.four_d_var", product.members, "members"), []
        for block in _blocks(product.members):
            background = drawn[block].reshape(len(drawn[block]), -1)
            minimum = minimise.analyse(rows, sums, background, noise[block], self.settings, where)
            found.append(self.model.forward(minimum.control.reshape(drawn[block].shape)).astype(np.float32))
            self.loops, self.iterations = max(self.loops, minimum.loops), max(self.iterations, minimum.iterations)
            watch(block.stop)
        return np.concatenate(found)


def _blocks(members: int) -> Iterator[slice]:
    for first in range(0, members, BLOCK):
        yield slice(first, min(first + BLOCK, members))


class Sums:
    """Weighted sums of a trajectory of the model.

    Args:
        model: from white noise to fields.
        frames: of the trajectory, T.
        point: indices into its T * D values, (P, K).
        weight: of these values, (P, K).
    """

    def __init__(self, model: LinearModel, frames: int, point: np.ndarray, weight: np.ndarray) -> None:
        self.model, self.frames = model, frames
        row = np.repeat(np.arange(len(point)), point.shape[1])
        shape = len(point), frames * model.modes.size
        self.matrix = scipy.sparse.csr_array((weight.ravel(), (row, point.ravel())), shape)

    def forward(self, control: np.ndarray) -> np.ndarray:
        """From control variables (E, T * n) to sums (E, P)."""
        fields = self.model.forward(control.reshape(len(control), self.frames, -1))
        return (self.matrix @ fields.reshape(len(control), -1).T).T

    def adjoint(self, sums: np.ndarray) -> np.ndarray:
        """The transposed map."""
        fields = np.ascontiguousarray((self.matrix.T @ sums.T).T).reshape(len(sums), self.frames, -1)
        return self.model.adjoint(fields).reshape(len(sums), -1)
