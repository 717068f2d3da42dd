"""Estimate observation errors by kind of measurement, channel and platform, from a period that is not scored.

Innovations d with the covariance S = H B H^T + R have the departures d_a = R S^-1 d from their analysis, and

    E[d_a d^T] = R                                                                (Desroziers et al. 2005)

if S is right. So the errors of each group of reports are multiplied by a factor until the mean of d_a d over the group
equals the assumed R. B is that of the linear prior, and is not estimated. A second estimate uses the departures r from
the estimate by the other series (a series is a station's channel), whose expected variance contains R: mean r^2 -
(expected variance) + (assumed R).

Nothing is changed: the step prints old errors beside new ones and writes settings that may be copied.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.linalg
import xarray as xr
import yaml

from hindsight.errors import UserError
from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.observe.channels import NAMES
from hindsight.observe.neighbours import Neighbours
from hindsight.operators.rows import normalise
from hindsight.prior import read_linear
from hindsight.progress import Progress
from hindsight.settings import RealReports, TrainingDomain
from hindsight.settings.quality import Measurement

GROUP = ["kind", "channel", "platform"]
COLUMNS = [*GROUP, "reports", "used_error", "error", "low", "high", "error_by_other_stations"]
FRAMES = 120  # of the period, evenly spread, whose reports are taken
FEWEST = 50  # reports in these frames for an estimate
ROUNDS, CLOSE = 40, 0.005  # iterations at most; relative change of errors at which they end
LEAST = 0.05  # least variance ratio of a round, where sampling errors make an estimate negative
BLOCK, DRAWS, LEVEL = 4, 1000, 0.95  # of the interval: frames resampled together, draws, share


class Frame(NamedTuple):
    """The reports of one frame and those around it: n rows, of which `inside` are the frame's."""

    around: np.ndarray
    inside: np.ndarray
    covariance: np.ndarray  # H B H^T, (n, n)


