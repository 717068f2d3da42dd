"""Look for what users of published archives find late.

That is: constant fields, a polar wind that does not turn, lone frames that are wrong, bursts where packing breaks. A
few numbers of every frame and level are taken while its values pass by anyway (`look`), from some thousand points of
it, and put together over any stretches (`joined`). What is unusual is told at the end, when it is known what is usual
(`judged`), on a robust scale: medians, so that what is wrong does not set the measure that it is judged by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

POINTS, SHARE = 1024, 16  # points looked at of a frame: so many, or one of so many where that is more
SORTED = 256  # of them, among which equal values are counted
ENOUGH = 24  # frames without which nothing is usual
NEAR_POLE = 1.5  # rows that a row may be away from a pole
TURN = 90.0  # degrees of longitude without which nobody can tell whether a vector turns
FACTOR, SPREADS = 3.0, 6.0  # an outlier is so many times the median, and so many robust spreads of logarithms beyond it
APART = 2.0  # and so many times as far from both its neighbours as they are from each other
JUMP = 0.5  # of all that a variable ever ranges over, at one point, from one frame to the next
SAME, ONE = 0.04, 16  # values that are one number, above what is usual: their share, and at least so many
ROUNDED, ROUNDER = (
    0.6,
    0.2,
)  # share of values that others are equal to: then steps are 1/35 of the spread; above what is usual
JUDGED = 64  # values without which nobody can tell how they are rounded
COMMON = 0.3  # where the usual share is larger, it tells nothing
NORMAL = 1.4826  # standard deviations of a normal distribution in a median absolute deviation
KINDS = ("constant", "repeated", "polar", "lone", "packing", "jump", "rounder")


@dataclass(frozen=True)
class Seen:
    """What has been noted of frames, (T, L) each: L levels, or whatever a frame has more than one field of.

    All are of the points looked at: their range; how far they are from the frame before (`change`, the most), from the
    mean of their neighbours (`aside`, the mean and the most), and these from each other (`apart`), NaN where there is
    no such neighbour; the share of values that others are equal to (`repeats`), and that are one number (`same`).
    `south` and `north` tell whether the row nearest a pole is one number.
    """

    times: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    change: np.ndarray
    aside: np.ndarray
    aside_most: np.ndarray
    apart: np.ndarray
    apart_most: np.ndarray
    repeats: np.ndarray
    same: np.ndarray
    south: np.ndarray
    north: np.ndarray
    points: np.ndarray  # (P,), which of the H * W
    edges: np.ndarray  # (4, L, P), the first and the last two frames, to join by; fewer where there are fewer

    def write(self, path: Path) -> None:
        """Write it as a file of NumPy's."""
        with path.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def read(cls, path: Path) -> "Seen":
        """What `write` wrote."""
        with np.load(path) as found:
            return cls(**found)

    def of(self, wanted: np.ndarray) -> "Seen":
        """Some of the frames, (T,) of bool; to be judged, not joined."""
        return Seen(**{name: value if name in AROUND else value[wanted] for name, value in vars(self).items()})


AROUND = ("points", "edges")


@dataclass(frozen=True)
class Finding:
    """Frames of one level that look wrong: their rows, rising; `usual` if most frames look so."""

    kind: str
    level: int
    frames: np.ndarray
    usual: bool


def look(values: np.ndarray, times: np.ndarray, latitude: np.ndarray | None = None, span: float = 0.0) -> Seen:
    """Note what there is to note of consecutive frames.

    Args:
        values: (T, L, H, W).
        times: (T,).
        latitude: of the rows (H,), of a component of a vector on the sphere; none of other variables.
        span: degrees of longitude that a row covers.
    """
    chosen = _points(values[:1].reshape(-1, *values.shape[2:]))
    points = values.reshape(*values.shape[:2], -1)[:, :, chosen].astype(np.float32, copy=False)
    south, north = (_one_number(values, row) for row in _polar_rows(latitude, span))
    return Seen(
        times,
        points.min(-1),
        points.max(-1),
        **_differences(points),
        **_equal(points[:, :, :: _every(chosen)]),
        south=south,
        north=north,
        points=chosen,
        edges=points if len(points) <= 4 else points[[0, 1, -2, -1]],
    )


