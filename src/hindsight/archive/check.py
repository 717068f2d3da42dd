"""Check the finished archive against its markers and its layout, and report every error at once."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import zarr

from hindsight.archive import metadata, objects, recipe, suspect
from hindsight.archive.metadata import GROUPS
from hindsight.archive.suspect import SuspectSearch
from hindsight.errors import UserError
from hindsight.fields import rounding, shards
from hindsight.partials import PARTIAL_SUFFIX
from hindsight.progress import Progress
from hindsight.settings import Archive, Domain, Ensemble
from hindsight.settings.hours import in_words
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
    """Check the archive: checksums, time axis, units, NaN, ranges, suspect values; write its provenance table."""
    expected = json.loads(layout.read_text())
    usable, wrong = _read_markers(markers, expected["recipe"])
    wrong += missing_shards(markers, domain, product)
    wrong += foreign_objects(archive, usable) if not wrong else []
    arrays, damage = _open_arrays(archive, domain, product, expected)
    wrong += damage
    progress = Progress("archive.check", len(usable), "shards")
    search = None if wrong else SuspectSearch(archive, domain, product)
    for done, (path, marker) in enumerate(usable.items()):
        wrong += _shard_errors(path, marker, archive, arrays, product, search)
        progress(done + 1, f"{len(wrong)} errors" if wrong else "")
    if wrong:
        how = "run the commands below with the --profile and --configfile of this run"
        raise UserError(f"the archive {archive} has errors ({how}):\n  " + "\n  ".join(wrong))
    complete, suspects = list(usable.values()), search.results()
    suspect.refuse(suspects, settings, archive)
    objects.put(provenance, to_csv(provenance_rows(complete)).encode())
    objects.put_json(result, _summary(expected, complete, archive, domain) | {"suspect": suspects})


def _read_markers(paths: list[Path], digest: str) -> tuple[dict[Path, dict], list[str]]:
    """The usable markers, and an error message for each of the others."""
    usable, wrong = {}, []
    for path in paths:
        try:
            marker = json.loads(path.read_text())
            complete = {"recipe", "objects", "first", "frames", "rounding_error", "blocks"} <= set(marker)
        except (OSError, ValueError):
            complete = False
        if not complete:
            wrong.append(f"{path} is not a complete marker; {_remedy(path)}")
        elif marker["recipe"] != digest:
            wrong.append(f"{path} was written for another recipe than that of the layout; {_remedy(path)}")
        else:
            usable[path] = marker
    return usable, wrong


def _remedy(marker: Path) -> str:
    return f"snakemake --forcerun {marker}"


def missing_shards(markers: list[Path], domain: Domain, product: Ensemble) -> list[str]:
    """Shards without a marker."""
    available = {marker.stem for marker in markers}
    missing = [shard.name for shard in shards.cut(domain, product) if shard.name not in available]
    return [f"shard {name} is missing; {_marker_command(markers, name)}" for name in missing]


def _marker_command(markers: list[Path], name: str) -> str:
    """The command that writes a shard and its marker."""
    return f"snakemake {markers[0].with_name(f'{name}.json')}" if markers else "run snakemake again"


def foreign_objects(archive: Path, markers: dict[Path, dict]) -> list[str]:
    """Objects that no marker lists, provided that no marker is missing: files of another layout, for example."""
    listed = {name for marker in markers.values() for name in marker["objects"]}
    channels = {name.split("/c/")[0] for name in listed}
    found = {file.relative_to(archive).as_posix() for folder in channels for file in _files(archive / folder / "c")}
    return [f"{archive / name} belongs to no shard; delete it" for name in sorted(found - listed)]


def _files(folder: Path) -> list[Path]:
    """All files below a folder, without the partial files of killed jobs, which readers ignore."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(PARTIAL_SUFFIX)]


def _open_arrays(
    archive: Path, domain: Domain, product: Ensemble, layout: dict
) -> tuple[dict[str, zarr.Array], list[str]]:
    """The arrays that can be opened, by their path in the store, and all errors of the store's metadata."""
    try:
        existing = recipe.read(archive)
    except UserError as error:
        existing, wrong = None, [str(error)]
    else:
        wrong = [] if existing else [f"there is no archive {archive}; {LAYOUT}"]
    if existing and recipe.digest(existing) != layout["recipe"]:
        wrong.append(f"{archive} has another recipe than {layout['recipe'][: recipe.DIGITS]}…; {LAYOUT}")
    wrong += [line for key, checksum in layout["objects"].items() for line in _damage(archive / key, checksum, LAYOUT)]
    arrays: dict[str, zarr.Array] = {}
    for group in GROUPS:
        wrong += _time_errors(archive, group, domain, product)
        for name in domain.channels:
            key = f"{group}/{name}".lstrip("/")
            array = _open_array(archive / key, CHANNELS[name], product.members if not group else None, wrong)
            if array is not None:
                arrays[key] = array
    return arrays, wrong


def _open_array(path: Path, channel: Channel, members: int | None, wrong: list[str]) -> zarr.Array | None:
    """Open an array; appends what is wrong with it to `wrong`."""
    try:
        array = zarr.open_array(path, mode="r")
    except Exception as error:  # damaged metadata may raise anything
        wrong.append(f"cannot open {path} ({error}); {LAYOUT}")
        return None
    if (units := array.attrs.get("units")) != channel.units:
        wrong.append(f"{path} has units {units!r}, not {channel.units!r}; {LAYOUT}")
    if members and array.shape[0] != members:
        wrong.append(f"{path} has {array.shape[0]} members, not {members}; {LAYOUT}")
    return array


