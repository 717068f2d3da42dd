"""Break points: times at which the archive may change for other reasons than the weather, and its changes at seams.

Kinds: `stream`, a shard whose job knew no earlier frame; `seam`, any other first frame of a shard; `growth`, a seam
before which the archive once ended, so that the frames before it know no later observation; `network`, a lasting change
of how many observations are used; `prior` and `version`, another prior or another version of hindsight from here on;
`revision`, a shard that was made again.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr

from hindsight.archive import metadata, network_changes, objects, revisions
from hindsight.archive.network_changes import ChangeSearch
from hindsight.errors import UserError
from hindsight.fields import intervals, shards
from hindsight.scores.seams import HourlyChanges
from hindsight.settings import Archive, Domain, Ensemble, Reanalyse

SENTENCES = {
    "stream": "a stream starts: no earlier frame was known",
    "seam": "the first frame of a shard",
    "growth": "the archive once ended before it: no later observation was known there",
}
KINDS = (*SENTENCES, "network", "prior", "version", "revision")


def run(
    domain: Domain,
    product: Ensemble,
    reanalyse: Reanalyse,
    settings: Archive,
    *,
    markers: list[Path],
    observations: list[Path],
    versions: Path,
    archive: Path,
    result: Path,
) -> None:
    """List the break points of the archive, and compare its changes at seams with those inside shards."""
    cuts = shards.cut(domain, product)
    by_name = {path.stem: json.loads(path.read_text()) for path in markers}
    if missing := [cut.name for cut in cuts if cut.name not in by_name]:
        raise UserError(f"{len(missing)} shard(s) have no marker, the first {missing[0]}; run snakemake")
    content = [by_name[cut.name] for cut in cuts]
    halo = reanalyse.halo_frames(domain.step_hours)
    found = [*_seams(cuts, content, domain, halo), *_of_provenance(cuts, content), *_revisions(cuts, versions, domain)]
    networks = _networks(cuts, observations, domain, settings)
    found = sorted([*found, *networks], key=lambda one: (one["time"], KINDS.index(one["kind"])))
    about = {"network_change": settings.network_change.model_dump(), "confidence": settings.confidence}
    changes = _changes(archive, cuts, domain, settings)
    objects.put_json(result, {"break_points": found, "changes": changes, **about})
    print(f"{len(found)} break points, {sum(one['kind'] != 'seam' for one in found)} of them not seams")


def _entry(time: np.datetime64, kind: str, what: str) -> dict[str, str]:
    return {"time": str(np.datetime64(time, "s")), "kind": kind, "what": what}


def _seams(
    cuts: list[shards.Shard], markers: list[dict], domain: Domain, halo: tuple[int, int]
) -> Iterator[dict[str, str]]:
    """The first frame of every shard, by what its job and the one before it knew."""
    shortened = False
    for cut, marker in zip(cuts, markers):
        whole = cut.with_halo(*halo, domain)
        stretch = intervals.parse(marker["stretch"], domain.step_hours) if "stretch" in marker else whole
        kind = "stream" if stretch.start >= cut.start else "growth" if shortened else "seam"
        yield _entry(cut.start, kind, SENTENCES[kind])
        shortened = stretch.last < whole.last


def _of_provenance(cuts: list[shards.Shard], markers: list[dict]) -> Iterator[dict[str, str]]:
    """Shards with another prior, or another version of hindsight, than the shard before."""
    for cut, before, after in zip(cuts[1:], markers, markers[1:]):
        if (old := _priors(before)) != (new := _priors(after)):
            yield _entry(cut.start, "prior", f"prior {' and '.join(new)} after {' and '.join(old)}")
        if (old := before["hindsight"]) != (new := after["hindsight"]):
            yield _entry(cut.start, "version", f"written by hindsight {new} after {old}")


def _priors(marker: dict) -> list[str]:
    return sorted({str(block.get("prior", "unknown"))[:12] for block in marker["blocks"]})


def _revisions(cuts: list[shards.Shard], versions: Path, domain: Domain) -> Iterator[dict[str, str]]:
    """Shards that were made again with other values."""
    by_name = {cut.name: cut for cut in cuts}
    for one in revisions.register(versions):
        if cut := by_name.get(one["shard"]):
            last = np.datetime64(cut.times(domain.step_hours)[-1], "m")
            yield _entry(cut.start, "revision", f"made again, to {last}: {'; '.join(one['why'])}")


def _networks(
    cuts: list[shards.Shard], observations: list[Path], domain: Domain, settings: Archive
) -> Iterator[dict[str, object]]:
    """Lasting changes of the number of observations that were used."""
    for path in observations:
        folder, search = path.parent / json.loads(path.read_text())["folder"], ChangeSearch(settings.network_change)
        files = ((cut.times(domain.step_hours), folder / f"{cut.name}.parquet") for cut in cuts)
        for day, counts in network_changes.daily(files):
            search.add(day, counts)
        for one in search.results():
            what = f"{one['channel']} from {one['platform']}: {one['before']:g} a day, then {one['after']:g}"
            yield _entry(one["time"], "network", what) | {k: v for k, v in one.items() if k != "time"}


def _changes(archive: Path, cuts: list[shards.Shard], domain: Domain, settings: Archive) -> list[dict]:
    """The change of the ensemble mean from frame to frame, by channel and hour; one shard in memory at a time."""
    grid, rows = metadata.grid(archive), []
    for channel in domain.channels:
        array, found, first = zarr.open_array(archive / "mean" / channel, mode="r"), HourlyChanges(grid.weights), 0
        for cut in cuts:
            values = array[first : first + cut.frames]
            found.add(np.where(grid.where, values, np.float32(0)), cut.times(domain.step_hours))
            first += cut.frames
        rows += [{"channel": channel} | row for row in found.rows(settings.confidence)]
    return rows
