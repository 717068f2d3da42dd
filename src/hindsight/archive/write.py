"""Write one shard of the archive: whole objects of its own, which no other job touches; then the marker.

An object is encoded in memory and put in place whole, or left alone where the same bytes lie there already. So after
more members only new objects, mean and spread are written.
"""

import json
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight import __version__
from hindsight.archive import blocks, objects
from hindsight.archive.metadata import GROUPS
from hindsight.errors import UserError
from hindsight.fields import rounding, shards
from hindsight.settings import Domain, Ensemble


def run(domain: Domain, product: Ensemble, *, layout: Path, analyses: list[Path], archive: Path, marker: Path) -> None:
    """Write one shard of the archive, members, mean and spread, then its marker."""
    told = json.loads(layout.read_text())
    shard = shards.named(marker.stem, domain, product)
    number, first = place(domain, product, shard)
    heads = blocks.heads(analyses)
    blocks.require(heads, shard.times(domain.step_hours), product.members, domain.channels, told["made_from"])
    written, lost = {}, {}
    for channel in domain.channels:
        values = blocks.values(heads, channel)
        kept = told["bits"][channel]
        lost[channel] = rounding.loss(values, rounding.round_to(values, kept))
        for group in GROUPS:
            array = _array(archive, group, channel, first + shard.frames)
            for key, part in parts(FIELDS[group](values), group, number, array):
                name = "/".join(filter(None, [group, channel, key]))
                objects.put(archive / name, content := objects.encode(rounding.round_to(part, kept), array))
                written[name] = objects.sha256_of(content)
    text = {
        "shard": shard.name,
        "frames": shard.frames,
        "first": first,
        "recipe": told["recipe"],
        "objects": written,
        "loss": lost,
        "not_finite": 0,  # or nothing would have been written
        "hindsight": __version__,
        **_stretch(heads),
        "blocks": [provenance(head) for head in heads],
    }
    objects.put_json(marker, text)


def place(domain: Domain, product: Ensemble, shard: shards.Shard) -> tuple[int, int]:
    """The number of a shard in the archive, and of its first frame."""
    cuts = shards.cut(domain, product)
    number = [known.name for known in cuts].index(shard.name)
    return number, sum(known.frames for known in cuts[:number])


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(0, dtype=float).astype("float32")


def _spread(values: np.ndarray) -> np.ndarray:
    return values.astype(float).std(0, ddof=1).astype("float32")


FIELDS = {"": lambda values: values, "mean": _mean, "spread": _spread}  # what each group holds of the members


def parts(values: np.ndarray, group: str, number: int, array: zarr.Array) -> list[tuple[str, np.ndarray]]:
    """What goes into each object of a shard, and the object's key.

    Args:
        values: of the shard, (E, T, H, W), or (T, H, W) in the groups.
        group: that they belong to.
        number: of the shard.
        array: that holds them.
    """
    if group:
        return [(f"c/{number}/0/0", values)]
    block = array.shards[0]
    starts = range(0, len(values), block)
    return [(f"c/{start // block}/{number}/0/0", values[start : start + block]) for start in starts]


def _array(archive: Path, group: str, channel: str, frames: int) -> zarr.Array:
    path = archive / group / channel
    try:
        array = zarr.open_array(path, mode="r")
    except Exception as error:  # damaged metadata fail in any way
        raise UserError(f"cannot open {path} ({error}); mend it by snakemake --forcerun layout") from None
    if array.shape[-3] < frames:
        raise UserError(
            f"{path} has {array.shape[-3]} frames, and this shard ends with frame {frames}; snakemake --forcerun "
            "layout lets the archive grow"
        )
    return array


def _stretch(heads: list[xr.Dataset]) -> dict[str, str]:
    """The frames that the jobs of this shard saw, which a longer period must not change."""
    found = sorted({str(head.attrs["stretch"]) for head in heads if "stretch" in head.attrs})
    if len(found) > 1:
        named = "; ".join(f"{head.attrs['file']} saw {head.attrs.get('stretch')}" for head in heads)
        raise UserError(f"members of one shard saw different frames ({named}); delete these files and run again")
    return {"stretch": found[0]} if found else {}


def provenance(head: xr.Dataset) -> dict[str, object]:
    """Where some members of a shard come from: the file, its checksum, and all that it says of itself."""
    path = Path(head.attrs["file"])
    numbers = head["realization"].values
    said = {name: _plain(value) for name, value in head.attrs.items() if name != "file"}
    own = {"file": path.name, "sha256": objects.sha256(path), "members": f"{numbers[0]}-{numbers[-1]}"}
    return {**{name: said[name] for name in sorted(said)}, **own}


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
