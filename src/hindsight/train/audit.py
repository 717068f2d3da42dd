"""Audit the prior for memorisation: does it treat frames of its training period differently from held-out ones?"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch

from hindsight import __version__, machine
from hindsight import prior as priors
from hindsight import steering as steerings
from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.frames import Frames
from hindsight.progress import Progress
from hindsight.scores import memorisation
from hindsight.settings import Train
from hindsight.settings.domain import TrainingDomain
from hindsight.settings.train import Audit
from hindsight.train import audit_figure, responses
from hindsight.train.windows import Windows

T = TypeVar("T")
LEVELS = (0.05, 0.3, 1.0, 3.0)  # of the noise; representations are judged at the first
AWAY = 2  # windows between a frame and its nearest training frame, at least
COPY = 0.1  # of the median distance of a training frame to its nearest; below it a held-out frame is a copy
LISTED = 10  # pairs of frames in the file
BLOCK = 256  # frames read at once
ROOM = 500e6  # bytes for the fields of frames whose neighbours are sought
NAMES = {  # what a prior is judged by
    "deviation": "standard deviation of the representation",
    "peakedness": "L4 / L2 ratio of the representation",
    "skill": "skill beside the linear prior",
}


@dataclass(frozen=True)
class Periods(Generic[T]):
    """What holds for the training period, and for the held-out one: `Responses`, or arrays of a statistic."""

    training: T
    held_out: T

    def auroc(self: "Periods[np.ndarray]") -> dict[str, float | None]:
        """AUROC of the training period over the held-out one, with its interval."""
        lower, upper = memorisation.auroc_interval(self.training, self.held_out)
        value = memorisation.auroc(self.training, self.held_out)
        return {"auroc": value, "lower": _or_none(lower), "upper": _or_none(upper)}


def run(
    domain: TrainingDomain, settings: Train, *, prior: Path, fields: Path, audit: Path, figure: Path, steering: Path
) -> None:
    """Audit the prior for memorisation: compare training frames with held-out ones; stop above a limit."""
    machine.compute_reproducibly(settings.threads)
    trained = priors.load(prior, machine.device(settings.device))
    seen, held_out = (_windows(domain, settings, name, trained, fields) for name in ("train", "validation"))
    check_held_out(prior, trained, held_out.times)
    periods = respond(trained, seen, held_out, settings)
    found = measure(trained, seen, held_out, settings, periods)
    print("\n".join(found["findings"]), flush=True)
    reason = refusal(found, settings.audit.limit)
    refused_paths = [path.with_suffix(f".refused{path.suffix}") for path in (audit, figure)]
    for path in refused_paths:
        path.unlink(missing_ok=True)
    text, picture = refused_paths if reason else (audit, figure)
    audit_figure.draw(found, picture)
    store.replace(text, lambda partial: partial.write_text(json.dumps(found, indent=1) + "\n"))
    if reason:
        raise UserError(f"{prior}: {reason} ({text} and {picture.name} have the figures)")
    steerings.save(directions(periods), hashlib.sha256(prior.read_bytes()).hexdigest(), steering)


def _windows(domain: TrainingDomain, settings: Train, split: str, prior: priors.Prior, fields: Path) -> Windows:
    """The windows of a split in the scaling of the prior."""
    frames = Frames(fields, domain.splits[split], prior.scaling, settings.cache_mb)
    return Windows(frames.times, frames, prior.metadata.window, split.replace("train", "training"), frames.segment)


def check_held_out(path: Path, prior: priors.Prior, times: np.ndarray) -> None:
    """Refuse a prior that was trained on frames which count as held out here.

    Raises:
        UserError: with the first of them.
    """
    seen = calendar.within(times, prior.metadata.trained_on)
    if seen.any():
        first = np.datetime_as_string(times[seen][0], "m")
        raise UserError(
            f"{path} was trained on {seen.sum()} of the {len(times)} frames of the validation period, the first at"
            f" {first}, so they are not held out; move domain.validation, or train again"
        )


def respond(prior: priors.Prior, training: Windows, held_out: Windows, settings: Train) -> Periods[responses.Responses]:
    """The responses of a prior to windows of both periods.

    Args:
        prior: the prior.
        training: windows of the training period.
        held_out: windows of a period that the prior has not been trained on.
        settings: of training and of the audit.
    """
    chosen = responses.choose(training, held_out, settings.audit.windows, settings.seed)
    at_once = max(1, settings.batch // (settings.processes * settings.accumulate))
    each = len(chosen[0]) * len(LEVELS)
    progress = Progress("train.audit", 2 * each, "windows")
    to = partial(responses.measure, prior, levels=LEVELS, seed=settings.seed, at_once=at_once)
    return Periods(
        to(training, chosen[0], watch=progress),
        to(held_out, chosen[1], watch=lambda done: progress(each + done)),
    )


def directions(periods: Periods) -> dict[str, torch.Tensor]:
    """By tap, the mean features of held-out frames minus those of training frames at the first noise level."""
    held_out, training = periods.held_out.means, periods.training.means
    mean = lambda values: torch.tensor(values[0].mean((0, 1)), dtype=torch.float32)
    return {tap: mean(held_out[tap]) - mean(training[tap]) for tap in held_out}


def measure(
    prior: priors.Prior, training: Windows, held_out: Windows, settings: Train, periods: Periods
) -> dict[str, object]:
    """Every figure of the audit, as in its file.

    Args:
        prior: the prior.
        training: windows of the training period.
        held_out: windows of a period that the prior has not been trained on.
        settings: of training and of the audit.
        periods: responses of the prior to windows of both.
    """
    summary = {
        "version": __version__,
        "trained_on": prior.metadata.trained_on,
        "held_out": calendar.segment_ends(held_out.times, held_out.segment),
        "windows": len(periods.training.times),
        "window": prior.metadata.window,
        "judged": judge(periods),
        "levels": [at_level(periods, k) for k in range(len(LEVELS))],
        "neighbours": {
            "features": neighbours_in_features(periods, prior.metadata),
            "fields": neighbours_in_fields(training, held_out, prior.metadata, settings.audit),
        },
        "deviation": quantiles(representation_statistics(periods, 0)["deviation"]),
    }
    return summary | {"findings": findings(summary)}


def representation_statistics(periods: Periods, level: int) -> dict[str, Periods]:
    """Deviation and peakedness of the representation of each frame, (N, T) in both periods, at a noise level.

    Each is the mean over the taps, whose values are divided by their own mean over all frames.
    """
    return {
        name: Periods(*np.mean([_to_mean(*_at_tap(periods, tap, level, name)) for tap in periods.training.features], 0))
        for name in ("deviation", "peakedness")
    }


def _at_tap(periods: Periods, tap: str, level: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    statistic = getattr(memorisation, name)
    return statistic(periods.training.features[tap][level]), statistic(periods.held_out.features[tap][level])


def _to_mean(*values: np.ndarray) -> np.ndarray:
    stacked = np.stack(values)
    return stacked / max(stacked.mean(), np.finfo(float).tiny)


def judge(periods: Periods) -> dict[str, dict]:
    """AUROC of the statistics that a prior is judged by: representations at the first level, skill over all levels.

    The skill of a window is its mean over the levels, each in units of the standard deviation over all windows, so that
    a level at which windows differ widely does not hide another.
    """
    values = representation_statistics(periods, 0) | {"skill": mean_skill(periods)}
    return {name: both.auroc() for name, both in values.items()}


def mean_skill(periods: Periods) -> Periods:
    """Skill of each window over all levels, (N, 1) in both periods."""
    skills = periods.training.skill, periods.held_out.skill
    size = np.maximum(np.concatenate(skills, 1).std(1), np.finfo(float).tiny)[:, None]
    return Periods(*((skill / size).mean(0)[:, None] for skill in skills))


def at_level(periods: Periods, level: int) -> dict:
    """What both periods show at one noise level."""
    one = lambda name: Periods(*(getattr(of, name)[level][:, None] for of in (periods.training, periods.held_out)))
    linear, skill = one("linear_error"), one("skill")
    root = lambda both: {name: float(np.sqrt(np.mean(getattr(both, name)))) for name in ("training", "held_out")}
    return {
        "sigma": LEVELS[level],
        "error": root(one("error")),
        "linear_error": root(linear),
        "excess": float(np.exp(skill.training.mean() - skill.held_out.mean())),
        "skill": skill.auroc(),
        "linear": Periods(-linear.training, -linear.held_out).auroc(),
        **{name: both.auroc() for name, both in representation_statistics(periods, level).items()},
        "taps": {
            tap: {name: memorisation.auroc(*_at_tap(periods, tap, level, name)) for name in ("deviation", "peakedness")}
            for tap in periods.training.features
        },
    }


def neighbours_in_features(periods: Periods, metadata: priors.Metadata) -> dict:
    """Distance to the nearest of the training frames in the audit, in features of all taps at the first level."""
    size = {tap: np.sqrt(np.mean(np.square(value[0]))) or 1.0 for tap, value in periods.training.features.items()}
    joined = lambda of: np.concatenate([of.features[tap][0] / size[tap] for tap in size], -1)
    base, others = (joined(of).reshape(of.times.size, -1) for of in (periods.training, periods.held_out))
    times, held = (_hours(of.times.ravel()) for of in (periods.training, periods.held_out))
    near = [memorisation.nearest(x, t, [(base, times)], _away(metadata))[0] for x, t in ((base, times), (others, held))]
    return _ratio(*map(np.sqrt, near))


def neighbours_in_fields(training: Windows, held_out: Windows, metadata: priors.Metadata, settings: Audit) -> dict:
    """Distance of frames to the nearest training frame, and the held-out frames that are nearest to one.

    It does not depend on the network: a ratio far from 1 says that the periods differ, and one pair far below all
    others that a held-out frame is a copy of a training frame.
    """
    base = evenly_spaced(training, settings.frames)
    asked = [evenly_spaced(windows, min(settings.frames, room(training))) for windows in (training, held_out)]
    queries = [
        (gather(windows, frames), _hours(windows.times[frames])) for windows, frames in zip((training, held_out), asked)
    ]
    square, when = zip(*(memorisation.nearest(*query, _blocks(training, base), _away(metadata)) for query in queries))
    typical, values = float(np.median(np.sqrt(square[0]))), queries[1][0]
    order = np.argsort(square[1], kind="stable")[:LISTED]
    order = order[np.isfinite(square[1][order])]
    partners = np.searchsorted(_hours(training.times), when[1][order])
    exact = np.linalg.norm(values[order] - gather(training, partners), axis=1) / typical
    return _ratio(*map(np.sqrt, square)) | {
        "compared": {"training": len(base), "of": int((training.segment >= 0).sum()), "held_out": len(asked[1])},
        "copies": int((np.sqrt(square[1]) < COPY * typical).sum()),
        "closest": [
            {
                "held_out": _minute(held_out.times[asked[1][q]]),
                "training": _minute(training.times[p]),
                "distance": float(d),
            }
            for q, p, d in zip(order, partners, exact)
        ],
    }


def evenly_spaced(windows: Windows, count: int) -> np.ndarray:
    """Numbers of at most `count` available frames, evenly spread over the period."""
    available = np.flatnonzero(windows.segment >= 0)
    return available[np.arange(min(count, len(available))) * len(available) // min(count, len(available))]


def room(windows: Windows) -> int:
    """Number of frames whose fields may be held in memory."""
    return max(1, int(ROOM // windows.read(0, 1).nbytes))


def gather(windows: Windows, frames: np.ndarray) -> np.ndarray:
    """Fields of some frames, (n, D)."""
    read = [windows.read(int(frame), int(frame) + 1) for frame in frames]
    return np.concatenate(read) if read else windows.read(0, 1)[:0]


def _blocks(windows: Windows, frames: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Fields and times of frames, some at once."""
    for first in range(0, len(windows.times), BLOCK):
        inside = frames[(frames >= first) & (frames < first + BLOCK)]
        if len(inside):
            values = windows.read(int(inside[0]), int(inside[-1]) + 1)[inside - inside[0]]
            yield values, _hours(windows.times[inside])


