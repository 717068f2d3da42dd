"""Lay out the whole archive before any data: every array, its chunks, its attributes."""

import hashlib
import json
import os
import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from hindsight import __version__
from hindsight.fields import analyses, calendar, shards, store
from hindsight.settings import Archive, Domain, Product
from hindsight.settings.lexicon import CHANNELS, Channel

GROUPS = {"": "", "mean": "ensemble mean of ", "spread": "ensemble standard deviation of "}
MANTISSA_BITS = 23  # of a float32


def run(
    domain: Domain, product: Product, settings: Archive, *, first: list[Path], fields: Path, archive: Path, marker: Path
) -> None:
    """Lay out the archive: dimensions, attributes and encodings of every array, before any data."""
    sample, source = analyses.read(first), store.read(fields)
    recipe = {
        "domain": domain.model_dump(mode="json"),
        "product": product.model_dump(mode="json"),
        "archive": settings.model_dump(mode="json"),
        "made_from": {k: str(v) for k, v in sample.attrs.items()},
        "bits": bits(sample, settings.spread_share),
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    if not (archive / "zarr.json").is_file() or _recipe_of(archive) != digest:
        _lay_out(
            archive, sample, domain, product, settings, recipe["bits"], _about(settings, domain, source, sample, digest)
        )
    text = json.dumps(recipe | {"recipe": digest}, indent=1, sort_keys=True)
    store.replace(marker, lambda partial: partial.write_text(text))


def bits(sample: xr.Dataset, share: float) -> dict[str, int]:
    """Mantissa bits to keep in each channel, so that rounding is off by at most a share of the ensemble's spread.

    Rounding to k bits is off by at most 2^(e - k - 1), e the exponent of the largest value.
    """
    kept = {}
    for channel in sample["channel"].values:
        values = sample["analysis"].sel(channel=channel).values.astype(float)
        allowed = share * np.sqrt(values.var(0, ddof=1).mean())
        exponent = np.floor(np.log2(np.abs(values).max()))
        kept[str(channel)] = int(np.clip(np.ceil(exponent - 1 - np.log2(allowed)), 1, MANTISSA_BITS))
    return kept


def _recipe_of(archive: Path) -> str | None:
    try:
        return json.loads((archive / "zarr.json").read_text())["attributes"].get("recipe")
    except (OSError, ValueError, KeyError):
        return None


def _lay_out(
    archive: Path,
    sample: xr.Dataset,
    domain: Domain,
    product: Product,
    settings: Archive,
    kept: dict[str, int],
    attributes: dict,
) -> None:
    """Write the metadata and coordinates beside the archive's place, then move them there."""
    partial = archive.with_name(archive.name + ".partial")
    for old in (partial, archive):
        shutil.rmtree(old, ignore_errors=True)
    times = np.concatenate([s.times(domain.step_hours) for s in shards.cut(domain, product)])
    root = zarr.create_group(partial, zarr_format=3, attributes=attributes)
    for name, prefix in GROUPS.items():
        group = (
            root.create_group(
                name,
                attributes=attributes
                | {"title": f"{prefix}{settings.title}".capitalize() if prefix else settings.title},
            )
            if name
            else root
        )
        members = None if name else product.members
        _coordinates(group, times, sample, members)
        for channel in domain.channels:
            _variable(group, CHANNELS[channel], prefix, members, len(times), sample, product, settings, kept[channel])
    _gather_metadata(partial)
    partial.rename(archive)


def _gather_metadata(archive: Path) -> None:
    """Repeat the metadata of all arrays at the head of each group, so that it opens in one read, no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=zarr.errors.ZarrUserWarning)  # says that Zarr 3 has no standard for it
        for name in sorted(GROUPS, reverse=True):
            zarr.consolidate_metadata(archive, path=name or None, zarr_format=3)


def _coordinates(group: zarr.Group, times: np.ndarray, sample: xr.Dataset, members: int | None) -> None:
    hours = (times - np.datetime64("1900-01-01")) // np.timedelta64(1, "h")
    coordinates = {
        "time": (
            hours.astype("int64"),
            {
                "standard_name": "time",
                "axis": "T",
                "units": "hours since 1900-01-01",
                "calendar": "proleptic_gregorian",
            },
        ),
        "latitude": (
            sample["latitude"].values.astype("float64"),
            {"standard_name": "latitude", "axis": "Y", "units": "degrees_north"},
        ),
        "longitude": (
            sample["longitude"].values.astype("float64"),
            {"standard_name": "longitude", "axis": "X", "units": "degrees_east"},
        ),
    }
    if members:
        coordinates["realization"] = (np.arange(members, dtype="int64"), {"standard_name": "realization", "units": "1"})
    for name, (values, attributes) in coordinates.items():
        group.create_array(name, data=values, chunks=values.shape, dimension_names=[name], attributes=attributes)


def _variable(
    group: zarr.Group,
    channel: Channel,
    prefix: str,
    members: int | None,
    frames: int,
    sample: xr.Dataset,
    product: Product,
    settings: Archive,
    kept: int,
) -> None:
    """One array, chunked for maps and gathered into one object a shard of frames."""
    grid = sample.sizes["latitude"], sample.sizes["longitude"]
    dimensions = ["time", "latitude", "longitude"]
    shape, chunk, whole = (frames, *grid), (settings.chunk_frames, *grid), (product.shard_frames, *grid)
    if members:
        dimensions, shape, chunk, whole = (
            ["realization", *dimensions],
            (members, *shape),
            (1, *chunk),
            (members, *whole),
        )
    attributes = {
        **({"standard_name": channel.standard_name} if channel.standard_name else {}),
        "long_name": prefix + channel.long_name,
        "units": channel.units,
        "kept_mantissa_bits": kept,
        "coordinates": "",
    }
    if prefix:
        attributes["cell_methods"] = f"realization: {'mean' if 'mean' in prefix else 'standard_deviation'}"
    if channel.level:
        attributes["coordinates"] = _level(group, channel.level)
    else:
        del attributes["coordinates"]
    group.create_array(
        channel.name,
        shape=shape,
        dtype="float32",
        chunks=chunk,
        shards=whole,
        fill_value=np.nan,
        compressors=BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"),
        dimension_names=dimensions,
        attributes=attributes,
    )


def _level(group: zarr.Group, level: int) -> str:
    """A scalar coordinate for a pressure level, shared by the variables on it."""
    name = f"level_{level}"
    if name not in group:
        group.create_array(
            name,
            data=np.array(float(level)),
            dimension_names=[],
            attributes={"standard_name": "air_pressure", "units": "hPa", "axis": "Z", "positive": "down"},
        )
    return name


def _about(settings: Archive, domain: Domain, source: xr.Dataset, sample: xr.Dataset, recipe: str) -> dict:
    """Global attributes: CF 1.11 and ACDD 1.3."""
    latitude, longitude = sample["latitude"].values, sample["longitude"].values
    today = f"{_today():%Y-%m-%d}"
    return {
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": settings.title,
        "summary": settings.summary,
        "institution": settings.institution,
        "license": settings.licence,
        "id": f"hindsight-{recipe[:16]}",
        "source": f"hindsight {__version__}, {sample.attrs.get('regime', '')} regime, prior "
        f"{sample.attrs.get('prior', '')[:16]} trained on {source.attrs.get('source_title', 'its source')}",
        **_lacking(source, domain),
        "acknowledgement": source.attrs.get("source_licence", ""),
        "date_created": today,
        "history": f"{today} laid out by hindsight {__version__}",
        "recipe": recipe,
        "keywords": "reanalysis, ensemble, data assimilation, diffusion model",
        "time_coverage_start": f"{domain.test.start:%Y-%m-%dT%H:%MZ}",
        "time_coverage_end": f"{domain.test.end:%Y-%m-%dT%H:%MZ}",
        "time_coverage_resolution": f"PT{domain.step_hours}H",
        "geospatial_lat_min": float(latitude.min()),
        "geospatial_lat_max": float(latitude.max()),
        "geospatial_lon_min": float(longitude.min()),
        "geospatial_lon_max": float(longitude.max()),
    }


def _lacking(source: xr.Dataset, domain: Domain) -> dict[str, str]:
    """The frames that the source lacks, which the archive has all the same."""
    test = calendar.in_period(source, domain.test, "the fields")
    times = test["time"].values[~calendar.known(test)]
    if not len(times):
        return {}
    listed = ", ".join(np.datetime_as_string(times, "m"))
    return {"comment": f"The source lacks {listed}; analysed from observations of other frames, and not scored."}


def _today() -> datetime:
    """The date, or the one that SOURCE_DATE_EPOCH asks for, so that a build can be repeated to the byte."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    return datetime.now(UTC)
