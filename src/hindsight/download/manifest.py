"""The integrity manifest: whether a source arrived whole, what it is, and what it lacks.

Everything that a run is going to read has been looked at here. What the source lacks stops the pipeline, but for times
that `download.missing` allows: they are listed as masked, stay NaN, and nothing is learnt from them or scored on them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.download import part, suspect
from hindsight.download.suspect import Looked
from hindsight.errors import UserError
from hindsight.fields import axes, calendar, findings, intervals, store
from hindsight.fields.scan import Summary
from hindsight.settings import Domain, Download
from hindsight.settings.lexicon import Channel, conversion, source_channels

SHOWN = 12  # problems, and times, that an error lists; the manifest has all
MEND = "mend the source"
LEAVE_OUT = "choose other periods, or name times that may be missing in download.missing"
ACCEPT = "name times whose values are right in download.accepted, and times that are to be left out in download.missing"
ELSEWHERE = "choose another region (domain.south, north, west, east), or a source that has values there"


def run(domain: Domain, settings: Download, *, raw: list[Path], markers: list[Path], manifest: Path) -> None:
    """Check that the source arrived whole and looks right: times, holes, units, ranges, constant fields, outliers."""
    where = ", ".join(str(store.folder(path)) for path in raw[:1]) + (" …" if len(raw) > 1 else "")
    looked = [_of_part(*paths) for paths in zip(raw, markers)] or [_looked_at(path, domain) for path in raw]
    about, wanted = [one for one, _ in looked], _wanted(domain)
    times = np.concatenate([axes.standardise(store.read(path), where)["time"].values for path in raw])
    calendar.check_splits(domain, np.sort(times), where)
    variables, absent = _together(about), _absent(wanted, times, about)
    looks = suspect.found(_in_order(looked), source_channels(domain.channels), wanted, _joints(raw))
    wrong = [one for one in looks if suspect.stops(one, wanted, settings)]
    holes = {*(hole for one in variables.values() for hole in one["holes"]), *map(_text, absent)}
    holes |= set(map(_text, suspect.masked(looks, wanted, settings)))
    masked = sorted(holes & set(map(_text, wanted)))
    loud = [hole for hole in masked if not settings.allowed(np.datetime64(hole).astype(object))]
    provisional, lost = (_of_sources(about, key) for key in ("provisional", "chunks_missing"))
    problems = {
        MEND: [*_on_the_axis(times), *_in_values(variables, domain, where)],
        LEAVE_OUT: _lacking(loud, absent, variables, lost),
        ELSEWHERE: _nowhere(variables, domain),
        ACCEPT: [findings.sentence(one["variable"], one) for one in wrong],
        "": _mixed(provisional, set(map(_text, wanted)), settings),
    }
    found = {
        "dataset": settings.dataset,
        "source": settings.source,
        "parts": [_identity(one) for one in about],
        "frames": len(wanted),
        "first": _text(wanted[0]),
        "last": _text(wanted[-1]),
        "step_hours": domain.step_hours,
        "absent": list(map(_text, absent)),
        "masked": masked,
        "provisional": provisional,
        "chunks_missing": lost,
        "chunks_filled": _of_sources(about, "chunks_filled"),
        "variables": variables,
        "odd": looks,
        "notes": [
            *_of_sources(about, "notes"),
            *(findings.sentence(one["variable"], one) for one in looks if one not in wrong),
        ],
        "problems": [line for lines in problems.values() for line in lines],
    }
    _write(found, [remedy for remedy, lines in problems.items() if lines and remedy], manifest, where)


def _write(found: dict, remedies: list[str], manifest: Path, where: str) -> None:
    """Write the manifest; where there are problems under another name, and say what they are."""
    refused = manifest.with_suffix(".refused.json")
    text = json.dumps(found, indent=1)
    for note in found["notes"]:
        print(f"note: {note}", file=sys.stderr)
    if problems := found["problems"]:
        store.replace(refused, lambda partial: partial.write_text(text))
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        advice = "; ".join(dict.fromkeys([MEND, *remedies])) if remedies else ""
        raise UserError(
            f"{where} is not whole, or not right ({refused} has the details):\n  "
            + "\n  ".join(problems[:SHOWN])
            + more
            + (f"\n{advice[:1].upper()}{advice[1:]}" if advice else "")
        )
    refused.unlink(missing_ok=True)
    store.replace(manifest, lambda partial: partial.write_text(text))


def _of_part(raw: Path, marker: Path) -> tuple[dict, dict[str, Looked]]:
    """What the marker of a part says, and what a scan has seen of its variables."""
    about, dataset = json.loads(marker.read_text()), axes.standardise(store.read(raw), str(store.folder(raw)))
    return about, {
        name: Looked(dataset[name], Summary.read(part.scanned(raw, name)))
        for name in about["variables"]
        if name in dataset
    }


def _looked_at(raw: Path, domain: Domain) -> tuple[dict, dict[str, Looked]]:
    """What `part.inspect` says of a source that has no marker, as far as the domain needs it."""
    dataset, where = axes.standardise(store.read(raw), str(store.folder(raw))), str(store.folder(raw))
    dataset, about, variables, looked = _of_splits(dataset.sortby("time"), domain), {}, {}, {}
    for channel in source_channels(domain.channels):
        found = axes.find(dataset, channel.names("local"), channel.name, where)
        if found.name in variables:
            continue
        levels = sorted(
            {c.level for c in source_channels(domain.channels) if c.level and found.name in c.names("local")}
        )
        if "level" in found.dims and set(levels) <= set(found["level"].values.tolist()):
            found = found.sel(level=levels)
        about, seen = part.inspect(found.to_dataset())  # each alone: together they would share their levels
        variables |= about["variables"]
        looked |= {name: Looked(found, one) for name, one in seen.items()}
    identity = {"files": dataset.attrs.get("source_files", ""), "title": dataset.attrs.get("source_title", "")}
    return about | {"source": identity, "digest": dataset.attrs.get("digest", ""), "variables": variables}, looked


def _in_order(looked: list[tuple[dict, dict[str, Looked]]]) -> list[dict[str, Looked]]:
    return [variables for _, variables in sorted(looked, key=lambda one: one[0].get("first", ""))]


def _joints(raw: list[Path]) -> list[np.datetime64]:
    """Times at which a built-in world begins anew."""
    return [np.datetime64(time, "ns") for path in raw for time in store.read(path).attrs.get("segment_starts", [])]


def _of_splits(dataset: xr.Dataset, domain: Domain) -> xr.Dataset:
    """The frames that splits are made of; what lies between them is nobody's business."""
    return dataset.sel(time=np.isin(dataset["time"].values, _wanted(domain)))


