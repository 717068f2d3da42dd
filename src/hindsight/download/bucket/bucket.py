"""Source `bucket`: fetch a part of a Zarr store on Google Cloud Storage, on a web server or in a folder.

Only the chunks that a part needs are fetched, many at the same time, each of them once. Their values that the part
needs are kept in a folder beside it, where a killed job finds them again. When all have arrived the part is written,
and the folder is deleted.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import dask
import xarray as xr

from hindsight.download import conventions
from hindsight.download import part as parts
from hindsight.download.bucket import metadata, time_axis, variables
from hindsight.download.bucket.array_selection import ArraySelection
from hindsight.download.bucket.extract import Extract
from hindsight.download.bucket.metadata import Metadata
from hindsight.download.bucket.mirror import Mirror, lost_chunks
from hindsight.download.transfer.fetch import Fetcher, FetchProgress, FetchSummary
from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.lexicon import Channel
from hindsight.storage import Storage
from hindsight.transfer_errors import explain_full_disk

BLOCKS = 2  # of a part, in memory at once while it is written


def run(settings: Download, *, part: str, raw: Path, marker: Path) -> None:
    """Fetch one part of a Zarr store from a bucket, a web server or a folder: some frames of the requested channels."""
    chunks = store.folder(raw).with_name(f"{store.folder(raw).name}.chunks")
    with explain_full_disk(chunks.parent):
        _fetch(settings, part, raw, marker, chunks)
    shutil.rmtree(chunks, ignore_errors=True)


def _fetch(settings: Download, part: str, raw: Path, marker: Path, chunks: Path) -> None:
    bucket, times = settings.bucket, intervals.parse(part, settings.step_hours).times
    storage = Storage(bucket.url, bucket.options, bucket.timeout_seconds)
    fetcher = Fetcher(storage.url, bucket)
    names = [*variables.candidates(settings.channels), *settings.rename]
    store_metadata = metadata.read(storage, fetcher, names)
    request = _request(
        settings, part, store_metadata.digest_of(names), time_axis.validity(store_metadata.attributes, times)
    )
    if parts.reuse(raw, marker, request):
        return
    store.require_free_space(raw, settings.minimum_free_gb)
    mirror = Mirror(chunks, store_metadata, names, request, settings.rename)
    needed = variables.of_channels(mirror.layout, store_metadata.names, settings.channels, storage.url)
    axes = _axes(mirror, storage, fetcher, needed)
    attributes = {"": store_metadata.attributes} | {name: mirror.layout[name].attrs for name in needed}
    extract = Extract.of(needed, axes, attributes, times, settings)
    missing_chunk = {name: settings.missing_chunks for name in needed if extract.time in mirror.layout[name].dims}
    selections = {
        name: mirror.selection(name, extract.rows(name), missing_chunk.get(name, "unless_others")) for name in needed
    }
    fetched = _fetch_chunks(mirror, list(selections.values()), storage, fetcher)
    arranged = {name: extract.arrange(name, mirror.variable(name, selection)) for name, selection in selections.items()}
    dataset = xr.Dataset(arranged, attrs=_attributes(settings))
    with dask.config.set(num_workers=BLOCKS):
        parts.write(dataset, raw, marker, request, _source(settings, store_metadata, extract, selections, fetched))


def _request(settings: Download, part: str, digest: str, validity: dict) -> dict:
    """All that the bytes of a part depend on."""
    return {
        "url": settings.bucket.url,
        "part": part,
        "step_hours": settings.step_hours,
        "channels": sorted(settings.channels),
        "levels": settings.levels,
        "rename": settings.rename,
        "accumulated": settings.accumulated,
        "missing_chunks": settings.missing_chunks,
        "box": list(settings.box),
        "metadata": digest,
        "validity": validity,
    }


def _axes(
    mirror: Mirror, storage: Storage, fetcher: Fetcher, needed: dict[str, list[Channel]]
) -> dict[str, xr.DataArray]:
    """The complete coordinates, by the store's names, and the version of each time if the store has one."""
    layout = mirror.layout
    dims = list(dict.fromkeys(dim for name in needed for dim in layout[name].dims))
    if missing := [dim for dim in dims if dim not in layout.variables]:
        raise UserError(f"{storage.url} has no coordinate {', '.join(missing)}; expected one for every dimension")
    version = [conventions.VERSION] if conventions.VERSION in layout.variables else []
    by_time = [name for name in version if [conventions.ROLES.get(dim) for dim in layout[name].dims] == ["time"]]
    selections = {name: mirror.selection(name) for name in dims + by_time}
    mirror.fetch(list(selections.values()), storage, fetcher, lambda size: None)
    if lost := [key for selection in selections.values() for key in lost_chunks(selection)]:
        raise UserError(f"{storage.url} lacks {', '.join(lost)}, chunks of its coordinates; report it to its provider")
    return {name: mirror.variable(name, selection, decode_times=True).load() for name, selection in selections.items()}


def _fetch_chunks(mirror: Mirror, selections: list[ArraySelection], storage: Storage, fetcher: Fetcher) -> FetchSummary:
    """Fetch the chunks that have not arrived, and report progress."""
    total = sum(len(selection.chunks) for selection in selections)
    missing = sum(len(selection.remaining()) for selection in selections)
    return mirror.fetch(
        selections, storage, fetcher, FetchProgress(Progress("download.bucket", total), total - missing)
    )


def _attributes(settings: Download) -> dict[str, str]:
    return {
        "source_files": settings.bucket.url,
        "source_title": settings.title,
        "source_licence": settings.licence,
    }


def _source(
    settings: Download,
    store_metadata: Metadata,
    extract: Extract,
    selections: dict[str, ArraySelection],
    fetched: FetchSummary,
) -> dict:
    """Information about the store and its state, for the marker."""
    total = sum(len(selection.chunks) for selection in selections.values())
    return {
        "url": settings.bucket.url,
        "accessed": datetime.now(UTC).isoformat(timespec="seconds"),  # a store may change
        "metadata_sha256": store_metadata.digest(),
        "titles": store_metadata.description,
        "chunks": total,
        "chunks_fetched": fetched.objects,  # by this job; jobs that were killed may have fetched more
        "bytes_fetched": fetched.bytes,
        "chunks_missing": sorted(key for selection in selections.values() for key in lost_chunks(selection)),
        "chunks_filled": sorted(
            key for c in selections.values() if c.missing_chunk == "fill" for key in c.incomplete()
        ),
        "times_missing": _to_seconds(extract.times[extract.time_axis.rows(extract.times) < 0]),
        "preliminary": _to_seconds(extract.time_axis.preliminary_times(extract.times)),
    }


def _to_seconds(times: object) -> list[str]:
    return [str(time.astype("datetime64[s]")) for time in times]