def _ratio(training: np.ndarray, held_out: np.ndarray) -> dict[str, float | None]:
    """Medians of distances to the nearest training frame, and their ratio; none where no frame is far enough away."""
    medians = [float(np.median(values)) for values in (training, held_out)]
    ratio = medians[1] / medians[0] if medians[0] > 0 else np.nan
    return dict(zip(("training", "held_out", "ratio"), map(_or_none, (*medians, ratio))))


def _away(metadata: priors.Metadata) -> float:
    return AWAY * metadata.window * metadata.step_hours


def _hours(times: np.ndarray) -> np.ndarray:
    return (times - np.datetime64("1970-01-01")) / np.timedelta64(1, "h")


def _minute(time: np.datetime64) -> str:
    return str(np.datetime_as_string(time, "m"))


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def quantiles(periods: Periods) -> dict[str, list[float]]:
    """Values of each period below which 0, 1, … 100 % of its frames lie, for the figure."""
    at = np.linspace(0, 1, 101)
    return {name: np.quantile(getattr(periods, name), at).tolist() for name in ("training", "held_out")}


def findings(result: dict) -> list[str]:
    """What the audit found, a sentence each."""
    worst = max(result["levels"], key=lambda level: level["excess"])
    near = result["neighbours"]
    ratios = [f"{near[name]['ratio']:.2f} in {name}" for name in near if near[name]["ratio"] is not None]
    copies = near["fields"]["copies"]
    return [
        "AUROC of training over held-out frames (0.5: no difference): "
        + "; ".join(f"{name}, {in_words(result['judged'][key])}" for key, name in NAMES.items()),
        f"relative to the linear prior, the error of held-out windows is at most {worst['excess']:.3f} times that of"
        f" training windows (at noise level {worst['sigma']:g})",
        "distance to the nearest training frame, of held-out over that of training frames: " + ", ".join(ratios),
        *([_copies(copies, near["fields"]["closest"][0])] if copies else []),
    ]


