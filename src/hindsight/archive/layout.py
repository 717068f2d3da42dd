"""Lay out the whole archive before any data; let one that is there grow by its metadata alone.

The layout is made in memory, and every file of it that differs on disk is replaced, the root's metadata last. So a
first layout, one that grows, and one that was killed are the same thing, and no data object is ever touched.
"""

import shutil
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.storage import MemoryStore

from hindsight.archive import blocks, metadata, objects, recipe
from hindsight.archive.metadata import GROUPS, Holds
from hindsight.errors import UserError
from hindsight.fields import rounding, shards, store
from hindsight.fields.chunks import PACKED, tiles
from hindsight.settings import Archive, Domain, Ensemble, Observe, Reanalyse
from hindsight.settings.lexicon import CHANNELS

COORDINATE_CHUNK = {"time": 16384, "realization": 1024}  # fixed, so that a longer axis keeps the chunks of a shorter


def run(
    domain: Domain,
    product: Ensemble,
    reanalyse: Reanalyse,
    observe: Observe,
    settings: Archive,
    *,
    first: list[Path],
    fields: Path,
    archive: Path,
    marker: Path,
) -> None:
    """Lay out the archive, or let it grow: dimensions, attributes and encodings of every array, before any data."""
    sample, cuts = blocks.heads(first), _whole_shards(domain, product)
    said = blocks.made_from(sample[0])
    blocks.require(sample, cuts[0].times(domain.step_hours), product.members, domain.channels, said)
    asked = {"settings": recipe.settings_of(domain, product, settings, reanalyse, observe), "made_from": said}
    there = _may_grow(archive, asked, settings.replace)
    asked["bits"] = there["bits"] if there else bits(sample, domain.channels, settings.spread_share)
    holds = _holds(sample[0], np.concatenate([s.times(domain.step_hours) for s in cuts]), product.members, asked)
    now, before = (
        metadata.about(settings, domain, holds, store.read(fields)),
        recipe.attributes_of(archive) if there else None,
    )
    attributes = metadata.dated(now, before, _event(there, holds))
    files = wanted(holds, product, settings, attributes)
    _synchronise(archive, files)
    sums = {key: objects.sha256_of(content) for key, content in files.items()}
    text = asked | {"recipe": attributes["recipe_digest"], "attributes": attributes, "objects": sums}
    objects.put_json(marker, text)


def bits(sample: list[xr.Dataset], channels: list[str], share: float) -> dict[str, int]:
    """Mantissa bits to keep in each channel, by what the first shard's members are apart."""
    return {name: rounding.bits(blocks.values(sample, name), share) for name in channels}


def _holds(head: xr.Dataset, times: np.ndarray, members: int, asked: dict) -> Holds:
    grid = (head[axis].values.astype("float64") for axis in ("latitude", "longitude"))
    return Holds(times, *grid, members, asked)


def _whole_shards(domain: Domain, product: Ensemble) -> list[shards.Shard]:
    """The shards of the archive, all of which but the last have to be whole.

    Raises:
        UserError: if the first one is not, since objects of the store are counted from the first frame.
    """
    cuts = shards.cut(domain, product)
    if len(cuts) > 1 and cuts[0].frames != product.shard_frames:
        raise UserError(
            f"the archive's first shard has {cuts[0].frames} frames, not {product.shard_frames}; product.epoch "
            f"({product.epoch}) must lie a whole number of shards from domain.test.start ({domain.test.start})"
        )
    return cuts


def _may_grow(archive: Path, asked: dict, replace: bool) -> dict | None:
    """The recipe of the archive that is there and can become what is asked; nothing if there is none, or no longer.

    Raises:
        UserError: if it is of another recipe and may not be replaced, with every difference.
    """
    try:
        there = recipe.of_archive(archive)
        lines = recipe.differences(there, asked) if there else []
        refusal = recipe.refusal(archive, lines) if lines else ""
    except UserError as error:
        there, refusal = None, str(error)
    if refusal and not replace:
        raise UserError(refusal)
    if refusal:
        _take_away(archive)
        return None
    return there


def _take_away(archive: Path) -> None:
    """Remove an archive; a killed removal leaves nothing that looks like one."""
    old = archive.with_name(archive.name + ".replaced")
    with objects.writing(archive):
        shutil.rmtree(old, ignore_errors=True)
        archive.rename(old)
        shutil.rmtree(old)


