"""A local copy of a store's metadata, to which the chunks that a part needs are added.

xarray and zarr open the copy as they would open the store itself. Chunks arrive in `store/`, and the values selected
from them are saved in `selected/`; both folders are deleted when the part is complete.
"""

import json
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight.download.bucket.array_selection import ArraySelection, MissingChunk
from hindsight.download.bucket.metadata import Metadata
from hindsight.download.transfer.fetch import Fetcher, FetchSummary
from hindsight.storage import Storage


class Mirror:
    """The local copy of a store.

    Args:
        folder: of the copy; the contents of another request are deleted.
        metadata: of the store.
        names: of the arrays that may be needed.
        request: all that the part depends on.
        rename: for names of the store, the names of its arrays and dimensions here.
    """

    def __init__(
        self, folder: Path, metadata: Metadata, names: list[str], request: dict, rename: dict[str, str] | None = None
    ) -> None:
        self.store, self.selected = folder / "store", folder / "selected"
        self.rename = {theirs: ours for theirs, ours in (rename or {}).items() if theirs in metadata.names}
        note, text = folder / "request.json", json.dumps(request, indent=1, sort_keys=True)
        if not (note.is_file() and note.read_text() == text):
            shutil.rmtree(folder, ignore_errors=True)
            _write_metadata(metadata, self.store, names)
            note.write_text(text)
        self.arrays = zarr.open_group(self.store, mode="r", use_consolidated=False)

    @cached_property
    def layout(self) -> xr.Dataset:
        """The store's variables, neither decoded nor read."""
        undecoded = {"decode_cf": False, "create_default_indexes": False, "chunks": None}
        found = xr.open_dataset(self.store, engine="zarr", consolidated=False, **undecoded)
        return found.rename({theirs: ours for theirs, ours in self.rename.items() if theirs in found.variables})

    def selection(
        self, name: str, rows: dict[str, np.ndarray] | None = None, missing_chunk: MissingChunk = "unless_others"
    ) -> ArraySelection:
        """A selection of an array: rows by the name of the dimension; all rows of dimensions that are not given."""
        variable = self.layout[name].variable
        each = tuple(np.unique((rows or {}).get(dim, np.arange(size))) for dim, size in variable.sizes.items())
        store_name = {ours: theirs for theirs, ours in self.rename.items()}.get(name, name)
        return ArraySelection(self.arrays[store_name], store_name, each, self.selected, missing_chunk)

    def fetch(
        self, selections: list[ArraySelection], storage: Storage, fetcher: Fetcher, report: Callable[[int], None]
    ) -> FetchSummary:
        """Fetch the chunks that selections still need."""
        owner = {key: selection for selection in selections for key in selection.remaining()}
        return fetcher.fetch(storage, owner, self.store, lambda key, path: owner[key].extract(key, path), report)

    def variable(self, name: str, selection: ArraySelection, decode_times: bool = False) -> xr.DataArray:
        """A selection, lazy, decoded as xarray would; NaN where a chunk is missing that should exist."""
        raw = self.layout[name].variable
        kept = {key: value for key, value in raw.attrs.items() if key != "coordinates"}
        dataset = xr.Dataset({name: xr.Variable(raw.dims, selection.values(), kept)})
        found = xr.decode_cf(dataset, decode_times=decode_times, decode_timedelta=False, decode_coords=False)[name]
        if not lost_chunks(selection):
            return found
        return found.where(xr.Variable(raw.dims, selection.present()))


def lost_chunks(selection: ArraySelection) -> list[str]:
    """Chunks that are missing and should exist; of a Zarr shard in which chunks are missing, the shard.

    Zarr leaves out chunks that hold only the fill value, and these cannot be told from chunks that were lost. For a
    variable over time, the settings say which they are. A variable that is constant in time and has no chunks at all is
    full of its fill value; if it has some chunks, the others have been lost.
    """
    if selection.missing_chunk == "missing":
        return selection.incomplete()
    missing = selection.remaining()
    return missing if selection.missing_chunk == "unless_others" and len(missing) < len(selection.chunks) else []


def _write_metadata(metadata: Metadata, folder: Path, names: list[str]) -> None:
    for key, document in metadata.documents.items():
        array = key.rpartition("/")[0]
        if not array or array in names:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document))
    if not (folder / "zarr.json").is_file():
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
