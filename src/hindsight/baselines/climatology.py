"""Climatology: members drawn from the training years at the same time of year, without observations."""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight import __version__
from hindsight.errors import UserError
from hindsight.fields import analyses, calendar, intervals, store
from hindsight.fields.grid import Grid
from hindsight.settings import Baselines, Ensemble, TrainingDomain

PURPOSE = 2 << 32  # constant of this module's random numbers, so that no two methods share any


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
) -> None:
    """Draw an ensemble from the training years at the same time of year, without observations."""
    dataset = store.read(fields)
    training = calendar.in_period(dataset, domain.train, str(store.folder(fields)))
    times = intervals.parse(shard, domain.step_hours).times
    members = list(range(product.members))
    available = np.flatnonzero(calendar.available(training))
    chosen = available[
        draw(training["time"].values[available], times, len(members), settings.climatology.days, product.seed)
    ]
    unique, back = np.unique(chosen, return_inverse=True)
    values = training["fields"][unique].values[back.reshape(chosen.shape)]
    attributes = {"analysis": "climatology", "seed": product.seed, "hindsight": __version__}
    analyses.write(values, members, times, domain.channels, Grid.of(dataset), attributes, analysis)


def draw(training: np.ndarray, times: np.ndarray, members: int, days: int, seed: int) -> np.ndarray:
    """Draw training frames near the same time of year, at the same hour, without replacement.

    Returns:
        Indices into `training`, shape (members, T).

    Raises:
        UserError: if the training period has fewer candidates than there are members.
    """
    phase, hour = calendar.year_phase(training), pd.DatetimeIndex(training).hour
    chosen = np.empty((members, len(times)), int)
    for t, time in enumerate(times):
        away = np.abs((phase - calendar.year_phase(times[t : t + 1]) + 0.5) % 1 - 0.5) * 365.2425
        candidates = np.flatnonzero((away < days + 0.5) & (hour == pd.Timestamp(time).hour))
        if len(candidates) < members:
            raise UserError(
                f"the training period has {len(candidates)} available frames within {days} days of "
                f"{pd.Timestamp(time):%d %B}, and the ensemble has {members} members; raise "
                "baselines.climatology.days"
            )
        counter = [0, int(calendar.time_key(time)), 0, PURPOSE]
        generator = np.random.Generator(np.random.Philox(key=seed, counter=counter))
        chosen[:, t] = generator.permutation(candidates)[:members]
    return chosen
