"""A store's metadata laid down in a folder, where chunks that arrive find their places.

It is a store without chunks, of the arrays that somebody may want: xarray and zarr open it as they would the store
itself. Chunks come to `store/`, and what is cut out of them goes to `cut/`; all of it goes when the part is there.
"""

import json
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight.download.bucket.array_selection import Absent, Cutting
from hindsight.download.bucket.metadata import Metadata
from hindsight.download.transfer.fetch import Fetch, Fetched
from hindsight.download.transfer.storage import Place


class Mirror:
    """A store as far as it has come.

    Args:
        folder: of the mirror; what is there of another request goes.
        metadata: of the store.
        names: of the arrays that may be wanted.
        request: what is wanted.
        rename: the store's names, and those that its arrays and dimensions have here.
    """

    def __init__(
        self, folder: Path, metadata: Metadata, names: list[str], request: dict, rename: dict[str, str] | None = None
    ) -> None:
        self.store, self.cut = folder / "store", folder / "cut"
        self.rename = {theirs: ours for theirs, ours in (rename or {}).items() if theirs in metadata.names}
        note, text = folder / "request.json", json.dumps(request, indent=1, sort_keys=True)
        if not (note.is_file() and note.read_text() == text):
            shutil.rmtree(folder, ignore_errors=True)
            _lay_down(metadata, self.store, names)
            note.write_text(text)
        self.arrays = zarr.open_group(self.store, mode="r", use_consolidated=False)

    @cached_property
    def layout(self) -> xr.Dataset:
        """The store, nothing of it decoded or read."""
        undecoded = {"decode_cf": False, "create_default_indexes": False, "chunks": None}
        found = xr.open_dataset(self.store, engine="zarr", consolidated=False, **undecoded)
        return found.rename({theirs: ours for theirs, ours in self.rename.items() if theirs in found.variables})

    def cutting(
        self, name: str, rows: dict[str, np.ndarray] | None = None, absent: Absent = "unless_others"
    ) -> Cutting:
        """A selection of an array: rows along its dimensions by their names, all where none are given."""
        variable = self.layout[name].variable
        each = tuple(np.unique((rows or {}).get(dim, np.arange(size))) for dim, size in variable.sizes.items())
        theirs = {ours: theirs for theirs, ours in self.rename.items()}.get(name, name)
        return Cutting(self.arrays[theirs], theirs, each, self.cut, absent)

    def bring(self, cuttings: list[Cutting], place: Place, fetch: Fetch, told: Callable[[int], None]) -> Fetched:
        """Fetch what selections still lack."""
        owner = {key: cutting for cutting in cuttings for key in cutting.missing()}
        return fetch.all(place, owner, self.store, lambda key, path: owner[key].cut(key, path), told)

    def variable(self, name: str, cutting: Cutting, decode_times: bool = False) -> xr.DataArray:
        """A selection, lazily, decoded as xarray would; NaN where a chunk was not there that should be."""
        raw = self.layout[name].variable
        kept = {key: value for key, value in raw.attrs.items() if key != "coordinates"}
        dataset = xr.Dataset({name: xr.Variable(raw.dims, cutting.whole(), kept)})
        found = xr.decode_cf(dataset, decode_times=decode_times, decode_timedelta=False, decode_coords=False)[name]
        if not holes(cutting):
            return found
        return found.where(xr.Variable(raw.dims, cutting.there()))


def holes(cutting: Cutting) -> list[str]:
    """Chunks that were not there and should be; of a shard that lacks some of its chunks, the shard.

    Zarr leaves out chunks that hold the fill value and nothing else, and nobody can tell them from chunks that were
    lost. So the settings say what they are of a variable over time. What does not change with time and has no chunk at
    all is full of its fill value; but where others are, a chunk that is not has been lost.
    """
    if cutting.absent == "missing":
        return cutting.lacking()
    missing = cutting.missing()
    return missing if cutting.absent == "unless_others" and len(missing) < len(cutting.pieces) else []


def _lay_down(metadata: Metadata, folder: Path, names: list[str]) -> None:
    for key, document in metadata.documents.items():
        array = key.rpartition("/")[0]
        if not array or array in names:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document))
    if not (folder / "zarr.json").is_file():
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
