"""One shard of frames and one block of members: sampled with a halo on both sides, which is then thrown away."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from hindsight import __version__, machine
from hindsight import prior as priors
from hindsight.diffusion import sampler
from hindsight.diffusion.guidance.unguided import Cost
from hindsight.diffusion.sampler import Diverged, Way
from hindsight.errors import UserError
from hindsight.fields import analyses, cuts
from hindsight.fields import observations as tables
from hindsight.fields.cuts import Cut
from hindsight.fields.grid import NEAR, Grid
from hindsight.fields.scaling import Scaling, extremes
from hindsight.operators import rows
from hindsight.prior import Prior
from hindsight.progress import Progress
from hindsight.reanalyse import regimes
from hindsight.reanalyse.conditions import furthest, observed
from hindsight.reanalyse.scene import Scene
from hindsight.reanalyse.stream import Stream
from hindsight.settings import Cutting, Reanalyse, Scope
from hindsight.settings.reanalyse import DRAWS, OWN


def run(
    domain: Scope,
    product: Cutting,
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
) -> None:
    """Sample one shard of frames for one block of members."""
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    trained = load(prior, domain, settings, climatology)
    if apart := _scaled_apart(trained.scaling, Scaling.read(climatology, statistics)):
        print(f"{prior} brings its own scaling, which is used: {apart}", flush=True)
    times, own = within(cuts.named(shard, domain.step_hours), cuts.named(stretch, domain.step_hours))
    table = tables.usable(tables.read(observations, times[0], times[-1]))
    numbers = members_of(members)
    watch = Progress(f"reanalyse.shard {shard}", regimes.rows(settings, len(times), domain.step_hours))
    made_from = {"hindsight": __version__, "prior": _sha256([prior]), "observations": _sha256(observations)}
    recipe = [settings.model_dump(mode="json"), product.seed, numbers, stretch, made_from, trained.precision]
    keep = Stream(analysis.with_suffix(".stream"), recipe)
    made = reanalyse(trained, times, table, numbers, product.seed, settings, watch, keep, extremes(statistics))
    cells = len(numbers) * (own.stop - own.start)  # what is kept bears the cost of its halo
    attributes = {
        "analysis": "diffusion",
        "regime": settings.regime,
        "lag_hours": settings.lag_hours or 0,
        "guidance": settings.guidance.method,
        "sampler": settings.sampler.step,
        "steps": settings.steps,
        "precision": trained.precision,
        "evaluations": made.cost.evaluations / cells,
        "backward_passes": made.cost.backward / cells,
        "retries": made.retries,
        "gross_observations": made.gross,
        "seed": product.seed,
        "stretch": stretch,
        **made_from,
    }
    analyses.write(made.fields[:, own], numbers, times[own], domain.channels, trained.about.grid, attributes, analysis)
    keep.remove()


def members_of(block: str) -> list[int]:
    """Numbers of the members of a block, `8-15`.

    Raises:
        UserError: if it names none.
    """
    first, _, last = block.partition("-")
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
        raise UserError(f"{block!r} names no members; expected their first and last number, like 0-15")
    return list(range(int(first), int(last) + 1))


def within(own: Cut, whole: Cut) -> tuple[np.ndarray, slice]:
    """Times of a shard with its halo, and which of them are the shard's own.

    Raises:
        UserError: if the shard does not lie within the stretch.
    """
    times, lead = whole.times, int((own.start - whole.start) // np.timedelta64(own.step_hours, "h"))
    if not (0 <= lead <= whole.frames - own.frames and times[lead] == own.times[0]):
        raise UserError(f"the stretch {whole.name} does not hold the shard {own.name}; snakemake names both")
    return times, slice(lead, lead + own.frames)


@dataclass
class Analysed:
    """Physical fields (E, T, C, H, W), what they cost, failed attempts included, and how many of these there were.

    `gross` observations were left out.
    """

    fields: np.ndarray
    cost: Cost
    retries: int
    gross: int


def reanalyse(
    prior: Prior,
    times: np.ndarray,
    table: pd.DataFrame,
    members: list[int],
    seed: int,
    settings: Reanalyse,
    watch: Callable[[int], None] = lambda done: None,
    keep: Stream | None = None,
    extremes: np.ndarray | None = None,
) -> Analysed:
    """Sample members of a stretch of frames, given its observations.

    Args:
        prior: trained.
        times: of the frames, T.
        table: the observations that may be used.
        members: their numbers, E.
        seed: of the product.
        settings: regime, steps and levels.
        watch: told of rows done.
        keep: where it is kept while it is under way.
        extremes: of each channel in the training period, see `rows.screened`.

    Raises:
        UserError: if the sample diverged in every attempt.
    """
    about = prior.about.channels, prior.about.grid, prior.scaling
    used, gross = rows.screened(table[table["time"].isin(times)], *about, extremes)
    if len(gross):
        print(rows.told(gross, len(used) + len(gross)), flush=True)
    seen = observed(used, times, *about)
    spread = float((prior.process.variance.sum() / prior.process.size).sqrt())
    far = furthest(seen, len(prior.about.channels), prior.process.size)
    spent = Cost()
    for attempt in range(settings.retries + 1):
        scene = Scene(prior, times, seen, members, seed, settings, attempt)
        try:
            sample = _sampled(scene, regimes.way(settings, spread, far), watch, keep)
            fields = sample.cpu().numpy().reshape(len(members), len(times), -1, *prior.about.grid.shape)
            return Analysed(prior.scaling.restore(fields, times), spent + scene.cost, attempt, len(gross))
        except Diverged as error:
            astray = ", ".join(prior.about.channels[k] for k in error.channels)
            how = f"at guidance {settings.guidance.method!r}, {settings.steps} steps"
            print(f"{error} {how}, in {astray}", flush=True)
            settings, spent = settings.model_copy(update={"steps": 2 * settings.steps}), spent + scene.cost
        except ArithmeticError as error:
            raise UserError(
                f"{error}; raise reanalyse.solver_iterations or solver_tolerance, or give larger errors to "
                "observations whose errors are far smaller than those of others"
            ) from None
    if keep:
        keep.remove()
    raise UserError(
        f"the sample diverged {settings.retries + 1} time(s) in {astray} with guidance {settings.guidance.method!r}, "
        f"and nothing was written; {_remedies(settings, dict(zip(prior.about.channels, far)))}"
    )


def _remedies(settings: Reanalyse, far: dict[str, float]) -> str:
    """What may help against a sample that diverges; `far` is how far the furthest observation of each channel is."""
    method, channel = settings.guidance.method, max(far, key=far.get)
    tried = ["raise steps", "lower sigma_max"]
    tried += [f"lower reanalyse.guidance.zeta (of {method})"] * (method in OWN["zeta"])
    tried += [f"raise reanalyse.guidance.gamma (of {method})"] * (method in OWN["gamma"])
    tried += ["use reanalyse.guidance.method: analytic"] * (method not in DRAWS)
    look = f"look at the observations first: one of {channel} is {far[channel]:.0f} standard deviations away; "
    return (look if far[channel] > regimes.UNBELIEVABLE else "") + ", or ".join(tried)


def _sampled(scene: Scene, way: Way, watch: Callable[[int], None], keep: Stream | None) -> torch.Tensor:
    """Walk the cycles of a scene, from the step that a killed job left them at; fields (E, T, D)."""
    frames = len(scene.frames)
    cycles = regimes.cycles(scene.settings, frames, scene.prior.about.step_hours)
    state = sampler.State(
        torch.zeros(len(scene.members), frames, scene.prior.process.size, device=scene.device),
        np.full(frames, np.inf),
    )
    kept = keep.load(state, scene.attempt, scene.cost) if keep else None
    finished = kept if kept is not None else torch.empty_like(state.fields)
    before = state.finished
    save = (lambda now: keep.save(now, finished, scene.attempt, scene.cost)) if keep else (lambda now: None)
    for now in sampler.walk(cycles, state, scene.denoiser, way, scene.noise, scene.weigh, watch, save):
        finished[:, before : now.finished] = now.fields[:, before : now.finished]
        before = now.finished
        save(now)
    return finished


def load(path: Path, domain: Scope, settings: Reanalyse, climatology: Path) -> Prior:
    """Load a prior.

    Raises:
        UserError: if it was made for something else, naming all that differs.
    """
    trained = priors.load(path, machine.device(settings.device))
    asked = settings.precision if trained.about.precision == "bfloat16" or settings.precision != "auto" else "float32"
    trained.precision = machine.precision(asked, trained.maps.device)
    about, wrong = trained.about, _outside(trained.about.grid, domain)
    with xr.open_dataset(climatology) as fields:
        here = Grid.of(fields)
    if not wrong and not here.same(about.grid):
        wrong = [f"{about.grid}, and the fields are on {here}"]
    for what, made_for, asked in (
        ("channels", about.channels, domain.channels),
        ("hours between frames", about.step_hours, domain.step_hours),
        ("edges", about.edges, [domain.latitude_edges, domain.longitude_edges]),
    ):
        if made_for != asked:
            wrong.append(f"{what} {made_for}, and the domain asks for {asked}")
    if settings.guidance.method == "fused" and not about.points:
        wrong.append("fields alone, without the levels of points (train.points.share) that guidance 'fused' needs")
    if wrong:
        raise UserError(f"{path} was trained for {'; for '.join(wrong)}; train again, or name the prior of this domain")
    return trained


def _outside(grid: Grid, domain: Scope) -> list[str]:
    """Where the grid of a prior reaches beyond the region of a domain (a source may end before the region does)."""
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


def _scaled_apart(own: Scaling, here: Scaling) -> str:
    """What a prior's own scaling has in other numbers than the run's; nothing if they are the same."""
    parts = {"climatology": (own.coefficients, here.coefficients), "spread": (own.spread, here.spread)}
    names = [name for name, (a, b) in parts.items() if np.shape(a) != np.shape(b) or not np.allclose(a, b)]
    return f"its {' and '.join(names)} differ from those of this run's training period" if names else ""


def _sha256(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in paths)).hexdigest()
