"""Describe the findings of a scan for suspect values: kind, time and place."""

from collections.abc import Callable, Sequence

import numpy as np

from hindsight.fields.grid import NEAR
from hindsight.fields.scan import Finding, Summary

DESCRIBED = 24  # runs of frames, of each kind and level, whose fields are read again to describe what is wrong
HALF = 0.5  # of the largest departure: points beyond it are in the region that is named
BOUNDED = (  # quantities that stay at a bound over wide areas and long times
    "specific_humidity",
    "relative_humidity",
    "lwe_thickness_of_precipitation_amount",
    "atmosphere_mass_content_of_water_vapor",
    "wind_speed",
    "rainfall_rate",
)
INTERMITTENT = ("rainfall_rate",)  # showers come and go within minutes
VECTOR = ("eastward_wind", "northward_wind")
Fields = Callable[[np.datetime64], np.ndarray]


def describe(
    findings: Sequence[Finding],
    summary: Summary,
    fields: Fields,
    levels: Sequence[str],
    grid: tuple[np.ndarray, np.ndarray],
    standard_name: str = "",
) -> list[dict]:
    """Describe findings: a dictionary for every run of consecutive frames, but none for a `BOUNDED` quantity that is 0.

    Args:
        findings: result of `scan.detect`.
        summary: the summary that `scan.detect` was given.
        fields: reads the fields of a time again, (L, H, W).
        levels: names of the levels; an empty one for a single level without a name.
        grid: latitude (H,) and longitude (W,), degrees.
        standard_name: CF standard name of the quantity.

    Returns:
        `kind`, `level`, `first`, `last`, `frames`, `where`, `what`, and `fatal`: whether it stops
        the step.
    """
    found = []
    for finding in findings:
        for number, run in enumerate(_runs(finding.frames)):
            what, where = ("", "")
            if number < DESCRIBED:
                indices = _around(finding.kind, run[0], len(summary.times))
                around = [fields(summary.times[k])[finding.level] for k in indices]
                what, where = DESCRIPTIONS[finding.kind](around, grid)
            entry = {"kind": finding.kind, "level": levels[finding.level], "what": what, "where": where}
            entry |= {"first": _text(summary.times[run[0]]), "last": _text(summary.times[run[-1]]), "frames": len(run)}
            value = summary.lowest[run[0], finding.level]
            if not (finding.kind == "constant" and value == 0 and standard_name in BOUNDED):  # no rain anywhere
                at_rest = finding.kind == "constant" and value == 0 and run.tolist() == [0]  # the start of a model run
                found.append(entry | {"fatal": not at_rest and _is_fatal(finding, standard_name)})
    return found


def sentence(name: str, entry: dict) -> str:
    """A described entry as a sentence, with the variable's name."""
    at = f" at {entry['level']}" if entry["level"] else ""
    what = ", ".join(filter(None, (entry["what"] or f"looks wrong ({entry['kind']})", entry["where"])))
    time = entry["first"] if entry["frames"] == 1 else f"{entry['frames']} frames, {entry['first']} to {entry['last']}"
    return f"{name!r}{at} {what}: {time}"


def _is_fatal(finding: Finding, standard_name: str) -> bool:
    """Whether a finding stops the step; a property of most frames belongs to the source, and is only noted."""
    if finding.kind == "polar":
        return True
    if standard_name in INTERMITTENT and finding.kind in ("outlier", "jump"):
        return False
    if finding.kind == "rounding" or standard_name in BOUNDED and finding.kind in ("repeated", "packing", "stuck"):
        return False
    return not finding.usual


def _runs(frames: np.ndarray) -> list[np.ndarray]:
    return np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)


def _around(kind: str, frame: int, count: int) -> list[int]:
    """Indices of the frames that a description needs: the suspect one, then its neighbours."""
    neighbours = {"outlier": [frame - 1, frame + 1], "jump": [frame - 1], "stuck": [frame - 1]}.get(kind, [])
    return [frame, *(k for k in neighbours if 0 <= k < count)]


def _constant(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    return f"is one number, {_first(around[0]):g}, over the whole field", ""


def _repeated(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    return "repeats the frame before", ""


def _polar(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    rows = [int(grid[0].argmin()), int(grid[0].argmax())]
    row = next((row for row in rows if np.ptp(around[0][row]) == 0 and around[0][row, 0] != 0), rows[0])
    says = "is constant along the row nearest the pole, where a vector component must change with longitude"
    return f"{says} ({around[0][row, 0]:g})", f"at {_degrees(grid[0][row], 'NS')}"


def _outlier(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    size = np.abs(around[0] - np.mean(around[1:], 0))
    return f"departs from the frames before and after by up to {np.nanmax(size):g}", _place(size, grid)


def _jump(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    size = np.abs(around[0] - around[-1])
    return f"jumps by up to {np.nanmax(size):g} from the frame before", _place(size, grid)


def _stuck(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    still = around[0] == around[-1]
    return f"repeats the frame before at {still.mean():.0%} of the points", box(still, grid)


def _packing(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    values, counts = np.unique(around[0][~np.isnan(around[0])], return_counts=True)
    share = counts.max() / counts.sum()
    if share < 2 / len(values) or share < 0.02:
        return _rounding(around, grid)
    value = values[counts.argmax()]
    return f"has {share:.0%} of its values at one number, {value:g}", box(around[0] == value, grid)


def _rounding(around: list[np.ndarray], grid: tuple) -> tuple[str, str]:
    known = around[0][~np.isnan(around[0])]
    return f"is rounded more coarsely than usual, to {len(np.unique(known))} numbers at {known.size} points", ""


DESCRIPTIONS = {
    "constant": _constant,
    "repeated": _repeated,
    "polar": _polar,
    "outlier": _outlier,
    "packing": _packing,
    "stuck": _stuck,
    "jump": _jump,
    "rounding": _rounding,
}


def _first(field: np.ndarray) -> float:
    known = field[~np.isnan(field)]
    return known.flat[0] if known.size else np.nan


def _place(size: np.ndarray, grid: tuple) -> str:
    """Where a departure is largest, and the region in which it is more than half as large."""
    row, column = np.unravel_index(np.nanargmax(size), size.shape)
    most = f"most at {_degrees(grid[0][row], 'NS')} {_degrees(grid[1][column], 'EW')}"
    return f"{most}, {box(size > HALF * np.nanmax(size), grid)}"


def box(where: np.ndarray, grid: tuple) -> str:
    """The smallest region that holds the points of a mask (H, W), in words."""
    rows, columns = (np.sort(axis[where.any(1 - n)]) for n, axis in enumerate(grid))
    gaps = np.diff(columns, append=columns[0] + 360)
    across = gaps.max() > gaps[-1] + NEAR  # then a region across Greenwich begins after the widest gap
    first = int(gaps.argmax()) + 1 if across else 0
    north = f"{_degrees(rows[0], 'NS')} to {_degrees(rows[-1], 'NS')}"
    return f"within {north}, {_degrees(columns[first], 'EW')} to {_degrees(columns[first - 1], 'EW')}"


def _degrees(value: float, signs: str) -> str:
    value = (value + 180) % 360 - 180 if signs == "EW" and value > 180 else value
    return f"{abs(value):g} {signs[bool(value < 0)]}"


def _text(time: np.datetime64) -> str:
    return str(np.datetime64(time, "s"))