def joined(stretches: Sequence[Seen]) -> Seen:
    """What has been noted of stretches that follow each other, as one."""
    names = [name for name in Seen.__annotations__ if name not in AROUND]
    whole = {name: np.concatenate([getattr(one, name) for one in stretches]) for name in names}
    first, before = 0, stretches[0]
    for number, one in enumerate(stretches):
        if number and np.array_equal(one.points, before.points):
            tail = before.edges[-2:]
            for name, value in _differences(np.concatenate([tail, one.edges[:2]])).items():
                here, there = whole[name][first - 1 : first + 1], value[len(tail) - 1 : len(tail) + 1]
                here[...] = np.where(np.isnan(here), there, here)  # of the last frame before, and of the first one here
            if len(one.times) == 1:
                one = replace(one, edges=np.concatenate([tail, one.edges])[-2:])
        first, before = first + len(one.times), one
    head = stretches[0].edges[:2]
    if not np.array_equal(stretches[0].points, before.points):  # nothing is known of them at the points of the last
        head = np.full((len(head), *before.edges.shape[1:]), np.nan, np.float32)
    return Seen(**whole, points=before.points, edges=np.concatenate([head, before.edges[-2:]]))


def judged(seen: Seen, joints: Iterable[np.datetime64] = ()) -> list[Finding]:
    """What looks wrong.

    Args:
        seen: frames in order of time.
        joints: times at which other weather begins.
    """
    return [
        finding for level in range(seen.lowest.shape[1]) for finding in _of_level(seen, level, _begins(seen, joints))
    ]


def _of_level(seen: Seen, level: int, begins: np.ndarray) -> list[Finding]:
    one = {name: value[:, level] for name, value in vars(seen).items() if name not in (*AROUND, "times")}
    flat, change = one["lowest"] == one["highest"], np.where(begins, np.nan, one["change"])
    ends = begins | np.append(begins[1:], True)
    lone = np.zeros(len(flat), bool)
    for aside, apart in (("aside", "apart"), ("aside_most", "apart_most")):
        lone |= _unusual(np.where(ends, np.nan, one[aside])) & (one[aside] > APART * one[apart])
    span = np.nanmax(one["highest"], initial=-np.inf) - np.nanmin(one["lowest"], initial=np.inf)
    found = {
        "constant": flat,
        "repeated": (change == 0) & ~flat,
        "polar": (one["south"] | one["north"]) & ~flat,
        "lone": lone & ~flat,
        "packing": _packing(one, ~flat, len(seen.points[:: _every(seen.points)])),
    }
    odd = np.any([*found.values()], 0)
    after = np.append(False, odd[:-1])
    found["jump"] = _unusual(change) & (change > JUMP * span) & ~odd & ~after
    found["rounder"] = ~odd & ~flat & _above(one["repeats"], ~flat, ROUNDER) & (len(seen.points) >= JUDGED)
    return [
        Finding(kind, level, np.flatnonzero(where), bool(where.mean() > 0.5))
        for kind, where in found.items()
        if where.any()
    ]


