"""Source `bucket`: a Zarr store on Google Cloud Storage, on a web server or in a folder, a part of it in a job.

Only the chunks that a part needs are fetched, many at once, each once. What they hold of it gathers in a folder beside
the part, where a killed job finds it again. When all is there the part is written from it, whole, and the folder goes.
"""

import shutil
from pathlib import Path

import dask
import xarray as xr

from hindsight.download import conventions
from hindsight.download import part as parts
from hindsight.download.bucket import metadata, time_axis, variables
from hindsight.download.bucket.array_selection import Cutting
from hindsight.download.bucket.extract import Plan
from hindsight.download.bucket.metadata import Metadata
from hindsight.download.bucket.mirror import Mirror, holes
from hindsight.download.transfer.fetch import Fetch, Fetched, Told
from hindsight.download.transfer.retry import room_in
from hindsight.download.transfer.storage import Place
from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.lexicon import Channel

BLOCKS = 2  # of a part, in memory at once while it is written


def run(settings: Download, *, part: str, raw: Path, marker: Path) -> None:
    """Fetch a part of a Zarr store from a bucket, a web server or a folder: some frames of the channels asked for."""
    gathered = store.folder(raw).with_name(f"{store.folder(raw).name}.chunks")
    with room_in(gathered.parent):
        _fetch(settings, part, raw, marker, gathered)
    shutil.rmtree(gathered, ignore_errors=True)


def _fetch(settings: Download, part: str, raw: Path, marker: Path, gathered: Path) -> None:
    limits, times = settings.bucket, intervals.parse(part, settings.step_hours).times
    place = Place(limits.url, limits.options, limits.timeout_seconds)
    fetch = Fetch(place.url, limits)
    names = [*variables.names(settings.channels), *settings.rename]
    about = metadata.read(place, fetch, names)
    request = _request(settings, part, about.digest_of(names), time_axis.validity(about.attributes, times))
    if parts.kept(raw, marker, request):
        return
    store.require_free_space(raw, settings.minimum_free_gb)
    mirror = Mirror(gathered, about, names, request, settings.rename)
    wanted = variables.variables(mirror.layout, about.names, settings.channels, place.url)
    axes = _axes(mirror, place, fetch, wanted)
    attributes = {"": about.attributes} | {name: mirror.layout[name].attrs for name in wanted}
    plan = Plan.of(wanted, axes, attributes, times, settings)
    means = {name: settings.absent_chunks for name in wanted if plan.time in mirror.layout[name].dims}
    cuttings = {name: mirror.cutting(name, plan.rows(name), means.get(name, "unless_others")) for name in wanted}
    fetched = _gathered(mirror, list(cuttings.values()), place, fetch)
    laid = {name: plan.laid_out(name, mirror.variable(name, cutting)) for name, cutting in cuttings.items()}
    dataset = xr.Dataset(laid, attrs=_attributes(settings))
    with dask.config.set(num_workers=BLOCKS):
        parts.write(dataset, raw, marker, request, _source(settings, about, plan, cuttings, fetched))


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
        "absent_chunks": settings.absent_chunks,
        "box": list(settings.box),
        "metadata": digest,
        "validity": validity,
    }


def _axes(mirror: Mirror, place: Place, fetch: Fetch, wanted: dict[str, list[Channel]]) -> dict[str, xr.DataArray]:
    """The coordinates, whole, by the store's names; and the version of each time, where there is one."""
    layout = mirror.layout
    dims = list(dict.fromkeys(dim for name in wanted for dim in layout[name].dims))
    if missing := [dim for dim in dims if dim not in layout.variables]:
        raise UserError(f"{place.url} has no coordinate {', '.join(missing)}; expected one for every dimension")
    version = [conventions.VERSION] if conventions.VERSION in layout.variables else []
    once = [name for name in version if [conventions.ROLES.get(dim) for dim in layout[name].dims] == ["time"]]
    cuttings = {name: mirror.cutting(name) for name in dims + once}
    mirror.bring(list(cuttings.values()), place, fetch, lambda size: None)
    if lost := [key for cutting in cuttings.values() for key in holes(cutting)]:
        raise UserError(f"{place.url} lacks {', '.join(lost)}, a piece of its axes; tell whoever keeps the store")
    return {name: mirror.variable(name, cutting, decode_times=True).load() for name, cutting in cuttings.items()}


def _gathered(mirror: Mirror, cuttings: list[Cutting], place: Place, fetch: Fetch) -> Fetched:
    """Fetch what is missing, and tell how it goes."""
    total = sum(len(cutting.pieces) for cutting in cuttings)
    missing = sum(len(cutting.missing()) for cutting in cuttings)
    return mirror.bring(cuttings, place, fetch, Told(Progress("download.bucket", total), total - missing))


def _attributes(settings: Download) -> dict[str, str]:
    return {
        "source_files": settings.bucket.url,
        "source_title": settings.title,
        "source_licence": settings.licence,
    }


def _source(settings: Download, about: Metadata, plan: Plan, cuttings: dict[str, Cutting], fetched: Fetched) -> dict:
    """What is known of the store and its state."""
    pieces = sum(len(cutting.pieces) for cutting in cuttings.values())
    return {
        "url": settings.bucket.url,
        "metadata_sha256": about.digest(),
        "says": about.titles,
        "chunks": pieces,
        "chunks_fetched": fetched.objects,  # by the job that finished; others may have fetched before it
        "bytes_fetched": fetched.bytes,
        "chunks_missing": sorted(key for cutting in cuttings.values() for key in holes(cutting)),
        "chunks_filled": sorted(key for c in cuttings.values() if c.absent == "fill" for key in c.lacking()),
        "times_missing": _texts(plan.times[plan.clock.rows(plan.times) < 0]),
        "provisional": _texts(plan.clock.provisional(plan.times)),
    }


def _texts(times: object) -> list[str]:
    return [str(time.astype("datetime64[s]")) for time in times]