def _wanted(domain: Domain) -> np.ndarray:
    times = intervals.time_axis(domain)
    inside = [(times >= np.datetime64(p.start)) & (times <= np.datetime64(p.end)) for p in domain.splits.values()]
    return times[np.any(inside, 0)]


def _together(about: list[dict]) -> dict:
    """Units, range and holes of each variable over all parts; points that are NaN in all frames are no holes."""
    found: dict[str, dict] = {}
    names = {name for one in about for name in one["variables"]}
    fixed = {name: _the_same([one["variables"][name] for one in about if name in one["variables"]]) for name in names}
    for one in about:
        for name, seen in one["variables"].items():
            known = found.setdefault(name, {"units": seen["units"], "lowest": [], "highest": [], "nan": 0, "holes": []})
            known["nan"] += seen["nan"]
            known["holes"] += (seen["fixed"] if fixed[name] else seen)["holes"]
            known["fixed"] = fixed[name] and {key: seen["fixed"][key] for key in ("points", "of", "where")}
            for side in ("lowest", "highest"):
                known[side] += [] if seen[side] is None else [seen[side]]
    for known in found.values():
        known["lowest"] = min(known["lowest"], default=None)
        known["highest"] = max(known["highest"], default=None)
    return found


def _the_same(parts: list[dict]) -> bool:
    """Whether a variable is NaN at the same points in all frames of all parts, and at some."""
    which = {one["fixed"] and one["fixed"]["digest"] for one in parts}
    return len(which) == 1 and None not in which


