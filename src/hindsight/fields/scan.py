"""Find suspect values in a series of fields, such as errors that published archives have had for years.

It detects constant fields, regions that stand still, a polar wind that does not turn with longitude, single frames
unlike both neighbours, and frames where packing broke. `summarise` takes a few numbers of every frame and level, from
some thousand points, while the values are in memory for another purpose. `concatenate` puts the summaries of
consecutive blocks together. `detect` compares every frame with what is usual in the series. It uses medians, so that
errors do not set their own threshold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

POINTS, SHARE = 1024, 16  # points of a frame that are examined: this number, or one in 16 where that is more
SORTED = 256  # of these, points among which equal values are counted
ENOUGH = 24  # frames that it takes to say what is usual
NEAR_POLE = 1.5  # spacings between a pole and the row that counts as polar, at most
TURN = 90.0  # degrees of longitude that a row must cover to show whether a vector turns
FACTOR, SPREADS = 3.0, 6.0  # an outlier exceeds 3 times the median, and by 6 robust standard deviations in logarithms
APART = 2.0  # and departs from its neighbours twice as far as they differ from each other
JUMP = 0.5  # of the variable's whole range: the least change at one point, from one frame to the next, that is a jump
MODE_EXCESS, MODE_COUNT = 0.04, 16  # least excess of the most frequent number's share over the median; least count
DUPLICATES = 0.6  # least share of values equal to an earlier one; of 256 normal values at steps of 1/28 of their spread
DUPLICATES_EXCESS = 0.2  # least excess of that share over its median
STILL_EXCESS = 0.04  # least excess of the share of points that do not change over its median
JUDGED = 64  # values that it takes to say how they are rounded
COMMON = 0.3  # shares with a larger median belong to the source, and are not judged
NORMAL = 1.4826  # median absolute deviations in a standard deviation of a normal distribution
KINDS = ("constant", "repeated", "polar", "outlier", "packing", "stuck", "jump", "rounding")


@dataclass(frozen=True)
class Summary:
    """A few numbers of every frame and level, each (T, L); a "level" is any of the fields that a frame consists of.

    All but `south` and `north` are computed from the examined points.

    Attributes:
        times: of the frames, (T,).
        lowest: least value.
        highest: largest value.
        change: largest difference from the frame before; NaN without one.
        departure: mean departure from the mean of the frames before and after; NaN at the ends.
        departure_max: the largest departure.
        contrast: mean difference between the frames before and after; NaN at the ends.
        contrast_max: the largest difference.
        still: share of values equal to those of the frame before; NaN without one.
        duplicates: share of values equal to an earlier one: 1 minus the number of different values over that of all.
        mode: share of values equal to the most frequent one.
        south: whether the row nearest the South Pole is constant and not zero.
        north: the same at the North Pole.
        points: indices (P,) of the examined points among the H * W.
        edges: values (4, L, P) of the first two and the last two frames, for `concatenate`; fewer of fewer frames.
    """

    times: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    change: np.ndarray
    departure: np.ndarray
    departure_max: np.ndarray
    contrast: np.ndarray
    contrast_max: np.ndarray
    still: np.ndarray
    duplicates: np.ndarray
    mode: np.ndarray
    south: np.ndarray
    north: np.ndarray
    points: np.ndarray
    edges: np.ndarray

    def write(self, path: Path) -> None:
        """Write to a file in NumPy's format."""
        with path.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """Read a file that `write` wrote; those of hindsight 0.1.0 have no `still`."""
        with np.load(path) as found:
            values = dict(found)
        return cls(**{"still": np.full_like(values["change"], np.nan)} | values)

    def select(self, frames: np.ndarray) -> "Summary":
        """The summary of some frames, given as (T,) of bool; `detect` takes it, `concatenate` does not."""
        return Summary(**{name: value if name in OVERALL else value[frames] for name, value in vars(self).items()})


OVERALL = ("points", "edges")  # attributes that have no axis of frames


@dataclass(frozen=True)
class Finding:
    """Suspect frames of one level: their indices, rising; `usual` if most frames are of this kind."""

    kind: str
    level: int
    frames: np.ndarray
    usual: bool


