"""Write the integrity manifest: whether a source is complete and plausible, its identity, and its missing frames.

Every value that a run will read is checked here. Missing frames stop the pipeline, except at times that
`download.missing` allows: these are listed as masked, stay NaN, and are used neither in training nor for scores.
"""

import json
import sys
from pathlib import Path

import numpy as np

from hindsight.download import part, suspect
from hindsight.download.suspect import ScannedVariable
from hindsight.errors import UserError
from hindsight.fields import axes, calendar, coverage, findings, intervals, store
from hindsight.fields.scan import Summary
from hindsight.settings import Comparison, Domain, Download
from hindsight.settings.lexicon import Channel, conversion, source_channels

SHOWN = 12  # problems and times that an error lists; the manifest has all
REPAIR = "correct the source"
LEAVE_OUT = "choose other periods, or list in download.missing the times that may be missing"
ACCEPT = "list in download.accepted the times whose values are right, and in download.missing those to be left out"
ELSEWHERE = "choose another region (domain.south, north, west, east), or a source that has values there"


def run(
    domain: Domain, settings: Download, comparison: Comparison, *, raw: list[Path], markers: list[Path], manifest: Path
) -> None:
    """Check that the source is complete and plausible: times, missing data, units, ranges, outliers."""
    where = ", ".join(str(store.folder(path)) for path in raw[:1]) + (" …" if len(raw) > 1 else "")
    times_needed, splits = _times_needed(domain, comparison), comparison.splits(domain)
    scanned = [_read_part(*paths) for paths in zip(raw, markers)]
    scanned = scanned or [_inspect_store(path, domain, times_needed) for path in raw]
    summaries = [one for one, _ in scanned]
    times = np.concatenate([axes.standardise(store.read(path), where)["time"].values for path in raw])
    calendar.check_splits(domain, np.sort(times), where, splits)
    variables, missing = _join(summaries), _missing_times(times_needed, times, summaries)
    uncovered = _uncovered(scanned, variables, times_needed, settings, where)
    suspects = suspect.find(_in_order(scanned), source_channels(domain.channels), times_needed, _segment_starts(raw))
    stopping = [one for one in suspects if suspect.stops_run(one, times_needed, settings)]
    holes = {*(hole for one in variables.values() for hole in one["holes"]), *map(_text, missing)}
    holes |= set(map(_text, suspect.masked_times(suspects, times_needed, settings)))
    masked = sorted(holes & set(map(_text, times_needed)))
    refused_times = [hole for hole in masked if not settings.may_be_missing(np.datetime64(hole).astype(object))]
    preliminary, lost_chunks = (_source_entries(summaries, key) for key in ("preliminary", "chunks_missing"))
    problems = {
        REPAIR: [*_problems_of_times(times), *_problems_of_values(variables, domain, where)],
        LEAVE_OUT: _problems_of_frames(refused_times, missing, variables, lost_chunks),
        ELSEWHERE: [*_never_valid(variables, domain), *_nothing_covered(uncovered, settings)],
        ACCEPT: [findings.sentence(one["variable"], one) for one in stopping],
        "": _problems_of_versions(preliminary, set(map(_text, times_needed)), settings),
    }
    found = {
        "dataset": settings.dataset,
        "source": settings.source,
        "parts": [_identity(one) for one in summaries],
        "frames": len(times_needed),
        "first": _text(times_needed[0]),
        "last": _text(times_needed[-1]),
        "step_hours": domain.step_hours,
        "missing": list(map(_text, missing)),
        "masked": masked,
        **({"uncovered": uncovered} if uncovered else {}),
        "preliminary": preliminary,
        "chunks_missing": lost_chunks,
        "chunks_filled": _source_entries(summaries, "chunks_filled"),
        "variables": variables,
        "suspect": suspects,
        "notes": [
            *_source_entries(summaries, "notes"),
            *_note_of_uncovered(uncovered, settings),
            *(findings.sentence(one["variable"], one) for one in suspects if one not in stopping),
        ],
        "problems": [line for lines in problems.values() for line in lines],
    }
    _write(found, [remedy for remedy, lines in problems.items() if lines and remedy], manifest, where)


def _write(found: dict, remedies: list[str], manifest: Path, where: str) -> None:
    """Write the manifest; if there are problems, write it under another name and raise them."""
    refused = manifest.with_suffix(".refused.json")
    text = json.dumps(found, indent=1)
    for note in found["notes"]:
        print(f"note: {note}", file=sys.stderr)
    if problems := found["problems"]:
        store.replace(refused, lambda partial: partial.write_text(text))
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        advice = "; ".join(dict.fromkeys([REPAIR, *remedies])) if remedies else ""
        raise UserError(
            f"{where} is incomplete or suspect ({refused} has the details):\n  "
            + "\n  ".join(problems[:SHOWN])
            + more
            + (f"\n{advice[:1].upper()}{advice[1:]}" if advice else "")
        )
    refused.unlink(missing_ok=True)
    store.replace(manifest, lambda partial: partial.write_text(text))


