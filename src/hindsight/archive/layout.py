"""Make the layout of the archive before any data is written, or extend that of an existing archive.

The layout is made in memory, and every file of it that differs on disk is replaced, the root's metadata last. So a new
layout, an extended one and one whose job was killed take the same path, and data objects are never touched.
"""

import shutil
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.storage import MemoryStore

from hindsight.archive import blocks, metadata, objects, recipe
from hindsight.archive.metadata import GROUPS, Contents
from hindsight.errors import UserError
from hindsight.fields import rounding, shards, store
from hindsight.fields.chunks import COMPRESSOR, tiles
from hindsight.fields.grid import COVERED, Grid
from hindsight.fields.plane import Plane
from hindsight.settings import Archive, Domain, Ensemble, Observe, Reanalyse
from hindsight.settings.lexicon import CHANNELS

COORDINATE_CHUNK = {"time": 16384, "realization": 1024}  # fixed, so that an axis keeps its chunks when it grows


def run(
    domain: Domain,
    product: Ensemble,
    reanalyse: Reanalyse,
    observe: Observe,
    settings: Archive,
    *,
    first_shard: list[Path],
    fields: Path,
    archive: Path,
    marker: Path,
) -> None:
    """Make or extend the archive's layout: dimensions, attributes and encodings of every array, before any data."""
    sample, cuts = blocks.headers(first_shard), _whole_shards(domain, product)
    origin = blocks.made_from(sample[0])
    blocks.check_shard(sample, cuts[0].times(domain.step_hours), product.members, domain.channels, origin)
    requested = {"settings": recipe.recipe_settings(domain, product, settings, reanalyse, observe), "made_from": origin}
    existing = _existing_recipe(archive, requested, settings.replace)
    requested["bits"] = existing["bits"] if existing else bits(sample, domain.channels, settings.spread_share)
    times = np.concatenate([shard.times(domain.step_hours) for shard in cuts])
    source = store.read(fields)
    contents = _contents(sample[0], times, product.members, requested, source)
    attributes = metadata.with_history(
        metadata.global_attributes(settings, domain, contents, source),
        recipe.read_attributes(archive) if existing else None,
        _event(existing, contents),
    )
    files = layout_files(contents, product, settings, attributes)
    _synchronise(archive, files)
    checksums = {key: objects.sha256_of(content) for key, content in files.items()}
    summary = {"recipe": attributes["recipe_digest"], "attributes": attributes, "objects": checksums}
    objects.put_json(marker, requested | summary)


def bits(sample: list[xr.Dataset], channels: list[str], share: float) -> dict[str, int]:
    """Mantissa bits to keep in each channel, from the spread of the first shard's members."""
    return {name: rounding.bits(blocks.values(sample, name), share) for name in channels}


def _contents(header: xr.Dataset, times: np.ndarray, members: int, requested: dict, source: xr.Dataset) -> Contents:
    grid = (header[axis].values.astype("float64") for axis in ("latitude", "longitude"))
    return Contents(times, *grid, members, requested, Plane.of(source.attrs), Grid.of(source).covered)


def _whole_shards(domain: Domain, product: Ensemble) -> list[shards.Shard]:
    """The shards of the archive, each of which except the last must have its full length.

    Raises:
        UserError: if the first one is shorter, because objects of the store are numbered from the first frame.
    """
    cuts = shards.cut(domain, product)
    if len(cuts) > 1 and cuts[0].frames != product.shard_frames:
        raise UserError(
            f"the archive's first shard has {cuts[0].frames} frames, not {product.shard_frames}; product.epoch "
            f"({product.epoch}) must lie a whole number of shards from domain.test.start ({domain.test.start})"
        )
    return cuts


def _existing_recipe(archive: Path, requested: dict, replace: bool) -> dict | None:
    """The recipe of an existing archive that can be extended; None if there is none, or if it was just removed.

    Raises:
        UserError: if the archive has another recipe and may not be replaced, with every difference.
    """
    try:
        existing = recipe.read(archive)
        lines = recipe.differences(existing, requested) if existing else []
        refusal = recipe.refusal(archive, lines) if lines else ""
    except UserError as error:
        existing, refusal = None, str(error)
    if refusal and not replace:
        raise UserError(refusal)
    if refusal:
        _remove(archive)
        return None
    return existing


def _remove(archive: Path) -> None:
    """Remove an archive; if the job is killed, what remains does not look like an archive."""
    old = archive.with_name(archive.name + ".replaced")
    with objects.writing(archive):
        shutil.rmtree(old, ignore_errors=True)
        archive.rename(old)
        shutil.rmtree(old)