def summarise(values: np.ndarray, times: np.ndarray, latitude: np.ndarray | None = None, span: float = 0.0) -> Summary:
    """Summarise consecutive frames.

    Args:
        values: (T, L, H, W).
        times: (T,).
        latitude: of the rows (H,) if the variable is a component of a vector on the sphere, otherwise none.
        span: degrees of longitude that a row covers.
    """
    chosen = _points(values[:1].reshape(-1, *values.shape[2:]))
    points = values.reshape(*values.shape[:2], -1)[:, :, chosen].astype(np.float32, copy=False)
    south, north = (_one_number(values, row) for row in _polar_rows(latitude, span))
    return Summary(
        times,
        points.min(-1),
        points.max(-1),
        **_differences(points),
        **_equal(points[:, :, :: _stride(chosen)]),
        south=south,
        north=north,
        points=chosen,
        edges=points if len(points) <= 4 else points[[0, 1, -2, -1]],
    )


def concatenate(summaries: Sequence[Summary]) -> Summary:
    """The summary of consecutive blocks of frames, as if they had been summarised at once."""
    names = [name for name in Summary.__annotations__ if name not in OVERALL]
    whole = {name: np.concatenate([getattr(one, name) for one in summaries]) for name in names}
    first, before = 0, summaries[0]
    for number, one in enumerate(summaries):
        if number and np.array_equal(one.points, before.points):
            tail = before.edges[-2:]
            for name, value in _differences(np.concatenate([tail, one.edges[:2]])).items():
                old, new = whole[name][first - 1 : first + 1], value[len(tail) - 1 : len(tail) + 1]
                old[...] = np.where(np.isnan(old), new, old)  # of the last frame before, and of the first frame here
            if len(one.times) == 1:
                one = replace(one, edges=np.concatenate([tail, one.edges])[-2:])
        first, before = first + len(one.times), one
    head = summaries[0].edges[:2]
    # the first block may have no values at the points of the last
    if not np.array_equal(summaries[0].points, before.points):
        head = np.full((len(head), *before.edges.shape[1:]), np.nan, np.float32)
    return Summary(**whole, points=before.points, edges=np.concatenate([head, before.edges[-2:]]))


def detect(summary: Summary, breaks: Iterable[np.datetime64] = ()) -> list[Finding]:
    """Suspect frames of every level.

    Args:
        summary: frames in order of time.
        breaks: times of frames that do not continue the weather of the frame before.
    """
    begins = _begins(summary, breaks)
    return [finding for level in range(summary.lowest.shape[1]) for finding in _of_level(summary, level, begins)]


def _of_level(summary: Summary, level: int, begins: np.ndarray) -> list[Finding]:
    one = {name: value[:, level] for name, value in vars(summary).items() if name not in (*OVERALL, "times")}
    flat, change = one["lowest"] == one["highest"], np.where(begins, np.nan, one["change"])
    ends = begins | np.append(begins[1:], True)
    outlier = np.zeros(len(flat), bool)
    for size, contrast in (("departure", "contrast"), ("departure_max", "contrast_max")):
        outlier |= _unusual(np.where(ends, np.nan, one[size])) & (one[size] > APART * one[contrast])
    span = np.nanmax(one["highest"], initial=-np.inf) - np.nanmin(one["lowest"], initial=np.inf)
    found = {
        "constant": flat,
        "repeated": (change == 0) & ~flat,
        "polar": (one["south"] | one["north"]) & ~flat,
        "outlier": outlier & ~flat,
        "packing": _packing(one, ~flat, len(summary.points[:: _stride(summary.points)])),
    }
    suspect = np.any([*found.values()], 0)
    after = np.append(False, suspect[:-1])
    found["jump"] = _unusual(change) & (change > JUMP * span) & ~suspect & ~after
    coarser = _above(one["duplicates"], ~flat, DUPLICATES_EXCESS)
    found["stuck"] = _stuck(np.where(begins, np.nan, one["still"]), len(summary.points)) & ~suspect & ~flat & ~coarser
    found["rounding"] = ~suspect & ~flat & coarser & (len(summary.points) >= JUDGED)
    return [
        Finding(kind, level, np.flatnonzero(where), bool(where.mean() > 0.5))
        for kind, where in found.items()
        if where.any()
    ]