def _read_part(raw: Path, marker: Path) -> tuple[dict, dict[str, ScannedVariable]]:
    """The marker of a part, and the scans of its variables."""
    summary, dataset = json.loads(marker.read_text()), axes.standardise(store.read(raw), str(store.folder(raw)))
    return summary, {
        name: ScannedVariable(dataset[name], Summary.read(part.scan_file(raw, name)))
        for name in summary["variables"]
        if name in dataset
    }


def _inspect_store(raw: Path, domain: Domain, times_needed: np.ndarray) -> tuple[dict, dict[str, ScannedVariable]]:
    """The summary by `part.inspect` of a source without a marker, of the variables that the domain needs."""
    dataset, where = axes.standardise(store.read(raw), str(store.folder(raw))), str(store.folder(raw))
    dataset, summary, variables, scanned = dataset.sortby("time"), {}, {}, {}
    dataset = dataset.sel(time=np.isin(dataset["time"].values, times_needed))  # frames between the splits are not used
    for channel in source_channels(domain.channels):
        found = axes.find(dataset, channel.names("local"), channel.name, where)
        if found.name in variables:
            continue
        levels = sorted(
            {c.level for c in source_channels(domain.channels) if c.level and found.name in c.names("local")}
        )
        if "level" in found.dims and set(levels) <= set(found["level"].values.tolist()):
            found = found.sel(level=levels)
        summary, scans = part.inspect(found.to_dataset())  # one at a time: together they would share their levels
        variables |= summary["variables"]
        scanned |= {name: ScannedVariable(found, one) for name, one in scans.items()}
    identity = {"files": dataset.attrs.get("source_files", ""), "title": dataset.attrs.get("source_title", "")}
    return summary | {"source": identity, "digest": dataset.attrs.get("digest", ""), "variables": variables}, scanned


def _in_order(scanned: list[tuple[dict, dict[str, ScannedVariable]]]) -> list[dict[str, ScannedVariable]]:
    return [variables for _, variables in sorted(scanned, key=lambda one: one[0].get("first", ""))]


def _segment_starts(raw: list[Path]) -> list[np.datetime64]:
    """Times at which a new simulation of a built-in world starts."""
    return [np.datetime64(time, "ns") for path in raw for time in store.read(path).attrs.get("segment_starts", [])]


def _times_needed(domain: Domain, comparison: Comparison) -> np.ndarray:
    times, splits = intervals.time_axis(domain), comparison.splits(domain).values()
    inside = [(times >= np.datetime64(p.start)) & (times <= np.datetime64(p.end)) for p in splits]
    return times[np.any(inside, 0)]


def _join(summaries: list[dict]) -> dict:
    """Units, range and holes of each variable over all parts; points that are NaN in all frames are no holes."""
    found: dict[str, dict] = {}
    names = {name for one in summaries for name in one["variables"]}
    parts = {name: [one["variables"][name] for one in summaries if name in one["variables"]] for name in names}
    fixed = {name: _same_points(parts[name]) for name in names}
    for one in summaries:
        for name, summary in one["variables"].items():
            empty = {"units": summary["units"], "lowest": [], "highest": [], "nan": 0, "holes": []}
            joined = found.setdefault(name, empty)
            joined["nan"] += summary["nan"]
            joined["holes"] += (summary["fixed"] if fixed[name] else summary)["holes"]
            joined["fixed"] = fixed[name] and {key: summary["fixed"][key] for key in ("points", "of", "where")}
            for side in ("lowest", "highest"):
                joined[side] += [] if summary[side] is None else [summary[side]]
    for joined in found.values():
        joined["lowest"] = min(joined["lowest"], default=None)
        joined["highest"] = max(joined["highest"], default=None)
    return found


def _uncovered(
    scanned: list[tuple[dict, dict[str, ScannedVariable]]],
    variables: dict,
    times_needed: np.ndarray,
    settings: Download,
    where: str,
) -> dict | None:
    """The points that are masked because a variable lacks too many values there, see `coverage.encode`.

    Limits `holes` in `variables` to other points.
    """
    if settings.missing_points is None:
        return None
    covered = True
    for name, about in variables.items():
        if not about["nan"]:
            continue
        parts = [found[name].variable.to_dataset(name=name) for found in _in_order(scanned) if name in found]
        valid, holes = coverage.find(
            [axes.sort(part, where)[name] for part in parts], times_needed, settings.missing_points
        )
        covered = covered & valid
        about["holes"], about["fixed"] = list(map(_text, holes)), None
    return None if covered is True else coverage.encode(covered)


def _nothing_covered(uncovered: dict | None, settings: Download) -> list[str]:
    if not uncovered or uncovered["points"] < uncovered["of"]:
        return []
    return [f"all points lack values in over {settings.missing_points:.0%} of the frames (download.missing_points)"]


def _note_of_uncovered(uncovered: dict | None, settings: Download) -> list[str]:
    if not uncovered:
        return []
    return [
        f"{uncovered['points']} of {uncovered['of']} points lack values in more than {settings.missing_points:.0%} of "
        "the frames; they are masked in all frames (download.missing_points)"
    ]