def _event(existing: dict | None, contents: Contents) -> str:
    """What this job changes, for the history of the archive."""
    if existing is None:
        return "created"
    changes = []
    before, after = (
        {k: recipe.flatten(r["settings"])[k] for k in recipe.MAY_GROW} for r in (existing, contents.recipe)
    )
    end, members = recipe.MAY_GROW
    if before[end] != after[end]:
        changes.append(f"to {after[end]}")
    if before[members] != after[members]:
        changes.append(f"to {after[members]} members")
    return f"extended {' and '.join(changes)}" if changes else "metadata changed"


def layout_files(contents: Contents, product: Ensemble, settings: Archive, attributes: dict) -> dict[str, bytes]:
    """Every file of the layout by key, in the order in which they are written."""
    files = objects.in_memory(lambda memory: _lay_out(memory, contents, product, settings, attributes))
    return dict(sorted(files.items(), key=lambda item: (item[0].endswith("zarr.json"), -item[0].count("/"), item[0])))


def _synchronise(archive: Path, files: dict[str, bytes]) -> None:
    """Replace files that differ: coordinates, then metadata, the root's last, so that readers see old or new."""
    for key, content in files.items():
        objects.put(archive / key, content)


def _lay_out(memory: MemoryStore, contents: Contents, product: Ensemble, settings: Archive, attributes: dict) -> None:
    """Write metadata and coordinates to a store in memory."""
    root = zarr.create_group(memory, zarr_format=3, attributes=attributes)
    for name, prefix in GROUPS.items():
        title = {"title": f"{prefix.capitalize()}{attributes['title']}"}
        group = root.create_group(name, attributes=attributes | title) if name else root
        _coordinates(group, contents, settings, with_members=not name)
        for channel in contents.channels:
            _variable(group, channel, name, contents, product, settings)
    with warnings.catch_warnings():  # consolidated metadata, so that a group opens with one read
        warnings.simplefilter("ignore", category=zarr.errors.ZarrUserWarning)  # about the lack of a standard in Zarr 3
        for name in sorted(GROUPS, reverse=True):
            zarr.consolidate_metadata(memory, path=name or None, zarr_format=3)


def _coordinates(group: zarr.Group, contents: Contents, settings: Archive, with_members: bool) -> None:
    coordinates = {
        **_times(contents, settings),
        **metadata.axes(contents),
    }
    if with_members:
        coordinates["realization"] = (np.arange(contents.members, dtype="int64"), metadata.MEMBER)
    for name, (values, attributes) in coordinates.items():
        dimensions = ["time" if name.startswith("time") else name, "bounds"][: values.ndim]
        chunk = (COORDINATE_CHUNK.get(dimensions[0], len(values)), 2)[: values.ndim]
        group.create_array(name, data=values, chunks=chunk, dimension_names=dimensions, attributes=attributes)
    for name, (values, attributes) in (metadata.true_places(contents) | metadata.coverage(contents)).items():
        sides = ["latitude", "longitude"]
        group.create_array(name, data=values, chunks=values.shape, dimension_names=sides, attributes=attributes)
    levels = {one[0]: one for name in contents.channels if (one := metadata.vertical(CHANNELS[name]))}
    for name, value, attributes in levels.values():
        group.create_array(name, data=np.array(value), dimension_names=[], attributes=attributes)


def _times(contents: Contents, settings: Archive) -> dict[str, tuple[np.ndarray, dict]]:
    """The coordinates of time and their bounds: values since 1900, and attributes."""
    values, axis = metadata.encode_times(contents.times)
    per_hour = 60 if axis["units"].startswith("minutes") else 1
    found: dict[str, tuple[np.ndarray, dict]] = {"time": (values, axis)}
    for period, name in metadata.time_coordinates(settings, contents.channels).items():
        about = axis if name == "time" else metadata.other_time(axis, *period)
        found[name] = values, about | {"bounds": f"{name}_bounds"}
        found[f"{name}_bounds"] = values[:, None] + per_hour * np.array(period), {}
    return found


def _variable(
    group: zarr.Group, name: str, kind: str, contents: Contents, product: Ensemble, settings: Archive
) -> None:
    """Create one array: an object per shard and block of members, in chunks between those for maps and for series."""
    dimensions = ["time", "latitude", "longitude"]
    tile, whole = tiles(contents.shape, settings.chunk_points)
    shape, chunk = (len(contents.times), *contents.shape), (settings.chunk_frames, *tile)
    shard = (product.shard_frames, *whole)
    if not kind:
        dimensions, shape = ["realization", *dimensions], (contents.members, *shape)
        chunk, shard = (1, *chunk), (product.member_block, *shard)
    group.create_array(
        name,
        shape=shape,
        dtype="float32",
        chunks=chunk,
        shards=shard,
        fill_value=np.nan,
        compressors=COMPRESSOR,
        dimension_names=dimensions,
        attributes=metadata.variable(
            CHANNELS[name], kind, contents.recipe["bits"][name], settings, contents.channels, contents.plane is not None
        )
        | ({} if contents.covered is None else {"ancillary_variables": COVERED}),
    )