def _copies(count: int, pair: dict) -> str:
    return (
        f"{count} held-out frames are nearly copies of training frames, such as {pair['held_out']} of"
        f" {pair['training']}, so they are not held out; look for repeated files or times in the source"
    )


def in_words(value: dict) -> str:
    """An AUROC and its interval."""
    interval = f" ({value['lower']:.2f} to {value['upper']:.2f})" if value["lower"] is not None else ""
    return f"{value['auroc']:.2f}{interval}"


def refusal(result: dict, limit: float | None) -> str:
    """Why a prior is refused; empty if it is not.

    An AUROC above the limit counts unless its interval contains 0.5.
    """
    sure = lambda value: value["auroc"] > (limit or 1) and (value["lower"] is None or value["lower"] > 0.5)
    above = {key: value for key, value in result["judged"].items() if sure(value)}
    if limit is None or not above:
        return ""
    what = "; ".join(f"{NAMES[key]}: {in_words(value)}" for key, value in above.items())
    linear = max(level["linear"]["auroc"] for level in result["levels"])
    return (
        f"the prior tells training frames from held-out ones by an AUROC above train.audit.limit ({limit:g}): {what}."
        f" It has memorised, or the periods differ in kind (the errors of the linear prior alone give an AUROC of up to"
        f" {linear:.2f}); take fewer steps, a smaller network or dropout, or a longer domain.train; or raise the limit"
    )
