"""What baselines share: the rows of a shard, those of some frames, random draws, and the loop over frames."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from hindsight.fields import intervals, perturbations
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling, extremes
from hindsight.operators.rows import Rows, gross_error_note, normalise, reject_gross_errors
from hindsight.progress import Progress
from hindsight.settings import Ensemble, TrainingDomain


class Method(Protocol):
    """A method that analyses one frame at a time."""

    def members(self, rows: Rows, time: np.datetime64, step_hours: float, product: Ensemble) -> np.ndarray:
        """Members of the analysis of one frame, (E, D), normalised."""
        ...


def analyse(
    name: str, method: Method, rows: Rows, times: np.ndarray, step_hours: float, product: Ensemble
) -> np.ndarray:
    """Members of the analyses of all frames of a shard, (E, T, D), normalised; `name` is for the progress."""
    watch, found = Progress(f"baselines.{name}", len(times), "frames"), []
    for time in times:
        found.append(method.members(rows, time, step_hours, product).astype(np.float32))
        watch(len(found))
    return np.stack(found, 1)


def read_rows(
    domain: TrainingDomain,
    grid: Grid,
    scaling: Scaling,
    *,
    statistics: Path,
    observations: list[Path],
    times: np.ndarray,
    halo: int,
) -> Rows:
    """The observations that a method may use, normalised: at the times of frames, and without gross errors.

    Args:
        domain: channels and time step.
        grid: of the state.
        scaling: climatology and spread.
        statistics: file with the range of each channel in the training period.
        observations: files of tables.
        times: of the shard's frames.
        halo: frames before and after the shard whose observations are used too.
    """
    around = halo * intervals.time_step(domain.step_hours)
    table = tables.usable(tables.read(observations, times[0] - around, times[-1] + around))
    table = _at_frames(table, times[0], domain.step_hours)
    table, gross = reject_gross_errors(table, domain.channels, grid, scaling, extremes(statistics), domain.step_hours)
    if len(gross):
        print(gross_error_note(gross, len(table) + len(gross)), flush=True)
    return normalise(table, domain.channels, grid, scaling, domain.step_hours)


def unused_note(rows: Rows, span: int) -> str:
    """How many rows depend on frames further apart than the `span` that are analysed at once; empty if none."""
    beyond = 0 if rows.offset is None else int((np.ptp(rows.offset, 1) >= span).sum())
    if not beyond:
        return ""
    return (
        f"{beyond} of {len(rows)} observations depend on more frames than are analysed at once and are not used; "
        "raise baselines.optimal_interpolation.frames"
    )


def of_frames(rows: Rows, first: np.datetime64, count: int, step_hours: float, size: int) -> Rows:
    """The rows that need only the given frames; their points are indices into the values of these, one after the other.

    Args:
        rows: of any frames.
        first: time of the first frame.
        count: number of frames.
        step_hours: between frames.
        size: values of a frame.
    """
    lag = np.round((rows.time - first) / intervals.time_step(step_hours)).astype(int)
    frames = lag[:, None] + (0 if rows.offset is None else rows.offset)
    inside = ((frames >= 0) & (frames < count)).all(1)
    rows = rows.each(lambda column: column[inside])
    return replace(rows, point=rows.point + frames[inside] * size)


def of_span(rows: Rows, time: np.datetime64, span: int, step_hours: float, size: int) -> Rows:
    """The same for the `span` frames around a time."""
    return of_frames(rows, time - span // 2 * intervals.time_step(step_hours), span, step_hours, size)


def draw(product: Ensemble, purpose: int, frame: int, size: int, antithetic: bool = False) -> np.ndarray:
    """Standard normal numbers of every member at a frame, (E, size): a function of seed, member, frame and purpose.

    `antithetic`: an odd member has the numbers of the one before it with the opposite sign.
    """
    drawn = np.stack([generator.standard_normal(size) for generator in generators(product, purpose, frame)])
    members, signs = perturbations.in_pairs(range(product.members), antithetic)
    return drawn[members] * signs[:, None]


def generators(product: Ensemble, purpose: int, frame: int) -> list[np.random.Generator]:
    """Random numbers of every member at a frame: streams that depend on seed, member, frame and purpose."""
    counters = ([0, frame, member, purpose] for member in range(product.members))
    return [np.random.Generator(np.random.Philox(key=product.seed, counter=counter)) for counter in counters]


def _at_frames(table: pd.DataFrame, first: np.datetime64, step_hours: float) -> pd.DataFrame:
    """The rows at the time of a frame."""
    away = table["time"].to_numpy("datetime64[ns]") - first
    return table[away % intervals.time_step(step_hours) == np.timedelta64(0)]