def _time_errors(archive: Path, group: str, domain: Domain, product: Ensemble) -> list[str]:
    """Errors of the time axis of a group."""
    expected = np.concatenate([shard.times(domain.step_hours) for shard in shards.cut(domain, product)])
    path = archive / group / "time"
    try:
        axis = zarr.open_array(path, mode="r")
        times = metadata.decode_times(axis)
    except Exception as error:  # damaged metadata may raise anything
        return [f"cannot read {path} ({error}); {LAYOUT}"]
    if np.array_equal(times, expected):
        return []
    return [
        f"{path}: the time axis is not that of the test period ({len(expected)} frames every "
        f"{in_words(domain.step_hours)} from {np.datetime_as_string(expected[0], 'm')}); {LAYOUT}"
    ]


def _shard_errors(
    path: Path,
    marker: dict,
    archive: Path,
    arrays: dict[str, zarr.Array],
    product: Ensemble,
    search: SuspectSearch | None,
) -> list[str]:
    """Errors of the objects of one shard, read one at a time; `search` receives the values without errors."""
    wrong, remedy, mask = [], _remedy(path), metadata.covered(archive)
    expected = expected_objects(arrays, marker["first"] // product.shard_frames)
    for name in sorted(expected - set(marker["objects"])):
        wrong.append(f"{path} does not list {name}; {remedy}")
    for name, checksum in marker["objects"].items():
        damage = _damage(archive / name, checksum, remedy)
        wrong += damage
        if not damage and (key := name.split("/c/")[0]) in arrays:
            wrong += [
                f"{archive / name}: {line}; {remedy}" for line in _value_errors(name, arrays[key], marker, search, mask)
            ]
    return wrong


def _damage(path: Path, checksum: str, remedy: str) -> list[str]:
    """An error message if a file is missing or its checksum is wrong."""
    try:
        return [] if objects.sha256(path) == checksum else [f"{path} is damaged; {remedy}"]
    except OSError:
        return [f"{path} is missing; {remedy}"]


def expected_objects(arrays: dict[str, zarr.Array], number: int) -> set[str]:
    """Keys of the objects that shard `number` of the archive, from 0, has to have."""
    keys = set()
    for key, array in arrays.items():
        blocks = range(-(-array.shape[0] // array.shards[0])) if array.ndim == 4 else [None]
        keys |= {f"{key}/c/{f'{number}' if block is None else f'{block}/{number}'}/0/0" for block in blocks}
    return keys


def _value_errors(
    name: str, array: zarr.Array, marker: dict, search: SuspectSearch | None, mask: np.ndarray | None
) -> list[str]:
    """Errors in the values of an object: not finite, finite where the source does not cover a point, or impossible."""
    time = slice(marker["first"], marker["first"] + marker["frames"])
    block = int(name.split("/c/")[1].split("/")[0])
    members = slice(block * array.shards[0], (block + 1) * array.shards[0])
    try:
        values = array[(members, time) if array.ndim == 4 else (time,)]
    except Exception as error:  # the bytes are right, the array's metadata are not
        return [f"it cannot be decoded ({error})"]
    *group, short = name.split("/c/")[0].split("/")
    channel, where = CHANNELS[short], f"in the shard of frames {time.start} to {time.stop - 1}"
    covered = np.broadcast_to(True if mask is None else mask, values.shape)
    if holes := int(np.count_nonzero(np.isfinite(values) != covered)):
        more = "" if mask is None else ", or that are finite at points without a source,"
        return [f"{short} has {holes} values that are not finite{more} {where}"]
    lowest = 0.0 if group == ["spread"] else channel.lowest
    known = values[covered]
    if known.size and (known.min() < lowest or known.max() > channel.highest):
        return [
            f"{short} reaches from {known.min():g} to {known.max():g} {channel.units}, outside {lowest:g} to "
            f"{channel.highest:g}, {where}"
        ]
    if search:
        search.add(name.split("/c/")[0], members if array.ndim == 4 else slice(0, 1), time.start, values)
    return []


def provenance_rows(markers: list[dict]) -> list[dict[str, object]]:
    """The provenance table: a row for each shard and block of members."""
    columns = ("shard", "first", "frames")
    return [{name: marker[name] for name in columns} | block for marker in markers for block in marker["blocks"]]


def to_csv(rows: list[dict[str, object]]) -> str:
    """Rows as CSV, empty where a row has no value for a column."""
    columns, text = list(dict.fromkeys(name for row in rows for name in row)), io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _summary(layout: dict, markers: list[dict], archive: Path, domain: Domain) -> dict[str, object]:
    """Content of `check.json`: the size of the archive, and its rounding error as a share of the spread."""
    return {
        "complete": True,
        "recipe": layout["recipe"],
        "shards": len(markers),
        "frames": sum(marker["frames"] for marker in markers),
        "members": layout["settings"]["product"]["members"],
        "objects": sum(len(marker["objects"]) for marker in markers),
        "bytes": sum(path.stat().st_size for path in _files(archive)),
        "kept_mantissa_bits": layout["bits"],
        "rounding_error": {
            name: rounding.share_of_spread([marker["rounding_error"][name] for marker in markers])
            for name in domain.channels
        },
    }
