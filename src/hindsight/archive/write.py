"""Write one shard of the archive: complete objects, which no other job touches, and then the marker.

An object is encoded in memory and replaced as a whole, unless the file has the same bytes already. So if members are
added by whole blocks, only the new members, the mean and the spread are written.
"""

import json
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight import __version__
from hindsight.archive import blocks, metadata, objects, revisions
from hindsight.archive.metadata import GROUPS
from hindsight.errors import UserError
from hindsight.fields import intervals, rounding, shards
from hindsight.scores import ensemble
from hindsight.settings import Domain, Ensemble, Observe


def run(
    domain: Domain,
    product: Ensemble,
    observe: Observe,
    *,
    layout: Path,
    analyses: list[Path],
    archive: Path,
    marker: Path,
) -> None:
    """Write one shard of the archive: members, mean and spread, its marker and, if its values changed, the reason."""
    layout_json = json.loads(layout.read_text())
    shard = shards.find(marker.stem, domain, product)
    number, first = position(domain, product, shard)
    headers = blocks.headers(analyses)
    grid = metadata.grid(archive)
    times, origin = shard.times(domain.step_hours), layout_json["made_from"]
    blocks.check_shard(headers, times, product.members, domain.channels, origin)
    checksums, errors = {}, {}
    for channel in domain.channels:
        values = blocks.values(headers, channel)
        bits = layout_json["bits"][channel]
        errors[channel] = rounding.error_sums(values, rounding.round_to(values, bits))
        values = grid.masked(values)
        for group in GROUPS:
            array = _array(archive, group, channel, first + shard.frames)
            for key, part in object_parts(of_group(values, group, product), group, number, array):
                name = "/".join(filter(None, [group, channel, key]))
                objects.put(archive / name, content := objects.encode(rounding.round_to(part, bits), array))
                checksums[name] = objects.sha256_of(content)
    content = {
        "shard": shard.name,
        "frames": shard.frames,
        "first": first,
        "recipe": layout_json["recipe"],
        "objects": checksums,
        "rounding_error": errors,
        "not_finite": 0,  # but for points that are not covered; `blocks.values` refuses others
        "hindsight": __version__,
        **_stretch(headers),
        "blocks": [provenance(header) for header in headers],
    }
    objects.put_json(marker, content)
    network = observe.networks.get(layout_json["settings"]["archive"]["network"])
    reached = intervals.parse(content["stretch"], domain.step_hours).times if "stretch" in content else times
    denials = revisions.concerning(network.denied if network else [], reached)  # also those of the halo
    if revisions.record(archive.parent / "revisions" / marker.name, content, times, denials) and denials:
        print(f"shard {shard.name}: a new version, with {len(denials)} denial(s)")


def position(domain: Domain, product: Ensemble, shard: shards.Shard) -> tuple[int, int]:
    """The number of a shard in the archive, and the number of its first frame."""
    cuts = shards.cut(domain, product)
    number = [cut.name for cut in cuts].index(shard.name)
    return number, sum(cut.frames for cut in cuts[:number])


def of_group(values: np.ndarray, group: str, product: Ensemble) -> np.ndarray:
    """The fields of a group, from members (E, …): they themselves, their mean, or their spread."""
    if group == "mean":
        return values.mean(0, dtype=float).astype("float32")
    if group == "spread":
        return np.sqrt(ensemble.variances(values.astype(float), product.antithetic)[0]).astype("float32")
    return values


def object_parts(values: np.ndarray, group: str, number: int, array: zarr.Array) -> list[tuple[str, np.ndarray]]:
    """Split the values of a shard into objects; returns key and values of each.

    Args:
        values: of the shard, (E, T, H, W), or (T, H, W) in the groups.
        group: name of the group.
        number: of the shard.
        array: of the store, for the number of members per object.
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
    except Exception as error:  # damaged metadata may raise anything
        raise UserError(f"cannot open {path} ({error}); repair it with snakemake --forcerun layout") from None
    if array.shape[-3] < frames:
        raise UserError(
            f"{path} has {array.shape[-3]} frames, and this shard ends with frame {frames}; extend the archive "
            "first: snakemake --forcerun layout"
        )
    return array


def _stretch(headers: list[xr.Dataset]) -> dict[str, str]:
    """The stretch (shard and halo) that the jobs analysed; the workflow analyses it again when the period grows."""
    found = sorted({str(header.attrs["stretch"]) for header in headers if "stretch" in header.attrs})
    if len(found) > 1:
        named = "; ".join(f"{header.attrs['file']} with {header.attrs.get('stretch')}" for header in headers)
        raise UserError(
            f"members of one shard were sampled with different halos ({named}); delete these files and run again"
        )
    return {"stretch": found[0]} if found else {}


def provenance(header: xr.Dataset) -> dict[str, object]:
    """Provenance of a block of members: the file, its checksum, and its attributes."""
    path = Path(header.attrs["file"])
    numbers = header["realization"].values
    attributes = {name: _plain(value) for name, value in sorted(header.attrs.items()) if name != "file"}
    return attributes | {"file": path.name, "sha256": objects.sha256(path), "members": f"{numbers[0]}-{numbers[-1]}"}


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
