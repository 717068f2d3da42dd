"""Break points: times at which the archive may change for other reasons than the weather, and its changes at seams.

Kinds: `stream`, the first frame of a shard that was analysed without any earlier frame; `seam`, that of another shard;
`growth`, a seam before which the archive once ended, so that the frames before it were analysed without later
observations; `network`, a lasting change of how many observations are used; `prior` and `version`, another prior or
another version of hindsight from here on; `revision`, a shard that was made again.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr

from hindsight.archive import metadata, network_changes, objects
from hindsight.archive.network_changes import ChangeSearch
from hindsight.archive.revisions import register
from hindsight.errors import UserError
from hindsight.fields import intervals
from hindsight.fields.shards import Shard, cut
from hindsight.scores.seams import HourlyChanges
from hindsight.settings import Archive, Domain, Ensemble, Reanalyse

SENTENCES = {
    "stream": "first frame of a shard that was analysed without any earlier frame",
    "seam": "first frame of a shard",
    "growth": "first frame of a shard; the archive once ended just before it, where no later observation was used",
}
KINDS = (*SENTENCES, "network", "prior", "version", "revision")


def run(
    domain: Domain,
    product: Ensemble,
    reanalyse: Reanalyse,
    settings: Archive,
    *,
    markers: list[Path],
    tables: list[Path],
    revisions: Path,
    archive: Path,
    result: Path,
) -> None:
    """List the break points of the archive, and compare its changes at seams with those inside shards."""
    shards = cut(domain, product)
    by_name = {path.stem: json.loads(path.read_text()) for path in markers}
    if missing := [shard.name for shard in shards if shard.name not in by_name]:
        raise UserError(f"{len(missing)} shard(s) have no marker, the first {missing[0]}; run snakemake")
    content = [by_name[shard.name] for shard in shards]
    halo = reanalyse.halo_frames(domain.step_hours)
    found = [
        *_seams(shards, content, domain, halo),
        *_of_provenance(shards, content),
        *_revisions(shards, revisions, domain),
    ]
    networks = _networks(shards, tables, domain, settings)
    found = sorted([*found, *networks], key=lambda one: (one["time"], KINDS.index(one["kind"])))
    about = {"network_change": settings.network_change.model_dump(), "confidence": settings.confidence}
    changes = _changes(archive, shards, domain, settings)
    objects.put_json(result, {"break_points": found, "changes": changes, **about})
    print(f"{len(found)} break points, {sum(one['kind'] != 'seam' for one in found)} of them not seams")


def _entry(time: np.datetime64, kind: str, what: str) -> dict[str, str]:
    return {"time": str(np.datetime64(time, "s")), "kind": kind, "what": what}


def _seams(shards: list[Shard], markers: list[dict], domain: Domain, halo: tuple[int, int]) -> Iterator[dict[str, str]]:
    """The first frame of every shard, by the frames with which it and the shard before it were analysed."""
    shortened = False
    for shard, marker in zip(shards, markers):
        whole = shard.with_halo(*halo, domain)
        stretch = intervals.parse(marker["stretch"], domain.step_hours) if "stretch" in marker else whole
        kind = "stream" if stretch.start >= shard.start else "growth" if shortened else "seam"
        yield _entry(shard.start, kind, SENTENCES[kind])
        shortened = stretch.last < whole.last


def _of_provenance(shards: list[Shard], markers: list[dict]) -> Iterator[dict[str, str]]:
    """Shards with another prior, or another version of hindsight, than the shard before."""
    for shard, before, after in zip(shards[1:], markers, markers[1:]):
        if (old := _priors(before)) != (new := _priors(after)):
            yield _entry(shard.start, "prior", f"prior {' and '.join(new)} after {' and '.join(old)}")
        if (old := before["hindsight"]) != (new := after["hindsight"]):
            yield _entry(shard.start, "version", f"written by hindsight {new} after {old}")


def _priors(marker: dict) -> list[str]:
    return sorted({str(block.get("prior", "unknown"))[:12] for block in marker["blocks"]})


def _revisions(shards: list[Shard], revisions: Path, domain: Domain) -> Iterator[dict[str, str]]:
    """Shards that were made again with other values."""
    by_name = {shard.name: shard for shard in shards}
    for one in register(revisions):
        if shard := by_name.get(one["shard"]):
            last = np.datetime64(shard.times(domain.step_hours)[-1], "m")
            yield _entry(shard.start, "revision", f"made again, to {last}: {'; '.join(one['why'])}")


def _networks(
    shards: list[Shard], tables: list[Path], domain: Domain, settings: Archive
) -> Iterator[dict[str, object]]:
    """Lasting changes of the number of observations that were used."""
    for path in tables:
        folder, search = path.parent / json.loads(path.read_text())["folder"], ChangeSearch(settings.network_change)
        files = ((shard.times(domain.step_hours), folder / f"{shard.name}.parquet") for shard in shards)
        for day, counts in network_changes.daily(files):
            search.add(day, counts)
        for one in search.results():
            what = f"{one['channel']} from {one['platform']}: {one['before']:g} a day, then {one['after']:g}"
            yield _entry(one["time"], "network", what) | {k: v for k, v in one.items() if k != "time"}


def _changes(archive: Path, shards: list[Shard], domain: Domain, settings: Archive) -> list[dict]:
    """The change of the ensemble mean from frame to frame, by channel and hour; one shard in memory at a time."""
    grid, rows = metadata.grid(archive), []
    for channel in domain.channels:
        array, found, first = zarr.open_array(archive / "mean" / channel, mode="r"), HourlyChanges(grid.weights), 0
        for shard in shards:
            values = array[first : first + shard.frames]
            found.add(np.where(grid.where, values, np.float32(0)), shard.times(domain.step_hours))
            first += shard.frames
        rows += [{"channel": channel} | row for row in found.rows(settings.confidence)]
    return rows