def _unusual(values: np.ndarray) -> np.ndarray:
    """Which values lie far above the others, on a scale of logarithms; none where there are few, NaN where unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values.astype(float))
    known = logs[np.isfinite(logs)]
    if len(known) < ENOUGH:
        return np.zeros(len(values), bool)
    usual = np.median(known)
    spread = NORMAL * np.median(np.abs(known - usual))
    return logs > usual + max(np.log(FACTOR), SPREADS * spread)


def _packing(one: dict[str, np.ndarray], counted: np.ndarray, size: int) -> np.ndarray:
    """In which frames many values are one number, or all are rounded to few."""
    saturated = _above(one["same"], counted, SAME) & (one["same"] * size >= ONE)
    rounded = _above(one["repeats"], counted, ROUNDER) & (one["repeats"] >= ROUNDED) & (size >= JUDGED)
    return (saturated | rounded) & counted


def _above(share: np.ndarray, counted: np.ndarray, least: float) -> np.ndarray:
    """Where a share lies far above its median over the frames that count."""
    if counted.sum() < ENOUGH:
        return np.zeros(len(share), bool)
    usual = np.median(share[counted])
    spread = NORMAL * np.median(np.abs(share[counted] - usual))
    return (share > usual + max(least, SPREADS * spread)) & (usual < COMMON)


def _begins(seen: Seen, joints: Iterable[np.datetime64]) -> np.ndarray:
    """Which frames do not go on from the one before: after a gap, or where other weather begins; (T,)."""
    step = np.diff(seen.times)
    gaps = step > step.min() if len(step) else np.zeros(0, bool)
    return np.append(True, gaps) | np.isin(seen.times, np.array(list(joints), "datetime64[ns]"))


def _points(frames: np.ndarray) -> np.ndarray:
    """Which points are looked at: evenly spread over the grid, of those that have values in all fields of a frame."""
    height, width = frames.shape[1:]
    every = -(-height * width // max(POINTS, height * width // SHARE))
    down = int(np.sqrt(every))
    rows, columns = np.arange(0, height, down), np.arange(0, width, -(-every // down))
    index = (rows[:, None] * width + columns).ravel()
    valid = ~np.isnan(frames.reshape(len(frames), -1)).any(0)
    if not valid[index].any() and valid.any():
        index = np.flatnonzero(valid)[::every]
    return index[valid[index]] if valid[index].any() else index


def _every(points: np.ndarray) -> int:
    return -(-len(points) // SORTED)


def _equal(values: np.ndarray) -> dict[str, np.ndarray]:
    """Which share of values (T, L, n) others are equal to, and which are the most frequent number."""
    ordered = np.sort(values)
    equal, place = ordered[..., 1:] == ordered[..., :-1], np.arange(1, ordered.shape[-1])
    run = place - np.maximum.accumulate(np.where(equal, 0, place), -1)  # how many before it are equal to each
    size = np.float32(ordered.shape[-1])
    return {
        "repeats": np.count_nonzero(equal, axis=-1) / size,
        "same": np.where(equal.any(-1), run.max(-1, initial=0) + 1, 0) / size,
    }


def _differences(points: np.ndarray) -> dict[str, np.ndarray]:
    """Of frames (T, L, P), how far they are from the one before, from both neighbours, and these from each other."""
    found = {name: np.full(points.shape[:2], np.nan, np.float32) for name in DIFFERENCES}
    step = np.diff(points, axis=0)
    if len(step):
        found["change"][1:] = np.abs(step).max(-1)
    if len(step) > 1:
        for name, value in (("aside", (step[:-1] - step[1:]) / 2), ("apart", step[:-1] + step[1:])):
            size = np.abs(value, out=value)
            found[name][1:-1], found[f"{name}_most"][1:-1] = size.mean(-1), size.max(-1)
    return found


DIFFERENCES = ("change", "aside", "aside_most", "apart", "apart_most")


def _polar_rows(latitude: np.ndarray | None, span: float) -> tuple[int | None, int | None]:
    """The rows nearest the south and the north pole, if they are near and long enough."""
    if latitude is None or len(latitude) < 2 or span < TURN:
        return None, None
    reach, rows = NEAR_POLE * np.abs(np.diff(latitude)).max(), (int(latitude.argmin()), int(latitude.argmax()))
    return tuple(row if 90 - abs(latitude[row]) < reach else None for row in rows)


def _one_number(values: np.ndarray, row: int | None) -> np.ndarray:
    """Whether a row (…, H, W) of a field is one number that is not zero; (T, L)."""
    if row is None:
        return np.zeros(values.shape[:2], bool)
    along = values[:, :, row]
    return (along == along[..., :1]).all(-1) & (along[..., 0] != 0)