def _same_points(parts: list[dict]) -> bool:
    """Whether a variable is NaN at the same points in all frames of all parts, and at one or more."""
    which = {one["fixed"] and one["fixed"]["digest"] for one in parts}
    return len(which) == 1 and None not in which


def _never_valid(variables: dict, domain: Domain) -> list[str]:
    """Points that are NaN in every frame."""
    names = {name for channel in source_channels(domain.channels) for name in channel.names("local")}
    return [
        f"{name!r} has NaN in all frames at the same {fixed['points']} of {fixed['of']} points, {fixed['where']}, as "
        "in land-only data over the sea"
        for name, one in variables.items()
        if (fixed := one["fixed"]) and name in names
    ]


def _problems_of_times(times: np.ndarray) -> list[str]:
    """Repeated times, and times out of order."""
    step, at = np.diff(times), times[1:].astype("datetime64[m]")
    found = [f"a repeated time, {time}" for time in at[step == np.timedelta64(0)]]
    return found + [f"times out of order: {time} comes late" for time in at[step < np.timedelta64(0)]]


def _problems_of_values(variables: dict, domain: Domain, where: str) -> list[str]:
    """Units that cannot be converted, and values that are impossible in the atmosphere."""
    found = []
    for channel in source_channels(domain.channels):
        name = next((n for n in channel.names("local") if n in variables), None)
        if name is None:
            found.append(f"no variable for channel {channel.name} (it has {', '.join(variables)})")
        elif problem := _problem_of(variables[name], channel, name):
            found.append(problem)
    return list(dict.fromkeys(found))


def _problem_of(summary: dict, channel: Channel, name: str) -> str | None:
    if (factor := conversion(summary["units"], channel.units)) is None:
        return f"{name!r} has units {summary['units']!r}, and channel {channel.name} needs {channel.units!r}"
    if summary["lowest"] is None:
        return f"{name!r} has no values at all"
    low, high = (summary[side] * factor[0] + factor[1] for side in ("lowest", "highest"))
    if low < channel.lowest or high > channel.highest:
        return (
            f"{name!r} reaches from {low:g} to {high:g} {channel.units}, beyond the limits of channel {channel.name} "
            f"({channel.lowest:g} to {channel.highest:g})"
        )
    return None


def _source_entries(summaries: list[dict], key: str) -> list[str]:
    """The entries under a key of the information about the source that parts keep, each once."""
    return sorted({found for one in summaries for found in one.get("source", {}).get(key, [])})


def _missing_times(times_needed: np.ndarray, times: np.ndarray, summaries: list[dict]) -> np.ndarray:
    """Frames that the source lacks: absent, or NaN in a part that lists them."""
    stated = np.array(_source_entries(summaries, "times_missing"), "datetime64[ns]")
    return np.union1d(np.setdiff1d(times_needed, times), np.intersect1d(times_needed, stated))


def _problems_of_frames(
    refused_times: list[str], missing: np.ndarray, variables: dict, lost_chunks: list[str]
) -> list[str]:
    """Missing frames, and frames with NaN, that the settings do not allow."""
    missing = [time for time in map(_text, missing) if time in set(refused_times)]
    found = []
    if missing:
        found.append(f"a gap: no frame at {_listed(missing)}")
    for name, summary in variables.items():
        if holes := [hole for hole in summary["holes"] if hole in set(refused_times) - set(missing)]:
            chunks = _lost_chunks_of(name, lost_chunks)
            found.append(f"{name!r} has NaN in {len(holes)} frame(s), at {_listed(holes)}{chunks}")
    return found


def _lost_chunks_of(name: str, lost_chunks: list[str]) -> str:
    """The chunks that the store lacks of a variable with NaN, and the setting for chunks that were left out."""
    if not (keys := [key for key in lost_chunks if key.startswith(f"{name}/")]):
        return ""
    return (
        f"; the store lacks {len(keys)} of its chunks ({_listed(keys)}): if chunks that hold only the fill value "
        "were left out, set download.missing_chunks: fill"
    )


def _problems_of_versions(preliminary: list[str], times_needed: set[str], settings: Download) -> list[str]:
    """Preliminary frames, unless the settings allow them."""
    mixed = [time for time in preliminary if time in times_needed]
    if not mixed or settings.preliminary:
        return []
    return [
        f"{len(mixed)} frame(s) are preliminary (ERA5T), the first {mixed[0]}; end the periods before, "
        "or set download.preliminary: true"
    ]


def _identity(one: dict) -> dict:
    return {key: one[key] for key in ("request", "source", "digest", "first", "last", "frames") if key in one}


def _listed(times: list[str]) -> str:
    return ", ".join(times[:SHOWN]) + (f" and {len(times) - SHOWN} more" if len(times) > SHOWN else "")


def _text(time: np.datetime64) -> str:
    return str(np.datetime64(time, "s"))
