"""Reopen the archive and hold it against its markers and its layout; say all that is wrong with it at once."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import zarr

from hindsight.archive import objects, odd, recipe
from hindsight.archive.metadata import GROUPS
from hindsight.archive.odd import Looked
from hindsight.errors import UserError
from hindsight.fields import rounding, shards
from hindsight.partials import END
from hindsight.progress import Progress
from hindsight.settings import Archive, Domain, Ensemble
from hindsight.settings.lexicon import CHANNELS, Channel

LAYOUT = "snakemake --forcerun layout"


def run(
    domain: Domain,
    product: Ensemble,
    settings: Archive,
    *,
    layout: Path,
    markers: list[Path],
    archive: Path,
    provenance: Path,
    result: Path,
) -> None:
    """Reopen the archive: checksums, time axis, units, NaN, ranges, values that look wrong; where all comes from."""
    told = json.loads(layout.read_text())
    known, wrong = _markers(markers, told["recipe"])
    wrong += missing(markers, domain, product)
    wrong += foreign(archive, known) if not wrong else []
    arrays, unlike = _arrays(archive, domain, product, told)
    wrong += unlike
    watch, looked = Progress("archive.check", len(known)), None if wrong else Looked(archive, domain, product)
    for done, (path, marker) in enumerate(known.items()):
        wrong += _wrong_shard(path, marker, archive, arrays, product, looked)
        watch(done + 1, f"{len(wrong)} faults" if wrong else "")
    if wrong:
        how = "snakemake wants the --profile and --configfile of this run"
        raise UserError(f"the archive {archive} is not whole ({how}):\n  " + "\n  ".join(wrong))
    found, looks = list(known.values()), looked.odd()
    odd.refuse(looks, settings, archive)
    objects.put(provenance, table(rows(found)).encode())
    objects.put_json(result, _summary(told, found, archive, domain) | {"odd": looks})


def _markers(paths: list[Path], digest: str) -> tuple[dict[Path, dict], list[str]]:
    """The markers that can be used, and what is wrong with the others."""
    found, wrong = {}, []
    for path in paths:
        try:
            marker = json.loads(path.read_text())
            complete = {"recipe", "objects", "first", "frames", "loss", "blocks"} <= set(marker)
        except (OSError, ValueError):
            complete = False
        if not complete:
            wrong.append(f"{path} is no marker, or cut off; {_mend(path)}")
        elif marker["recipe"] != digest:
            wrong.append(f"{path} is of another recipe than the layout; {_mend(path)}")
        else:
            found[path] = marker
    return found, wrong


def _mend(marker: Path) -> str:
    return f"snakemake --forcerun {marker}"


def missing(markers: list[Path], domain: Domain, product: Ensemble) -> list[str]:
    """Shards without a marker."""
    have = {marker.stem for marker in markers}
    lacking = [shard.name for shard in shards.cut(domain, product) if shard.name not in have]
    return [f"shard {name} is missing; snakemake {_beside(markers, name)}" for name in lacking]


def _beside(markers: list[Path], name: str) -> str:
    """The path of a shard's marker, which is the command's target."""
    return str(markers[0].with_name(f"{name}.json")) if markers else "makes it"


def foreign(archive: Path, known: dict[Path, dict]) -> list[str]:
    """Objects that no marker speaks of, where all markers are there: what another layout or another hand left."""
    named = {name for marker in known.values() for name in marker["objects"]}
    channels = {name.split("/c/")[0] for name in named}
    found = {file.relative_to(archive).as_posix() for folder in channels for file in _files(archive / folder / "c")}
    return [f"{archive / name} belongs to no shard; delete it" for name in sorted(found - named)]


def _files(folder: Path) -> list[Path]:
    """All files below a folder but those that a lost machine left half made, which no reader looks at."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(END)]


def _arrays(archive: Path, domain: Domain, product: Ensemble, told: dict) -> tuple[dict[str, zarr.Array], list[str]]:
    """The arrays that can be opened, by their place in the store, and what is wrong with any."""
    try:
        carried = recipe.of_archive(archive)
    except UserError as error:
        carried, wrong = None, [str(error)]
    else:
        wrong = [] if carried else [f"there is no archive {archive}; {LAYOUT}"]
    if carried and recipe.digest(carried) != told["recipe"]:
        wrong.append(f"{archive} is of another recipe than {told['recipe'][: recipe.DIGITS]}…; {LAYOUT}")
    wrong += [line for name, checksum in told["objects"].items() for line in _damage(archive / name, checksum, LAYOUT)]
    arrays: dict[str, zarr.Array] = {}
    for group in GROUPS:
        wrong += _times_unlike(archive, group, domain, product)
        for name in domain.channels:
            key = f"{group}/{name}".lstrip("/")
            found = _opened(archive / key, CHANNELS[name], product.members if not group else None, wrong)
            if found is not None:
                arrays[key] = found
    return arrays, wrong


def _opened(path: Path, channel: Channel, members: int | None, wrong: list[str]) -> zarr.Array | None:
    try:
        array = zarr.open_array(path, mode="r")
    except Exception as error:  # damaged metadata fail in any way
        wrong.append(f"cannot open {path} ({error}); {LAYOUT}")
        return None
    if (units := array.attrs.get("units")) != channel.units:
        wrong.append(f"{path} has units {units!r}, not {channel.units!r}; {LAYOUT}")
    if members and array.shape[0] != members:
        wrong.append(f"{path} has {array.shape[0]} members, not {members}; {LAYOUT}")
    return array


