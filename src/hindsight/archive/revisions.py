"""Revisions: shards of an archive that were made again with other values, when, why, and checksums before and after.

A file for each shard has an entry for its first version and one for every later one. These files are not outputs of
rules, because Snakemake deletes outputs before it makes them again. Adding members by whole blocks is not a revision.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hindsight.archive import objects
from hindsight.settings.quality import Denial

MADE_FROM = {
    "prior": "sampled from another prior",
    "controller": "sampled with another controller",
    "steering": "steered in other directions",
    "observations": "made from other observations",
}  # checksums of blocks


def record(path: Path, marker: dict, times: np.ndarray, denials: Sequence[dict]) -> bool:
    """Add an entry to the versions of a shard, if it has none or the values of its members have changed.

    Args:
        path: of the file of versions.
        marker: content of the shard's marker.
        times: of its frames.
        denials: those that concern the shard, see `concerning`.

    Returns:
        Whether an entry was added.
    """
    versions = read(path)
    members = {name: value for name, value in marker["objects"].items() if not name.startswith(("mean/", "spread/"))}
    if versions and not _differs(versions[-1]["objects"], members):
        if versions[-1]["objects"] != members:  # members were added
            versions[-1] |= {"objects": members, "made_from": _made_from(marker)}
            objects.put_json(path, {"versions": versions})
        return False
    when = datetime.now(UTC).isoformat(timespec="seconds") if versions else None  # same inputs, same bytes
    frames = [str(np.datetime_as_string(time, "m")) for time in times[[0, -1]]]
    entry = {"when": when, "hindsight": marker["hindsight"], "frames": frames, "denials": [*denials]}
    entry |= {"made_from": _made_from(marker), "objects": members}
    objects.put_json(path, {"versions": [*versions, entry]})
    return True


def read(path: Path) -> list[dict]:
    """The versions of a shard, the first one first; none if there is no file."""
    return json.loads(path.read_text())["versions"] if path.is_file() else []


def _differs(before: dict[str, str], now: dict[str, str]) -> bool:
    """Whether an object that both versions have was written anew with another checksum."""
    return any(before[name] != now[name] for name in before.keys() & now.keys())


def concerning(denials: Sequence[Denial], times: np.ndarray) -> list[dict]:
    """The denials whose period meets frames at some times, as plain dictionaries."""
    first, last = (times[end].astype("datetime64[s]").item() for end in (0, -1))
    return [one.model_dump(mode="json") for one in denials if one.meets(first, last)]


def register(folder: Path) -> list[dict]:
    """The revisions of an archive, the newest first: shard, its first and last frame, when, why, checksums.

    Args:
        folder: with a file of versions for each shard.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        versions = read(path)
        for number, (before, after) in enumerate(zip(versions, versions[1:]), 1):
            changed = {name for name, value in after["objects"].items() if before["objects"].get(name, value) != value}
            found.append(
                {
                    "shard": path.stem,
                    "version": number,
                    "frames": after["frames"],
                    "when": after["when"],
                    "why": _reasons(before, after),
                    "objects": {
                        name: {"before": before["objects"][name], "after": after["objects"][name]}
                        for name in sorted(changed)
                    },
                }
            )
    return sorted(found, key=lambda one: (one["when"], one["shard"], one["version"]), reverse=True)


def _made_from(marker: dict) -> dict[str, list[str]]:
    """Checksums of what the blocks of a shard were made from, as far as their files say it."""
    return {name: [block[name] for block in marker["blocks"] if name in block] for name in MADE_FROM}


def _reasons(before: dict, after: dict) -> list[str]:
    """Why a version differs from the one before: denials that are new or gone, else what it was made from."""
    gone = [f"no longer denied: {_sentence(one)}" for one in before["denials"] if one not in after["denials"]]
    new = [f"denied: {_sentence(one)}" for one in after["denials"] if one not in before["denials"]]
    other = [sentence for name, sentence in MADE_FROM.items() if _changed(before, after, name)]
    return [*new, *gone] or other or ["made again from other analyses"]


def _changed(before: dict, after: dict, name: str) -> bool:
    """Whether a block that both versions have was made from another file; what hindsight 0.1 wrote does not say it."""
    files = [version.get("made_from", {}).get(name, []) for version in (before, after)]
    return any(one != other for one, other in zip(*files))


def _sentence(denial: dict) -> str:
    channel = f", {denial['channel']}" if denial["channel"] else ""
    period = f"{denial['start'] or 'the beginning'} to {denial['end'] or 'the end'}"
    return f"station {denial['station']}{channel}, {period}: {denial['reason']}"
