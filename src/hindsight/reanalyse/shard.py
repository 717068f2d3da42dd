"""Analyse one shard of frames for one block of members, with a halo of frames around it that is discarded."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from hindsight import __version__, machine
from hindsight import controller as controllers
from hindsight import prior as priors
from hindsight import steering as steerings
from hindsight.diffusion import sampler
from hindsight.diffusion.guidance.unguided import Cost
from hindsight.diffusion.sampler import Diverged, StepSettings
from hindsight.errors import UserError
from hindsight.fields import analyses, intervals
from hindsight.fields import observations as tables
from hindsight.fields.grid import NEAR, Grid
from hindsight.fields.intervals import Interval
from hindsight.fields.scaling import Scaling, extremes
from hindsight.operators import rows
from hindsight.prior import Prior
from hindsight.progress import Progress
from hindsight.reanalyse import observation_tensors, regimes, sampling
from hindsight.reanalyse.assimilation import Assimilation, Task
from hindsight.reanalyse.checkpoint import Checkpoint
from hindsight.settings import Division, DomainWithoutPeriods, Reanalyse


def run(
    domain: DomainWithoutPeriods,
    product: Division,
    settings: Reanalyse,
    *,
    prior: Path,
    climatology: Path,
    statistics: Path,
    observations: list[Path],
    shard: str,
    stretch: str,
    members: str,
    analysis: Path,
    controller: list[Path] = [],  # noqa: B006 (never changed)
    steering: list[Path] = [],  # noqa: B006
) -> None:
    """Analyse one shard of frames for one block of members."""
    machine.compute_reproducibly(settings.threads)
    trained = load(prior, domain, settings, climatology, controller, steering)
    if difference := _scaling_difference(trained.scaling, Scaling.read(climatology, statistics)):
        print(f"{prior} has its own scaling, which is used: {difference}", flush=True)
    times, inside = within(intervals.parse(shard, domain.step_hours), intervals.parse(stretch, domain.step_hours))
    table = tables.usable(tables.read(observations, times[0], times[-1]))
    numbers = member_numbers(members)
    progress = Progress("reanalyse.shard", regimes.steps(settings, len(times), domain.step_hours))
    made_from = {"hindsight": __version__, "prior": _sha256(prior), "observations": _digest(table)}
    made_from |= {"controller": _sha256(controller[0])} if controller else {}
    made_from |= {"steering": _sha256(steering[0])} if steering else {}
    drawn = product.seed, product.antithetic
    recipe = [settings.model_dump(mode="json"), *drawn, numbers, stretch, made_from, trained.precision]
    checkpoint = Checkpoint(analysis.with_suffix(".checkpoint"), recipe)
    task = Task(times, table, numbers, product.seed, extremes(statistics), product.antithetic)
    made = reanalyse(trained, task, settings, progress, checkpoint)
    member_frames = len(numbers) * (inside.stop - inside.start)  # of the shard; they bear the cost of the halo too
    attributes = {
        "analysis": "diffusion",
        "regime": settings.regime,
        "lag_hours": settings.lag_hours or 0,
        "guidance": settings.guidance.method,
        "sampler": settings.sampler.step,
        "steps": settings.steps,
        "precision": trained.precision,
        "evaluations": made.cost.evaluations / member_frames,
        "backward_passes": made.cost.backward / member_frames,
        "retries": made.retries,
        "gross_observations": made.gross,
        **control_attributes(made.cost),
        "seed": product.seed,
        "antithetic": int(product.antithetic),
        "stretch": stretch,
        **made_from,
    }
    fields, grid = made.fields[:, inside], trained.metadata.grid
    analyses.write(fields, numbers, times[inside], domain.channels, grid, attributes, analysis)
    checkpoint.remove()


def control_attributes(cost: Cost) -> dict[str, float]:
    """Root-mean-square shift by the controller in expected errors, and the share of its points at a bound.

    Above `analyses.MAX_AT_BOUND` of the points at a bound, a warning is printed. Empty without a controller.
    """
    if not cost.controlled:
        return {}
    shift, at_bound = (cost.control / cost.controlled) ** 0.5, cost.at_bound / cost.controlled
    print(f"controller: shift {shift:.3f} expected errors (root mean square), {at_bound:.2%} at its bound", flush=True)
    if at_bound > analyses.MAX_AT_BOUND:
        print(
            f"warning: the controller is at its bound in {at_bound:.1%} of the points, where it may do too little; "
            "train it for such observations, or raise controller.network.shift and scale",
            flush=True,
        )
    return {"control_shift": shift, "control_at_bound": at_bound}


def member_numbers(block: str) -> list[int]:
    """Numbers of the members of a block such as `8-15`.

    Raises:
        UserError: if the text is not a first and a last number.
    """
    first, _, last = block.partition("-")
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
        raise UserError(f"{block!r} names no members; expected their first and last number, like 0-15")
    return list(range(int(first), int(last) + 1))


def within(shard: Interval, stretch: Interval) -> tuple[np.ndarray, slice]:
    """Times of a stretch (a shard with its halo), and the slice of them that is the shard.

    Raises:
        UserError: if the shard does not lie within the stretch.
    """
    times, lead = stretch.times, int((shard.start - stretch.start) // intervals.time_step(shard.step_hours))
    if not (0 <= lead <= stretch.frames - shard.frames and times[lead] == shard.times[0]):
        raise UserError(f"the stretch {stretch.name} does not contain the shard {shard.name}; snakemake passes both")
    return times, slice(lead, lead + shard.frames)


@dataclass
class Analysed:
    """An analysis of a stretch.

    Attributes:
        fields: physical, (E, T, C, H, W).
        cost: failed attempts included.
        retries: number of failed attempts.
        gross: number of observations rejected as gross errors.
    """

    fields: np.ndarray
    cost: Cost
    retries: int
    gross: int


def reanalyse(
    prior: Prior,
    task: Task,
    settings: Reanalyse,
    progress: Callable[[int], None] = lambda done: None,
    checkpoint: Checkpoint | None = None,
) -> Analysed:
    """Sample members of a stretch of frames, given its observations.

    Args:
        prior: trained.
        task: frames, members and observations.
        settings: regime, steps and noise levels.
        progress: is called with the number of sampling steps done.
        checkpoint: file that an interrupted job resumes from.

    Raises:
        UserError: if the sample diverged in every attempt, or the observation solver failed.
    """
    about = prior.metadata.channels, prior.metadata.grid, prior.scaling
    used, gross = rows.reject_gross_errors(
        task.table[task.table["time"].isin(task.times)], *about, task.extremes, prior.metadata.step_hours
    )
    if len(gross):
        print(rows.gross_error_note(gross, len(used) + len(gross)), flush=True)
    observations = observation_tensors.from_table(used, task.times, *about)
    spread = float((prior.process.variance.sum() / prior.process.size).sqrt())
    departures = observation_tensors.largest_departures(observations, len(prior.metadata.channels), prior.process.size)
    spent = Cost()
    for attempt in range(settings.retries + 1):
        assimilation = Assimilation(prior, task, observations, settings, attempt)
        try:
            sample = _sample(assimilation, sampling.step_settings(settings, spread, departures), progress, checkpoint)
            fields = sample.cpu().numpy().reshape(*sample.shape[:2], -1, *prior.metadata.grid.shape)
            return Analysed(prior.scaling.restore(fields, task.times), spent + assimilation.cost, attempt, len(gross))
        except Diverged as error:
            channels = ", ".join(prior.metadata.channels[k] for k in error.channels)
            how = f"with guidance {settings.guidance.method!r}, {settings.steps} steps"
            print(f"{error.describe(task.members)} {how}, in {channels}", flush=True)
            settings, spent = settings.model_copy(update={"steps": 2 * settings.steps}), spent + assimilation.cost
        except ArithmeticError as error:
            raise UserError(
                f"{error}; raise reanalyse.solver_iterations or solver_tolerance, or give larger errors to "
                "observations whose errors are far smaller than those of others"
            ) from None
    if checkpoint:
        checkpoint.remove()
    raise UserError(
        f"the sample diverged {settings.retries + 1} time(s) in {channels} with guidance {settings.guidance.method!r}, "
        f"and nothing was written; {_remedies(settings, dict(zip(prior.metadata.channels, departures)))}"
    )


def _remedies(settings: Reanalyse, departures: dict[str, float]) -> str:
    """Remedies for a sample that diverges, given the largest observed departure of each channel."""
    guidance, channel = settings.guidance, max(departures, key=departures.get)
    name, uses = guidance.method, guidance.traits.uses
    remedies = ["raise steps", "lower sigma_max"]
    remedies += [f"lower reanalyse.guidance.zeta (of {name})"] * ("zeta" in uses)
    remedies += [f"raise reanalyse.guidance.gamma (of {name})"] * ("gamma" in uses)
    remedies += ["use reanalyse.guidance.method: analytic"] * (not guidance.traits.draws)
    far = f"{departures[channel]:.0f} standard deviations from the climatology"
    first = f"look at the observations first: one of {channel} is {far}; "
    return (first if departures[channel] > sampling.IMPLAUSIBLE else "") + ", or ".join(remedies)


def _sample(
    assimilation: Assimilation,
    step_settings: StepSettings,
    progress: Callable[[int], None],
    checkpoint: Checkpoint | None,
) -> torch.Tensor:
    """Sample all cycles, from the checkpoint on if there is one; fields (E, T, D)."""
    frames = len(assimilation.frames)
    cycles = regimes.cycles(assimilation.settings, frames, assimilation.prior.metadata.step_hours)
    size, device = assimilation.prior.process.size, assimilation.device
    fields = torch.zeros(len(assimilation.members), frames, size, device=device)
    state = sampler.State(fields, np.full(frames, np.inf))
    resumed = checkpoint.load(state, assimilation.attempt, assimilation.cost) if checkpoint else None
    finished = resumed if resumed is not None else torch.empty_like(state.fields)
    before = state.finished
    resample = partial(regimes.resample, assimilation)

    def save(now: sampler.State) -> None:
        if checkpoint:
            checkpoint.save(now, finished, assimilation.attempt, assimilation.cost)

    for now in sampler.sample(
        cycles,
        state,
        assimilation.denoiser,
        step_settings,
        assimilation.noise,
        resample,
        progress,
        save,
        assimilation.unguided,
    ):
        finished[:, before : now.finished] = now.fields[:, before : now.finished]
        before = now.finished
        save(now)
    return finished


def load(
    path: Path,
    domain: DomainWithoutPeriods,
    settings: Reanalyse,
    climatology: Path,
    controller: list[Path] = [],  # noqa: B006 (never changed)
    steering: list[Path] = [],  # noqa: B006
) -> Prior:
    """Load a prior, and its controller and directions of steering if the settings need them.

    Args:
        path: of the prior.
        domain: that it has to be trained for.
        settings: of the analysis.
        climatology: of the fields.
        controller: its file, or none.
        steering: the file of directions, or none.

    Raises:
        UserError: if they were trained for another domain, or the controller for another prior; the message names every
            difference.
    """
    trained = priors.load(path, machine.device(settings.device))
    keep = trained.metadata.precision == "bfloat16" or settings.precision != "auto"
    trained.precision = machine.precision(settings.precision if keep else "float32", trained.maps.device)
    about, wrong = trained.metadata, _outside(trained.metadata.grid, domain)
    with xr.open_dataset(climatology) as fields:
        here = Grid.of(fields)
    if not wrong and not here.matches(about.grid):
        wrong = [f"{about.grid}, and the fields are on {here}"]
    for what, trained_for, expected in (
        ("channels", about.channels, domain.channels),
        ("hours between frames", about.step_hours, domain.step_hours),
        ("edges", about.edges, [domain.latitude_edges, domain.longitude_edges]),
    ):
        if trained_for != expected:
            wrong.append(f"{what} {trained_for}, and the domain asks for {expected}")
    if settings.guidance.traits.points and not about.points:
        method = settings.guidance.method
        wrong.append(
            f"fields alone, without the noise levels of points (train.points.share) that guidance {method!r} needs"
        )
    if wrong:
        raise UserError(f"{path} was trained for {'; for '.join(wrong)}; train again, or name the prior of this domain")
    if settings.guidance.traits.controller:
        if not controller:
            raise UserError(
                "guidance 'controlled' needs a controller; name its file by --controller, as snakemake does"
            )
        trained.control = controllers.load(controller[0], trained, _sha256(path), settings)
    if settings.steering.strength:
        if not steering:
            raise UserError("reanalyse.steering needs directions; name their file by --steering, as snakemake does")
        trained.steering = steerings.load(steering[0], _sha256(path), settings.steering)
    return trained


def _outside(grid: Grid, domain: DomainWithoutPeriods) -> list[str]:
    """Differences where the grid of a prior reaches beyond the region; it may be smaller, as a source may."""
    wrong, (rows, columns) = [], grid.shape
    for name, axis, low, high in (
        ("latitudes", grid.latitude, domain.south, domain.north),
        ("longitudes", grid.longitude, domain.west, domain.east),
    ):
        low, high = axis[0] if low is None else low, axis[-1] if high is None else high
        if axis[0] < low - NEAR or axis[-1] > high + NEAR:
            wrong.append(
                f"a grid of {rows} x {columns} points with {name} {axis[0]:g} to {axis[-1]:g}, and the domain asks for "
                f"{low:g} to {high:g}"
            )
    return wrong


def _scaling_difference(own: Scaling, here: Scaling) -> str:
    """A sentence on the difference between the prior's scaling and the run's; empty if they are the same."""
    pairs = {"climatology": (own.coefficients, here.coefficients), "spread": (own.spread, here.spread)}
    names = [name for name, (a, b) in pairs.items() if np.shape(a) != np.shape(b) or not np.allclose(a, b)]
    names += ["transforms"] if own.transforms != here.transforms else []
    return f"its {' and '.join(names)} differ from those of this run's training period" if names else ""


def _sha256(path: Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _digest(table: pd.DataFrame) -> str:
    """SHA-256 of the rows that an analysis is given: other rows of the same files, or other days, do not change it."""
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()