def _times_unlike(archive: Path, group: str, domain: Domain, product: Ensemble) -> list[str]:
    """What is wrong with the time axis of a group."""
    expected = np.concatenate([shard.times(domain.step_hours) for shard in shards.cut(domain, product)])
    path = archive / group / "time"
    try:
        axis = zarr.open_array(path, mode="r")
        times = np.datetime64("1900-01-01", "ns") + axis[:].astype("int64") * np.timedelta64(1, "h")
    except Exception as error:  # damaged metadata fail in any way
        return [f"cannot read {path} ({error}); {LAYOUT}"]
    if np.array_equal(times, expected) and axis.attrs.get("units") == "hours since 1900-01-01":
        return []
    return [
        f"{path}: the time axis is not that of the test period ({len(expected)} frames every {domain.step_hours} h "
        f"from {np.datetime_as_string(expected[0], 'm')}); {LAYOUT}"
    ]


def _wrong_shard(
    path: Path, marker: dict, archive: Path, arrays: dict[str, zarr.Array], product: Ensemble, looked: Looked | None
) -> list[str]:
    """What is wrong with the objects of one shard, one in memory at a time; `looked` is shown the others."""
    wrong, mend = [], _mend(path)
    expected = expected_objects(arrays, marker["first"] // product.shard_frames)
    for name in sorted(expected - set(marker["objects"])):
        wrong.append(f"{path} does not know {name}; {mend}")
    for name, checksum in marker["objects"].items():
        damage = _damage(archive / name, checksum, mend)
        wrong += damage
        if not damage and (key := name.split("/c/")[0]) in arrays:
            wrong += [f"{archive / name}: {line}; {mend}" for line in _wrong_values(name, arrays[key], marker, looked)]
    return wrong


def _damage(path: Path, checksum: str, mend: str) -> list[str]:
    """Whether a file is missing, or not what it was written as."""
    try:
        return [] if objects.sha256(path) == checksum else [f"{path} is damaged; {mend}"]
    except OSError:
        return [f"{path} is missing; {mend}"]


def expected_objects(arrays: dict[str, zarr.Array], number: int) -> set[str]:
    """Keys of the objects that a shard of so many a number consists of."""
    found = set()
    for key, array in arrays.items():
        blocks = range(-(-array.shape[0] // array.shards[0])) if array.ndim == 4 else [None]
        found |= {f"{key}/c/{f'{number}' if block is None else f'{block}/{number}'}/0/0" for block in blocks}
    return found


def _wrong_values(name: str, array: zarr.Array, marker: dict, looked: Looked | None) -> list[str]:
    """Values of an object that are not finite, or that no atmosphere has."""
    time = slice(marker["first"], marker["first"] + marker["frames"])
    block = int(name.split("/c/")[1].split("/")[0])
    members = slice(block * array.shards[0], (block + 1) * array.shards[0])
    try:
        values = array[(members, time) if array.ndim == 4 else (time,)]
    except Exception as error:  # the bytes are whole, the array's metadata are not
        return [f"it cannot be decoded ({error})"]
    *group, short = name.split("/c/")[0].split("/")
    channel, frame = CHANNELS[short], f"from frame {marker['first']}"
    if holes := int(np.count_nonzero(~np.isfinite(values))):
        return [f"{short} has {holes} values that are not finite {frame}"]
    lowest = 0.0 if group == ["spread"] else channel.lowest
    if values.size and (values.min() < lowest or values.max() > channel.highest):
        return [
            f"{short} reaches from {values.min():g} to {values.max():g} {channel.units}, outside {lowest:g} to "
            f"{channel.highest:g}, {frame}"
        ]
    if looked:
        looked.add(name.split("/c/")[0], members if array.ndim == 4 else slice(0, 1), time.start, values)
    return []


def rows(markers: list[dict]) -> list[dict[str, object]]:
    """Where everything comes from: a row a shard and block of members."""
    own = ("shard", "first", "frames")
    return [{name: marker[name] for name in own} | block for marker in markers for block in marker["blocks"]]


def table(found: list[dict[str, object]]) -> str:
    """Rows as CSV; a column that a row lacks is empty there."""
    columns, text = list(dict.fromkeys(name for row in found for name in row)), io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def _summary(told: dict, markers: list[dict], archive: Path, domain: Domain) -> dict[str, object]:
    """What `check.json` says: how much there is, and what rounding has lost of it, as a share of the spread."""
    return {
        "whole": True,
        "recipe": told["recipe"],
        "shards": len(markers),
        "frames": sum(marker["frames"] for marker in markers),
        "members": told["settings"]["product"]["members"],
        "objects": sum(len(marker["objects"]) for marker in markers),
        "bytes": sum(path.stat().st_size for path in _files(archive)),
        "kept_mantissa_bits": told["bits"],
        "loss": {name: rounding.share_of_spread([m["loss"][name] for m in markers]) for name in domain.channels},
    }