def _event(there: dict | None, holds: Holds) -> str:
    """What happens to the archive, for its history."""
    if there is None:
        return "laid out"
    grown = []
    before, after = ({k: recipe.flatten(r["settings"])[k] for k in recipe.MAY_GROW} for r in (there, holds.recipe))
    end, members = recipe.MAY_GROW
    if before[end] != after[end]:
        grown.append(f"to {after[end]}")
    if before[members] != after[members]:
        grown.append(f"to {after[members]} members")
    return f"grown {' and '.join(grown)}" if grown else "described anew"


def wanted(holds: Holds, product: Ensemble, settings: Archive, attributes: dict) -> dict[str, bytes]:
    """Every file of the layout, by its key, in the order in which they may be put."""
    made = objects.in_memory(lambda memory: _lay_out(memory, holds, product, settings, attributes))
    return dict(sorted(made.items(), key=lambda item: (item[0].endswith("zarr.json"), -item[0].count("/"), item[0])))


def _synchronise(archive: Path, files: dict[str, bytes]) -> None:
    """Put what differs: coordinates first, then metadata, the root's last, so that a reader sees the old or the new."""
    for key, content in files.items():
        objects.put(archive / key, content)


def _lay_out(memory: MemoryStore, holds: Holds, product: Ensemble, settings: Archive, attributes: dict) -> None:
    """Make metadata and coordinates in memory."""
    root = zarr.create_group(memory, zarr_format=3, attributes=attributes)
    for name, prefix in GROUPS.items():
        title = {"title": f"{prefix.capitalize()}{attributes['title']}"}
        group = root.create_group(name, attributes=attributes | title) if name else root
        _coordinates(group, holds, with_members=not name)
        for channel in holds.channels:
            _variable(group, channel, name, holds, product, settings)
    with warnings.catch_warnings():  # repeat all metadata at the head of each group: it opens in one read
        warnings.simplefilter("ignore", category=zarr.errors.ZarrUserWarning)  # says that Zarr 3 has no standard for it
        for name in sorted(GROUPS, reverse=True):
            zarr.consolidate_metadata(memory, path=name or None, zarr_format=3)


def _coordinates(group: zarr.Group, holds: Holds, with_members: bool) -> None:
    hours = (holds.times - np.datetime64("1900-01-01")) // np.timedelta64(1, "h")
    coordinates = {
        "time": (hours.astype("int64"), metadata.TIME),
        "latitude": (holds.latitude, metadata.LATITUDE),
        "longitude": (holds.longitude, metadata.LONGITUDE),
    }
    if with_members:
        coordinates["realization"] = (np.arange(holds.members, dtype="int64"), metadata.MEMBER)
    for name, (values, attributes) in coordinates.items():
        chunk = (COORDINATE_CHUNK.get(name, len(values)),)
        group.create_array(name, data=values, chunks=chunk, dimension_names=[name], attributes=attributes)
    levels = sorted({CHANNELS[name].level for name in holds.channels} - {None})
    for level in levels:
        value = np.array(float(level))
        group.create_array(f"level_{level}", data=value, dimension_names=[], attributes=metadata.level())


def _variable(group: zarr.Group, name: str, kind: str, holds: Holds, product: Ensemble, settings: Archive) -> None:
    """One array: an object a shard of frames and block of members, in chunks for maps and for time series."""
    dimensions = ["time", "latitude", "longitude"]
    tile, whole = tiles(holds.shape, settings.chunk_points)
    shape, chunk = (len(holds.times), *holds.shape), (settings.chunk_frames, *tile)
    shard = (product.shard_frames, *whole)
    if not kind:
        dimensions, shape = ["realization", *dimensions], (holds.members, *shape)
        chunk, shard = (1, *chunk), (product.member_block, *shard)
    group.create_array(
        name,
        shape=shape,
        dtype="float32",
        chunks=chunk,
        shards=shard,
        fill_value=np.nan,
        compressors=PACKED,
        dimension_names=dimensions,
        attributes=metadata.variable(CHANNELS[name], kind, holds.recipe["bits"][name]),
    )