def _unusual(values: np.ndarray) -> np.ndarray:
    """Whether each value lies far above the others, compared by logarithms; none does if they are few, nor does NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values.astype(float))
    finite = logs[np.isfinite(logs)]
    if len(finite) < ENOUGH:
        return np.zeros(len(values), bool)
    usual = np.median(finite)
    spread = NORMAL * np.median(np.abs(finite - usual))
    return logs > usual + max(np.log(FACTOR), SPREADS * spread)


def _packing(one: dict[str, np.ndarray], counted: np.ndarray, size: int) -> np.ndarray:
    """Whether, in each frame, many values are one number or all values are rounded to a few."""
    saturated = _above(one["mode"], counted, MODE_EXCESS) & (one["mode"] * size >= MODE_COUNT)
    rounded = (
        _above(one["duplicates"], counted, DUPLICATES_EXCESS) & (one["duplicates"] >= DUPLICATES) & (size >= JUDGED)
    )
    return (saturated | rounded) & counted


def _stuck(still: np.ndarray, size: int) -> np.ndarray:
    """Whether, in each frame, many values are those of the frame before."""
    return _above(still, np.isfinite(still), STILL_EXCESS) & (still * size >= MODE_COUNT)


def _above(share: np.ndarray, counted: np.ndarray, least: float) -> np.ndarray:
    """Whether the share of each frame lies far above its median over the frames that count."""
    if counted.sum() < ENOUGH:
        return np.zeros(len(share), bool)
    usual = np.median(share[counted])
    spread = NORMAL * np.median(np.abs(share[counted] - usual))
    return (share > usual + max(least, SPREADS * spread)) & (usual < COMMON)


def _begins(summary: Summary, breaks: Iterable[np.datetime64]) -> np.ndarray:
    """Whether each frame does not continue the one before, because of a gap or a break; (T,)."""
    step = np.diff(summary.times)
    gaps = step > step.min() if len(step) else np.zeros(0, bool)
    return np.append(True, gaps) | np.isin(summary.times, np.array(list(breaks), "datetime64[ns]"))


def _points(frames: np.ndarray) -> np.ndarray:
    """Indices of points spread evenly over the grid, of those with values in all fields of a frame."""
    height, width = frames.shape[1:]
    every = -(-height * width // max(POINTS, height * width // SHARE))
    down = int(np.sqrt(every))
    rows, columns = np.arange(0, height, down), np.arange(0, width, -(-every // down))
    index = (rows[:, None] * width + columns).ravel()
    valid = ~np.isnan(frames.reshape(len(frames), -1)).any(0)
    if not valid[index].any() and valid.any():
        index = np.flatnonzero(valid)[::every]
    return index[valid[index]] if valid[index].any() else index


def _stride(points: np.ndarray) -> int:
    return -(-len(points) // SORTED)


def _equal(values: np.ndarray) -> dict[str, np.ndarray]:
    """The shares of values (T, L, n) that are equal to an earlier one, and that are the most frequent number."""
    ordered = np.sort(values)
    equal, place = ordered[..., 1:] == ordered[..., :-1], np.arange(1, ordered.shape[-1])
    run = place - np.maximum.accumulate(np.where(equal, 0, place), -1)  # number of equal values before each
    size = np.float32(ordered.shape[-1])
    return {
        "duplicates": np.count_nonzero(equal, axis=-1) / size,
        "mode": np.where(equal.any(-1), run.max(-1, initial=0) + 1, 0) / size,
    }


def _differences(points: np.ndarray) -> dict[str, np.ndarray]:
    """The differences in time that a `Summary` holds, of frames (T, L, P)."""
    found = {name: np.full(points.shape[:2], np.nan, np.float32) for name in DIFFERENCES}
    step = np.diff(points, axis=0)
    if len(step):
        found["change"][1:], found["still"][1:] = np.abs(step).max(-1), (step == 0).mean(-1)
    if len(step) > 1:
        for name, value in (("departure", (step[:-1] - step[1:]) / 2), ("contrast", step[:-1] + step[1:])):
            size = np.abs(value, out=value)
            found[name][1:-1], found[f"{name}_max"][1:-1] = size.mean(-1), size.max(-1)
    return found


DIFFERENCES = ("change", "departure", "departure_max", "contrast", "contrast_max", "still")


def _polar_rows(latitude: np.ndarray | None, span: float) -> tuple[int | None, int | None]:
    """The rows nearest the South and the North Pole; none where they are too far away or too short."""
    if latitude is None or len(latitude) < 2 or span < TURN:
        return None, None
    reach, rows = NEAR_POLE * np.abs(np.diff(latitude)).max(), (int(latitude.argmin()), int(latitude.argmax()))
    return tuple(row if 90 - abs(latitude[row]) < reach else None for row in rows)


def _one_number(values: np.ndarray, row: int | None) -> np.ndarray:
    """Whether a row of fields (…, H, W) is one number other than zero; (T, L)."""
    if row is None:
        return np.zeros(values.shape[:2], bool)
    along = values[:, :, row]
    return (along == along[..., :1]).all(-1) & (along[..., 0] != 0)
