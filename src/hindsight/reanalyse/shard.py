"""One shard of frames and one block of members: sampled with a halo on both sides, which is then thrown away."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hindsight import __version__
from hindsight import prior as priors
from hindsight.diffusion import composed, frame_random, noise, sampler
from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.plan import noise_plan
from hindsight.errors import UserError
from hindsight.fields import analyses, calendar, shards
from hindsight.fields import observations as tables
from hindsight.prior import Prior
from hindsight.progress import Progress
from hindsight.reanalyse.conditions import observed
from hindsight.settings import Domain, Product, Reanalyse


def run(
    domain: Domain,
    product: Product,
    settings: Reanalyse,
    *,
    prior: Path,
    observations: Path,
    shard: str,
    block: str,
    analysis: Path,
) -> None:
    """Sample one shard of frames for one block of members."""
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    trained = _load(prior, domain, settings)
    times, own = stretch(domain, product, settings, shard)
    table = _table(observations, times)
    members = members_of(int(block), product)
    watch = Progress(f"reanalyse.shard {shard}", settings.steps)
    values = reanalyse(trained, times, table, members, product.seed, settings, watch)
    attributes = {
        "analysis": "diffusion",
        "regime": settings.regime,
        "steps": settings.steps,
        "seed": product.seed,
        "hindsight": __version__,
        "prior": _sha256(prior),
        "observations": _sha256(observations),
    }
    analyses.write(values[:, own], members, times[own], domain.channels, trained.about.grid, attributes, analysis)


def members_of(block: int, product: Product) -> list[int]:
    """Numbers of the members of a block."""
    first = block * product.member_block
    return list(range(first, min(first + product.member_block, product.members)))


def stretch(domain: Domain, product: Product, settings: Reanalyse, name: str) -> tuple[np.ndarray, slice]:
    """Times of a shard with its halo, and which of them are the shard's own; the halo ends where the period does."""
    shard = shards.named(name, domain, product)
    times = shard.times(domain.step_hours, settings.halo)
    inside = (times >= np.datetime64(domain.test.start)) & (times <= np.datetime64(domain.test.end))
    before = int(inside[: settings.halo].sum())
    return times[inside], slice(before, before + shard.frames)


def reanalyse(
    prior: Prior,
    times: np.ndarray,
    table: pd.DataFrame,
    members: list[int],
    seed: int,
    settings: Reanalyse,
    watch: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """Sample members of a stretch of frames, given its observations.

    Args:
        prior: trained.
        times: of the frames, T.
        table: the observations that may be used.
        members: their numbers, E.
        seed: of the product.
        settings: regime, steps and levels.
        watch: told of steps done.

    Returns:
        Physical fields, (E, T, C, H, W).
    """
    about, device = prior.about, prior.maps.device
    seen = observed(table, times, about.channels, about.grid, prior.scaling)
    seen = dataclasses.replace(seen, **{name: value.to(device) for name, value in vars(seen).items()})
    guidance = Analytic(prior.process, seen, settings.solver_tolerance, settings.solver_iterations)
    frames = calendar.frame_number(times, about.step_hours)
    windows = composed.starts(int(frames[0]), len(frames), about.window, settings.stride)
    told = priors.conditions(times).to(device)

    def white(row: int, purpose: str, size: int = prior.process.size) -> torch.Tensor:
        return frame_random.normal(seed, members, frames, row, purpose, size).to(device)

    def denoise(noisy: torch.Tensor, posterior: Posterior) -> torch.Tensor:
        return prior.denoise_stretch(noisy, posterior, told, windows, settings.batch)

    def draw(denoised: torch.Tensor, posterior: Posterior, row: int) -> torch.Tensor:
        return guidance.draw(denoised, posterior, white(row, "state"), white(row, "observation", seen.value.shape[1]))

    plan = noise_plan(len(frames), settings.steps, delay=0)
    sigma = noise.levels(settings.steps, settings.sigma_min, settings.sigma_max, settings.rho)
    sample = sampler.sample(prior.process, denoise, draw, plan, sigma, white, watch)
    fields = sample.cpu().numpy().reshape(len(members), len(times), -1, *about.grid.shape)
    return prior.scaling.restore(fields, times)


def _load(path: Path, domain: Domain, settings: Reanalyse) -> Prior:
    """Load a prior and refuse one that was made for something else."""
    trained = priors.load(path, priors.device(settings.device))
    for what, made_for, asked in (
        ("channels", trained.about.channels, domain.channels),
        ("hours between frames", trained.about.step_hours, domain.step_hours),
    ):
        if made_for != asked:
            raise UserError(f"{path} was trained for {what} {made_for}, and the domain asks for {asked}; train again")
    return trained


def _table(path: Path, times: np.ndarray) -> pd.DataFrame:
    return tables.usable(tables.read(path, times[0], times[-1]))


def _sha256(path: Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