@dataclass(frozen=True)
class Sample:
    """Normalised reports of some frames, and the group of each row."""

    judge: Neighbours
    group: np.ndarray
    frames: list[Frame]

    def sums(self, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of d_a d and of the assumed R over the rows of each frame and group, (F, G) each.

        Args:
            factor: of the errors of each group, (G,).
        """
        found = np.zeros((2, len(self.frames), len(factor)))
        for number, frame in enumerate(self.frames):
            group, value = self.group[frame.around], self.judge.rows.value[frame.around]
            errors = self.judge.errors(frame.around, self.judge.rows.error[frame.around] * factor[group])
            solved = scipy.linalg.solve(frame.covariance + errors, value, assume_a="pos")
            product = errors @ solved * value
            for total, of in zip(found[:, number], (product, np.diagonal(errors))):
                np.add.at(total, group[frame.inside], of[frame.inside])
        return found[0], found[1]


def run(
    domain: TrainingDomain,
    settings: RealReports,
    *,
    screened: list[Path],
    linear_prior: Path,
    climatology: Path,
    statistics: Path,
    static: Path,
    errors: Path,
    measurements: Path,
) -> None:
    """Estimate the errors of reports from the validation period, and print them beside those that are used."""
    start, end = (np.datetime64(time) for time in (domain.validation.start, domain.validation.end))
    table = pd.concat([_between(path, start, end) for path in screened], ignore_index=True)
    if table.empty:
        raise UserError(
            f"there are no usable reports in the validation period ({start} to {end}), from which errors are "
            "estimated; name files of that period in observe.reports, or change domain.validation"
        )
    grid = Grid.of(xr.load_dataset(static))
    process, scaling = read_linear(linear_prior, climatology, statistics, grid)
    rows = normalise(table, domain.channels, grid, scaling, domain.step_hours)
    judge = Neighbours(process, settings.quality, table, rows, domain.step_hours)
    found = estimate(table, judge)
    store.replace(errors, lambda partial: found.to_csv(partial, index=False, float_format="%.5g"))
    proposed = as_settings(found, settings.measurements)
    store.replace(measurements, lambda partial: partial.write_text(proposed))
    print(found.to_string(index=False, float_format=lambda value: f"{value:.4g}"), file=sys.stdout)
    print(f"\nsettings with these errors, for observe.measurements:\n{proposed}", file=sys.stdout)


def _between(path: Path, start: np.datetime64, end: np.datetime64) -> pd.DataFrame:
    """The usable rows of a screened table within times."""
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the screened reports {path} ({error}); delete it and run snakemake") from None
    table = table.assign(**{name: value for name, value in tables.OPTIONAL.items() if name not in table})
    return table[(table["quality"] == 0) & table["time"].between(start, end)]


def estimate(table: pd.DataFrame, judge: Neighbours) -> pd.DataFrame:
    """Errors of each kind, channel and platform, the columns of `COLUMNS`, in the channels' units.

    Args:
        table: screened reports that are usable, (N,).
        judge: of the same rows.
    """
    names = pd.MultiIndex.from_frame(table[GROUP].astype(str))
    group, unique = pd.factorize(names, sort=True)
    sample = sample_frames(judge, group)
    counted = np.bincount(np.concatenate([group[f.around[f.inside]] for f in sample.frames]), minlength=len(unique))
    factor = factors(sample, counted >= FEWEST)
    low, high = interval(sample, factor, counted >= FEWEST)
    used = np.sqrt(table["error"].pow(2).groupby(group).mean().to_numpy())
    valid = np.where(counted >= FEWEST, 1.0, np.nan)
    found = pd.DataFrame([list(name) for name in unique], columns=GROUP)
    found = found.assign(reports=np.bincount(group), used_error=used, error=used * factor * valid)
    found = found.assign(low=used * low * valid, high=used * high * valid)
    return found.assign(error_by_other_stations=_from_others(table, group))


def sample_frames(judge: Neighbours, group: np.ndarray) -> Sample:
    """At most `FRAMES` frames, evenly spread over those with reports; of a very large one, a group of neighbours."""
    numbers, kept = np.unique(judge.frame), np.ones(len(judge.frame), bool)
    chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, FRAMES).round().astype(int))]
    groups, every = (next(judge.groups(int(number), kept)) for number in chosen), {}
    watch = Progress("observe.tune", len(chosen), "frames")
    for (own, around), covariance in judge.with_covariances(groups):
        every[judge.frame[own[0]]] = Frame(around, np.flatnonzero(np.isin(around, own)), covariance)
        watch(len(every))
    return Sample(judge, group, [every[number] for number in chosen])


def factors(sample: Sample, valid: np.ndarray) -> np.ndarray:
    """Factors (G,) of the errors at which Desroziers' estimate is what is assumed; 1 where not `valid`."""
    factor = np.ones(len(valid))
    for _ in range(ROUNDS):
        change = np.exp(_log_change(sample, factor, valid) / 2)
        factor = factor * change
        if np.abs(change - 1).max() < CLOSE:
            break
    return factor


def _log_change(sample: Sample, factor: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Logarithm of the estimated over the assumed variance of each group, (G,)."""
    product, assumed = (total.sum(0) for total in sample.sums(factor))
    ratio = np.where(valid, product / np.where(valid, assumed, 1.0), 1.0)
    return np.log(np.maximum(ratio, LEAST))


def interval(sample: Sample, factor: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of an interval of `LEVEL` of the factors, (G,) each, from blocks of frames drawn with replacement.

    A round maps the logarithms r of the assumed variances to those estimated, f(r). Where f(r) = r, an error e of f
    moves the fixed point by (I - J)^-1 e, J being the derivatives of f.
    """
    product, assumed = sample.sums(factor)
    blocks = np.array_split(np.arange(len(product)), max(1, len(product) // BLOCK))
    sums = np.stack([[part[block].sum(0) for block in blocks] for part in (product, assumed)])
    draws = np.random.default_rng(0).integers(len(blocks), size=(DRAWS, len(blocks)))
    total = np.where(valid, sums[:, draws].sum(2), 1.0)
    error = np.log(np.maximum(total[0] / total[1], LEAST))
    moved = np.linalg.solve(np.eye(len(factor)) - _slope(sample, factor, valid), error.T).T
    return tuple(factor * np.exp(np.quantile(moved, (1 + side * LEVEL) / 2, axis=0) / 2) for side in (-1, 1))


def _slope(sample: Sample, factor: np.ndarray, valid: np.ndarray, by: float = 0.1) -> np.ndarray:
    """Derivatives of the logarithm of the estimated variance of each group by that of each assumed one, (G, G)."""
    before, columns = _log_change(sample, factor, valid), []
    for number in range(len(factor)):
        assumed = np.where(np.arange(len(factor)) == number, by, 0.0)
        columns.append((_log_change(sample, factor * np.exp(assumed / 2), valid) + assumed - before) / by)
    slope = np.stack(columns, 1)
    return np.where(valid[:, None] & valid, slope, 0.0)


def _from_others(table: pd.DataFrame, group: np.ndarray) -> np.ndarray:
    """Errors (G,) by the departures from the other series; NaN where the variance would be negative."""
    squares = pd.DataFrame(
        {
            "found": table["from_others"] ** 2,
            "expected": table["from_others_spread"] ** 2,
            "used": table["error"] ** 2,
        }
    )
    mean = squares.groupby(group).mean()
    return np.sqrt((mean["found"] - mean["expected"] + mean["used"]).where(lambda variance: variance > 0)).to_numpy()


def as_settings(errors: pd.DataFrame, measurements: Sequence[Measurement]) -> str:
    """Settings of `observe.measurements` with the estimated errors, one entry for each kind and platform.

    Each has the other settings of the measurement that described it. `error` stands for all, representativeness and
    growth with time included; a kind that is measured on several levels gets the root mean square.

    Args:
        errors: from `estimate`.
        measurements: the settings so far.
    """
    valid = errors[errors["error"].notna() & (errors["kind"] != "")]
    entries = []
    for (kind, platform), part in valid.groupby(["kind", "platform"], sort=False):
        error = np.sqrt(np.average(part["error"] ** 2, weights=part["reports"]))
        given = _described(str(kind), str(platform), part["channel"], measurements)
        entries.append({"kind": kind, "platform": platform} | given | {"error": float(f"{error:.3g}")})
    return yaml.safe_dump({"measurements": entries}, default_flow_style=None, sort_keys=False, width=110)


def _described(kind: str, platform: str, channels: pd.Series, measurements: Sequence[Measurement]) -> dict:
    """Settings, besides errors, of the first measurement that fits a kind."""
    aloft = {name.rstrip("0123456789.") for name in channels}
    quantities = [
        kind,
        *(q for q, names in NAMES.items() if names.ground in {*channels} or names.aloft in aloft - {""}),
    ]
    fitting = (m for m in measurements if any(m.fits(kind, quantity, platform) for quantity in quantities))
    chosen = next(fitting, None)
    left_out = {"kind", "platform", "error", "representativeness", "error_per_hour"}
    return {} if chosen is None else chosen.model_dump(exclude_defaults=True, exclude=left_out)
