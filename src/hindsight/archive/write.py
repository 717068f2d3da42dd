"""Write one shard of the archive: whole objects of its own, which no other job touches; then the marker."""

import hashlib
import json
from pathlib import Path

import numpy as np
import zarr

from hindsight.archive.layout import MANTISSA_BITS
from hindsight.errors import UserError
from hindsight.fields import analyses as analysis_files
from hindsight.fields import shards, store
from hindsight.settings import Domain, Product


def run(domain: Domain, product: Product, *, layout: Path, analyses: list[Path], archive: Path, marker: Path) -> None:
    """Write one shard of the archive, members, mean and spread, then its marker."""
    recipe = json.loads(layout.read_text())
    shard = shards.named(marker.stem, domain, product)
    values = _members(analyses, shard, domain, product)
    number, first = place(domain, product, shard)
    written = {}
    for prefix, field in FIELDS.items():
        for index, channel in enumerate(domain.channels):
            field_values = values[:, :, index] if field is None else field(values[:, :, index], 0)
            rounded = round_to(field_values.astype("float32"), recipe["bits"][channel])
            path = archive / prefix / channel
            _write(path, rounded, first)
            key = path / "c" / Path(*map(str, ([0] if not prefix else []) + [number, 0, 0]))
            written[str(key.relative_to(archive))] = hashlib.sha256(key.read_bytes()).hexdigest()
    text = {
        "shard": shard.name,
        "frames": shard.frames,
        "first": first,
        "recipe": recipe["recipe"],
        "objects": written,
    }
    store.replace(marker, lambda partial: partial.write_text(json.dumps(text, indent=1, sort_keys=True)))


def place(domain: Domain, product: Product, shard: shards.Shard) -> tuple[int, int]:
    """The number of a shard in the archive, and of its first frame."""
    names = [known.name for known in shards.cut(domain, product)]
    number = names.index(shard.name)
    return number, sum(known.frames for known in shards.cut(domain, product)[:number])


def round_to(values: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 to a number of mantissa bits, half to even (Klöwer et al. 2021, doi:10.1038/s43588-021-00156-2)."""
    drop = MANTISSA_BITS - bits
    if drop <= 0:
        return values
    pattern = values.view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1)
    odd = (pattern >> np.uint32(drop)) & np.uint32(1)
    mask = np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    return ((pattern + half + odd) & mask).view(np.float32)


def _spread(values: np.ndarray, axis: int) -> np.ndarray:
    return values.astype(float).std(axis, ddof=1)


FIELDS = {"": None, "mean": np.mean, "spread": _spread}  # what each group of the layout holds of the members


def _members(paths: list[Path], shard: shards.Shard, domain: Domain, product: Product) -> np.ndarray:
    found = analysis_files.read(paths)
    times = shard.times(domain.step_hours)
    if not np.array_equal(found["time"].values, times) or found.sizes["realization"] != product.members:
        raise UserError(
            f"{', '.join(map(str, paths))} hold {found.sizes['realization']} members of "
            f"{found.sizes['time']} frames from {found['time'].values[0]}; the archive's shard {shard.name} "
            f"needs {product.members} of {len(times)} from {times[0]}; run snakemake again"
        )
    return found["analysis"].transpose("realization", "time", "channel", "latitude", "longitude").values


def _write(path: Path, values: np.ndarray, first: int) -> None:
    array = zarr.open_array(path, mode="r+")
    along = 1 if values.ndim == 4 else 0
    step, length = array.shards[along], array.shape[along]
    count = values.shape[along]
    if first % step or (count != step and first + count != length):
        raise UserError(
            f"{path}: frames {first} to {first + count} are not whole shards of {step}; product.epoch must "
            "lie a whole number of shards from the start of the test period"
        )
    array[(slice(None),) * along + (slice(first, first + count),)] = values