def _nowhere(variables: dict, domain: Domain) -> list[str]:
    """Points without a value in any frame: no time is to blame."""
    names = {name for channel in source_channels(domain.channels) for name in channel.names("local")}
    return [
        f"{name!r} has NaN in all frames at the same {fixed['points']} of {fixed['of']} points, {fixed['where']}, as a "
        "source of the land alone has over the sea"
        for name, one in variables.items()
        if (fixed := one["fixed"]) and name in names
    ]


def _on_the_axis(times: np.ndarray) -> list[str]:
    """Repeats and times out of order."""
    step, at = np.diff(times), times[1:].astype("datetime64[m]")
    found = [f"a repeated time, {time}" for time in at[step == np.timedelta64(0)]]
    return found + [f"times out of order: {time} comes late" for time in at[step < np.timedelta64(0)]]


def _in_values(variables: dict, domain: Domain, where: str) -> list[str]:
    """Units that cannot be converted, and values that no atmosphere has."""
    found = []
    for channel in source_channels(domain.channels):
        name = next((n for n in channel.names("local") if n in variables), None)
        if name is None:
            found.append(f"no variable for channel {channel.name} (it has {', '.join(variables)})")
        elif says := _wrong(variables[name], channel, name):
            found.append(says)
    return list(dict.fromkeys(found))


def _wrong(seen: dict, channel: Channel, name: str) -> str | None:
    if (factor := conversion(seen["units"], channel.units)) is None:
        return f"{name!r} has units {seen['units']!r}, and channel {channel.name} needs {channel.units!r}"
    if seen["lowest"] is None:
        return f"{name!r} has no values at all"
    low, high = (seen[side] * factor[0] + factor[1] for side in ("lowest", "highest"))
    if low < channel.lowest or high > channel.highest:
        return (
            f"{name!r} reaches from {low:g} to {high:g} {channel.units}, outside what channel {channel.name} can be "
            f"({channel.lowest:g} to {channel.highest:g})"
        )
    return None


def _of_sources(about: list[dict], key: str) -> list[str]:
    """What the sources of all parts say under a key, each once."""
    return sorted({found for one in about for found in one.get("source", {}).get(key, [])})


def _absent(wanted: np.ndarray, times: np.ndarray, about: list[dict]) -> np.ndarray:
    """Frames that the source lacks; a part has their times, too, and says so."""
    said = np.array(_of_sources(about, "times_missing"), "datetime64[ns]")
    return np.union1d(np.setdiff1d(wanted, times), np.intersect1d(wanted, said))


def _lacking(loud: list[str], absent: np.ndarray, variables: dict, lost: list[str]) -> list[str]:
    """Frames that are not there, and frames with NaN, that nobody has allowed."""
    missing = [time for time in map(_text, absent) if time in set(loud)]
    found = []
    if missing:
        found.append(f"a gap: no frame at {_listed(missing)}")
    for name, seen in variables.items():
        if holes := [hole for hole in seen["holes"] if hole in set(loud) - set(missing)]:
            found.append(f"{name!r} has NaN in {len(holes)} frame(s), at {_listed(holes)}{_for_want_of(name, lost)}")
    return found


def _for_want_of(name: str, lost: list[str]) -> str:
    """Of a variable with NaN, the chunks that its store lacks, and what may be done if that is no loss."""
    if not (keys := [key for key in lost if key.startswith(f"{name}/")]):
        return ""
    return (
        f"; the store lacks {len(keys)} of its chunks ({_listed(keys)}): if its makers left out chunks of nothing but "
        "the fill value, set download.absent_chunks: fill"
    )


def _mixed(provisional: list[str], wanted: set[str], settings: Download) -> list[str]:
    """Preliminary data beside final ones, unless the settings take them."""
    mixed = [time for time in provisional if time in wanted]
    if not mixed or settings.provisional:
        return []
    return [
        f"{len(mixed)} frame(s) are preliminary (ERA5T) from {mixed[0]} on, the others final; end the periods before, "
        "or set download.provisional: true"
    ]


def _identity(one: dict) -> dict:
    return {key: one[key] for key in ("request", "source", "digest", "first", "last", "frames") if key in one}


def _listed(times: list[str]) -> str:
    return ", ".join(times[:SHOWN]) + (f" and {len(times) - SHOWN} more" if len(times) > SHOWN else "")


def _text(time: np.datetime64) -> str:
    return str(np.datetime64(time, "s"))
