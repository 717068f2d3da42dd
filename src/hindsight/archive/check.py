"""Reopen the archive and hold it against its markers and its layout."""

import hashlib
import json
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.archive.layout import GROUPS
from hindsight.errors import UserError
from hindsight.fields import shards, store
from hindsight.settings import Domain, Product
from hindsight.settings.lexicon import CHANNELS


def run(domain: Domain, product: Product, *, layout: Path, markers: list[Path], archive: Path, result: Path) -> None:
    """Reopen the archive: checksums, time axis, units, NaN."""
    recipe = json.loads(layout.read_text())["recipe"]
    wrong = [*damaged(markers, archive, recipe), *missing(markers, domain, product)]
    if not wrong:
        wrong = unlike_layout(archive, domain, product)
    if wrong:
        raise UserError("the archive is not whole:\n  " + "\n  ".join(wrong))
    objects = sum(len(json.loads(marker.read_text())["objects"]) for marker in markers)
    size = sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())
    text = json.dumps(
        {"whole": True, "recipe": recipe, "shards": len(markers), "objects": objects, "bytes": size}, indent=1
    )
    store.replace(result, lambda partial: partial.write_text(text))


def damaged(markers: list[Path], archive: Path, recipe: str) -> list[str]:
    """Objects that are not what their marker says, with the command that mends them."""
    found = []
    for path in markers:
        marker = json.loads(path.read_text())
        mend = f"snakemake --forcerun {path}"
        if marker["recipe"] != recipe:
            found.append(f"{path} is of another recipe than the layout; {mend}")
        for name, checksum in marker["objects"].items():
            try:
                if hashlib.sha256((archive / name).read_bytes()).hexdigest() != checksum:
                    found.append(f"{archive / name} is damaged; {mend}")
            except OSError:
                found.append(f"{archive / name} is missing; {mend}")
    return found


def missing(markers: list[Path], domain: Domain, product: Product) -> list[str]:
    """Shards without a marker."""
    have = {marker.stem for marker in markers}
    return [
        f"shard {shard.name} is missing; snakemake makes it"
        for shard in shards.cut(domain, product)
        if shard.name not in have
    ]


def unlike_layout(archive: Path, domain: Domain, product: Product) -> list[str]:
    """What a reader would trip over: the time axis, units, NaN, values that no atmosphere has."""
    times = np.concatenate([shard.times(domain.step_hours) for shard in shards.cut(domain, product)])
    found = []
    for group in GROUPS:
        dataset = xr.open_zarr(archive, group=group or None, consolidated=False)
        where = f"{archive}/{group}"
        if not np.array_equal(dataset["time"].values, times):
            found.append(f"{where}: the time axis is not that of the test period")
        for name in domain.channels:
            found += _wrong_with(dataset[name], name, group, where)
    return found


def _wrong_with(variable: xr.DataArray, name: str, group: str, where: str) -> list[str]:
    channel, found = CHANNELS[name], []
    if variable.attrs.get("units") != channel.units:
        found.append(f"{where}: {name} has units {variable.attrs.get('units')!r}, not {channel.units!r}")
    axis = variable.get_axis_num("time")
    step = variable.encoding.get("shards", variable.shape)[axis]
    for first in range(0, variable.sizes["time"], step):  # a shard in memory at a time
        values = variable.isel(time=slice(first, first + step)).values
        if holes := int(np.count_nonzero(~np.isfinite(values))):
            found.append(f"{where}: {name} has {holes} values that are not finite from frame {first}")
        elif group != "spread" and (values.min() < channel.lowest or values.max() > channel.highest):
            found.append(
                f"{where}: {name} reaches from {values.min():g} to {values.max():g} {channel.units}, outside "
                f"{channel.lowest:g} to {channel.highest:g}, from frame {first}"
            )
    return found
