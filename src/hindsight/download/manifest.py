"""The integrity manifest: whether a source arrived whole, what it is, and what it lacks.

Everything that a run is going to read has been looked at here. What the source lacks stops the pipeline, but for times
that `download.missing` allows: they are listed as masked, stay NaN, and nothing is learnt from them or scored on them.
"""

import json
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.download import part
from hindsight.errors import UserError
from hindsight.fields import axes, calendar, cuts, store
from hindsight.settings import Domain, Download
from hindsight.settings.lexicon import Channel, conversion, needed

SHOWN = 12  # problems, and times, that an error lists; the manifest has all


def run(domain: Domain, settings: Download, *, raw: list[Path], markers: list[Path], manifest: Path) -> None:
    """Check that the source arrived whole: times, holes, units, ranges; refuse a hole that is not allowed."""
    where = ", ".join(str(store.folder(path)) for path in raw[:1]) + (" …" if len(raw) > 1 else "")
    about = [json.loads(path.read_text()) for path in markers] or [_looked_at(path, domain) for path in raw]
    times = np.concatenate([axes.named(store.read(path), where)["time"].values for path in raw])
    calendar.check_splits(domain, np.sort(times), where)
    variables = _together(about)
    absent = _absent(times, domain)
    holes = sorted({hole for name, one in variables.items() for hole in one["holes"]} | set(map(_text, absent)))
    wanted = set(map(_text, _wanted(domain)))
    masked = [hole for hole in holes if hole in wanted]
    loud = [hole for hole in masked if not settings.allowed(np.datetime64(hole).astype(object))]
    lost, filled = (_of_sources(about, key) for key in ("chunks_missing", "chunks_filled"))
    problems = [*_on_the_axis(times), *_in_values(variables, domain, where), *_lacking(loud, absent, variables, lost)]
    found = {
        "dataset": settings.dataset,
        "source": settings.source,
        "parts": [_identity(one) for one in about],
        "frames": len(wanted),
        "first": min(wanted),
        "last": max(wanted),
        "step_hours": domain.step_hours,
        "absent": list(map(_text, absent)),
        "masked": masked,
        "provisional": _of_sources(about, "provisional"),
        "chunks_missing": lost,
        "chunks_filled": filled,
        "variables": variables,
        "problems": problems,
    }
    problems += _mixed(found["provisional"], wanted, settings)
    _write(found, manifest, where)


def _write(found: dict, manifest: Path, where: str) -> None:
    """Write the manifest; where there are problems under another name, and say what they are."""
    refused = manifest.with_suffix(".refused.json")
    text = json.dumps(found, indent=1)
    if problems := found["problems"]:
        store.replace(refused, lambda partial: partial.write_text(text))
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(
            f"{where} is not whole ({refused} has the details):\n  " + "\n  ".join(problems[:SHOWN]) + more + "\n"
            "Mend the source, choose other periods, or name times that may be missing in download.missing"
        )
    refused.unlink(missing_ok=True)
    store.replace(manifest, lambda partial: partial.write_text(text))


def _looked_at(raw: Path, domain: Domain) -> dict:
    """What `part.inspect` says of a source that has no marker, as far as the domain needs it."""
    dataset, where = axes.named(store.read(raw), str(store.folder(raw))), str(store.folder(raw))
    dataset, about, variables = _of_splits(dataset.sortby("time"), domain), {}, {}
    for channel in needed(domain.channels):
        found = axes.find(dataset, channel.names("local"), channel.name, where)
        if found.name in variables:
            continue
        levels = sorted({c.level for c in needed(domain.channels) if c.level and found.name in c.names("local")})
        if "level" in found.dims and set(levels) <= set(found["level"].values.tolist()):
            found = found.sel(level=levels)
        about = part.inspect(found.to_dataset())  # each alone: together they would share their levels
        variables |= about["variables"]
    identity = {"files": dataset.attrs.get("source_files", ""), "title": dataset.attrs.get("source_title", "")}
    return about | {"source": identity, "digest": dataset.attrs.get("digest", ""), "variables": variables}


def _of_splits(dataset: xr.Dataset, domain: Domain) -> xr.Dataset:
    """The frames that splits are made of; what lies between them is nobody's business."""
    return dataset.sel(time=np.isin(dataset["time"].values, _wanted(domain)))


def _wanted(domain: Domain) -> np.ndarray:
    times = cuts.axis(domain)
    inside = [(times >= np.datetime64(p.start)) & (times <= np.datetime64(p.end)) for p in domain.splits.values()]
    return times[np.any(inside, 0)]


def _absent(times: np.ndarray, domain: Domain) -> np.ndarray:
    return np.setdiff1d(_wanted(domain), times)


def _together(about: list[dict]) -> dict:
    """Units, range and holes of each variable over all parts."""
    found: dict[str, dict] = {}
    for one in about:
        for name, seen in one["variables"].items():
            known = found.setdefault(name, {"units": seen["units"], "lowest": [], "highest": [], "nan": 0, "holes": []})
            known["nan"] += seen["nan"]
            known["holes"] += seen["holes"]
            for side in ("lowest", "highest"):
                known[side] += [] if seen[side] is None else [seen[side]]
    for known in found.values():
        known["lowest"] = min(known["lowest"], default=None)
        known["highest"] = max(known["highest"], default=None)
    return found


def _on_the_axis(times: np.ndarray) -> list[str]:
    """Repeats and times out of order."""
    step, at = np.diff(times), times[1:].astype("datetime64[m]")
    found = [f"a repeated time, {time}" for time in at[step == np.timedelta64(0)]]
    return found + [f"times out of order: {time} comes late" for time in at[step < np.timedelta64(0)]]


def _in_values(variables: dict, domain: Domain, where: str) -> list[str]:
    """Units that cannot be converted, and values that no atmosphere has."""
    found = []
    for channel in needed(domain.channels):
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


def _lacking(loud: list[str], absent: np.ndarray, variables: dict, lost: list[str]) -> list[str]:
    """Frames that are not there, and frames with NaN, that nobody has allowed."""
    missing = [time for time in map(_text, absent) if time in set(loud)]
    found = []
    if missing:
        found.append(f"a gap: no frame at {_listed(missing)}")
    for name, seen in variables.items():
        if holes := [hole for hole in seen["holes"] if hole in set(loud)]:
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
