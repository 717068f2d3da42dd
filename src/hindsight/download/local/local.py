"""Source `local`: netCDF files and Zarr stores on disk, one or thousands, a part of their frames in a job.

What is asked for is read, no more: a channel, a block of frames, the domain's region. Each block is brought to the
channel's units by what its own file says, so files of different years may have other names, units, order or rounding.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import dask.array
import numpy as np
import pandas as pd
import xarray as xr

from hindsight.download import assembly, file_kind, missing_chunks
from hindsight.download import part as parts
from hindsight.download.local import contents as listing
from hindsight.download.local import match
from hindsight.download.local.channel_frames import Frames
from hindsight.download.local.contents import Contents
from hindsight.download.local.description import File, Variable
from hindsight.download.local.match import Matched, Series
from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.lexicon import source_channels

POINTS = ("latitude", "longitude")
OPEN = 32  # files
WORKING = 40  # bytes a value takes while it is read: unpacked in double precision, brought to its units, written
ALIKE = 1e-3  # of a field's range: what packing leaves of a difference between two copies of a frame
SECOND = np.timedelta64(1, "s")


def run(settings: Download, *, part: str, contents: Path, raw: Path, marker: Path) -> None:
    """Read the frames of one part from netCDF files and Zarr stores, channel by channel, in the channels' units."""
    cut, listed = intervals.parse(part, settings.step_hours), listing.read(contents)
    matched, channels = match.matched(listed, settings), source_channels(settings.channels)
    frames = {channel.name: Frames(channel, matched, cut.times) for channel in channels}
    request = _request(settings, part, listed, matched, frames)
    if parts.kept(raw, marker, request):
        return
    store.require_free_space(raw, settings.minimum_free_gb)
    reader = Reader(listed, matched, settings)
    blocks = reader.blocks(frames, Progress(f"download.local {part}", len(cut.times) * len(channels)))
    parts.write_blocks(_template(frames, cut.times, reader), blocks, raw, marker, request, _source(matched, frames))


class Reader:
    """Reads values of files, on the points of the part.

    Args:
        contents: of all files.
        matched: what channels are made from.
        settings: memory, and what an absent chunk means.
    """

    def __init__(self, contents: Contents, matched: Matched, settings: Download) -> None:
        self.contents, self.matched, self.settings = contents, matched, settings
        self.points = matched.points
        self._open: OrderedDict[int, xr.Dataset] = OrderedDict()
        self._absent: dict[tuple[int, str], np.ndarray] = {}

    def blocks(self, frames: dict[str, Frames], watch: Progress) -> Iterator[xr.Dataset]:
        """The channels, one after the other, in blocks of frames that fit into memory."""
        done, chunk = 0, self.chunk_frames(frames)
        for name, made in frames.items():
            size = self.block_frames(made, chunk)
            for first in range(0, len(made.times), size):
                window = slice(first, first + size)
                values = self._made(made, window).astype(np.float32)
                coords = {"time": made.times[window]}
                yield xr.Dataset({name: (("time", *POINTS), values)}, coords)
                watch(done + min(first + size, len(made.times)))
            done += len(made.times)

    def chunk_frames(self, frames: dict[str, Frames]) -> int:
        """Frames of a chunk of the part: no more than memory has room for."""
        return min(parts.rows(self.points.shape), *map(self._room, frames.values()))

    def block_frames(self, made: Frames, chunk: int) -> int:
        """Frames that are read at once: what memory has room for, in whole chunks of the part and of the files."""
        own = max((self._variable(one).rows for one in made.series), default=1)
        room, both = self._room(made), chunk * own // int(np.gcd(chunk, own))
        return room // both * both or room // chunk * chunk

    def _room(self, made: Frames) -> int:
        rows, columns = (max(int(np.ptp(side[k])) + 1 for side in self.matched.places.values()) for k in (0, 1))
        gathered = bool(made.channel.hours) + len(made.terms) > 1  # beside what is read
        return max(1, int(self.settings.memory_mb * 1e6 // ((WORKING + 16 * gathered) * rows * columns)))

    def static(self) -> dict[str, tuple]:
        """What does not change with time."""
        found = {}
        for name, number in self.matched.static.items():
            given = self.contents.files[number].variables[name]
            values = self._read(number, name, (), None)[0]
            found[name] = (POINTS, values.astype(np.float32), {"units": given.units} | _words(given.says))
        return found

    def _made(self, made: Frames, window: slice) -> np.ndarray:
        total = 0.0
        for weight, chosen in made.terms:
            values = self._sum(made, chosen[window]) if made.channel.hours else self._chosen(made, chosen[:, window])
            total = values if weight == 1.0 else total + weight * values
        return total

    def _chosen(self, made: Frames, layers: np.ndarray) -> np.ndarray:
        """Frames by their first choice; others fill what it lacks, and must agree with it where both are there.

        A preliminary copy fills no hole of a final frame, which would then be neither.
        """
        values = self._rows(made, layers[0])
        for layer in layers[1:]:
            if not (there := np.flatnonzero(layer >= 0)).size:
                break
            other = self._rows(made, layer[there])
            self._agree(made, values[there], other, layers[0][there], layer[there])
            version = made.table["expver"].to_numpy()
            alike = version[layers[0][there]] == version[layer[there]]
            values[there] = np.where(np.isnan(values[there]) & alike[:, None, None], other, values[there])
        return values

    def _agree(
        self, made: Frames, values: np.ndarray, other: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> None:
        """Refuse two copies of a frame that differ: nobody can tell which is right."""
        table = made.table
        for row, (one, two) in enumerate(zip(values, other)):
            mine, theirs = table.loc[first[row]], table.loc[second[row]]
            if mine["rank"] != theirs["rank"] or mine["expver"] != theirs["expver"] or np.isnan(one - two).all():
                continue  # another name of it, or its preliminary version, may differ
            spread = np.nanmax(np.abs(one - two))
            if spread > ALIKE * np.ptp(one[~np.isnan(one)]) + 1e-5 * np.nanmax(np.abs(one)):
                names = " and ".join(self._name(made.series[s["series"]]) for s in (mine, theirs))
                raise UserError(
                    f"channel {made.channel.name} has two frames at {mine['valid']}, in {names}, that differ by up to "
                    f"{spread:g} {made.channel.units}; take the wrong one out of download.files"
                )

    def _name(self, series: Series) -> str:
        return f"{series.name!r} of {Path(self.contents.files[series.file].path).name}"

    def _sum(self, made: Frames, sums: list[assembly.Sum]) -> np.ndarray:
        """Amounts, added up and taken away; NaN where there are none."""
        total = np.zeros((len(sums), *self.points.shape))
        total[[not one for one in sums]] = np.nan
        pairs = [(frame, row, sign) for frame, one in enumerate(sums) for row, sign in one]
        if not pairs:
            return total
        frame, row, sign = map(np.array, zip(*pairs))
        size = max(len(sums), 1)  # rows in memory at once
        for first in range(0, len(row), size):
            now = slice(first, first + size)
            np.add.at(total, frame[now], sign[now, None, None] * self._rows(made, row[now]))
        return total

    def _rows(self, made: Frames, rows: np.ndarray) -> np.ndarray:
        """Values of rows of the table, (n, H, W), in the channel's units; NaN where a row is -1."""
        found = np.full((len(rows), *self.points.shape), np.nan)
        here = np.flatnonzero(rows >= 0)
        if not here.size:
            return found
        table = made.table.loc[rows[here]]
        for number in table["series"].unique():
            which = (table["series"] == number).to_numpy()
            series, where = made.series[number], here[which]
            index, back = np.unique(table["row"].to_numpy()[which], return_inverse=True)
            values = self._read(series.file, series.name, series.at, index)[back]
            values = values * series.factor[0] + series.factor[1]
            if series.rate:
                seconds = (table["valid"] - table["begin"]).to_numpy()[which] / SECOND
                values = values * seconds[:, None, None]
            found[where] = values
        return found

    def _read(self, number: int, name: str, at: tuple, rows: np.ndarray | None) -> np.ndarray:
        """Frames of a variable on the points, (n, H, W), float64."""
        file, dataset = self.contents.files[number], self._dataset(number)
        south, west = self.contents.grids[file.grid]
        places = dict(zip((south, west), self.matched.places[file.grid]))
        found = dataset[name].variable.isel({dim: row for dim, row in at})
        found = found.isel({d: 0 for d in found.dims if d not in (file.time, south, west)})
        found = found.isel({dim: slice(int(p.min()), int(p.max()) + 1) for dim, p in places.items()})
        timed = file.time in found.dims
        found = found.isel({file.time: _strided(rows)} if timed else {}).transpose(..., south, west)
        values = np.asarray(found.values, np.float64).reshape(-1, *found.shape[-2:])
        values = values[:, places[south] - places[south].min()][:, :, places[west] - places[west].min()]
        if timed and (lost := self._lost(number, name)[rows]).any():
            values[lost] = np.nan
        return values

    def _lost(self, number: int, name: str) -> np.ndarray:
        """Frames of a store whose chunks are not all there."""
        if (number, name) not in self._absent:
            file = self.contents.files[number]
            path, first = Path(file.path), file.variables[name].dims[0] == file.time
            asked = path.is_dir() and first and self.settings.absent_chunks == "missing"
            none = np.zeros(self._dataset(number).sizes[file.time], bool)
            self._absent[number, name] = missing_chunks.absent(path, name) if asked else none
        return self._absent[number, name]

    def _dataset(self, number: int) -> xr.Dataset:
        if number not in self._open:
            file = self.contents.files[number]
            if file_kind.identity(Path(file.path)) != file.identity:
                raise UserError(f"{file.path} is not what it was when its contents were listed; run snakemake again")
            self._open[number] = file_kind.opened(Path(file.path))
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return self._open[number]

    def _variable(self, series: Series) -> Variable:
        return self.contents.files[series.file].variables[series.name]


def _strided(rows: np.ndarray) -> slice | np.ndarray:
    """A slice, which is read faster, where rows follow each other in equal steps."""
    steps = np.unique(np.diff(rows))
    if len(rows) == 1 or len(steps) == 1:
        return slice(int(rows[0]), int(rows[-1]) + 1, int(steps[0]) if len(steps) else 1)
    return rows


def _template(frames: dict[str, Frames], times: np.ndarray, reader: Reader) -> xr.Dataset:
    """The part before there is anything in it but what does not change with time."""
    shape = (len(times), *reader.points.shape)
    chunks = (reader.chunk_frames(frames), *shape[1:])
    nothing = dask.array.full(shape, np.nan, dtype=np.float32, chunks=chunks)
    coords = {"time": times, "latitude": reader.points.latitude, "longitude": reader.points.longitude}
    fields = {name: (("time", *POINTS), nothing, _described(made, reader)) for name, made in frames.items()}
    return xr.Dataset(fields | reader.static(), coords, attrs=_attributes(reader))


def _described(made: Frames, reader: Reader) -> dict:
    channel = made.channel
    series = [made.series[number] for number in made.used["series"].unique()] or made.series[:1]
    given = [reader._variable(one) for one in series]
    says = {"units": channel.units, "long_name": channel.long_name, "standard_name": channel.standard_name}
    source = {
        "source_names": ", ".join(dict.fromkeys(one.name for one in series)),
        "source_units": ", ".join(dict.fromkeys(one.units for one in given)),
    }
    return says | source | ({"accumulated_hours": channel.hours} if channel.hours else {})


def _words(says: dict) -> dict:
    return {key: says[key] for key in ("long_name", "standard_name") if key in says}


def _attributes(reader: Reader) -> dict:
    settings, used = reader.settings, _used_files(reader)
    names = [Path(file.path).name for file in used]
    listed = ", ".join(names) if len(names) <= 10 else f"{names[0]} … {names[-1]}, {len(names)} files"
    own = {key: value for file in used for key, value in file.attributes.items()}
    return own | {"source_files": listed, "source_title": settings.title, "source_licence": settings.licence}


def _used_files(reader: Reader) -> list[File]:
    numbers = {one.file for terms in reader.matched.terms.values() for _, series in terms for one in series}
    return [reader.contents.files[number] for number in sorted(numbers)]


def _request(settings: Download, part: str, contents: Contents, matched: Matched, frames: dict[str, Frames]) -> dict:
    """All that the bytes of a part depend on."""
    made = hashlib.sha256()
    for name, one in frames.items():
        used = one.used
        made.update(f"{name} {[weight for weight, _ in one.terms]}".encode())
        for number in used["series"].unique():
            series = one.series[number]
            file, rows = contents.files[series.file], used["row"][used["series"] == number]
            made.update(repr((file.path, file.identity, series.name, series.at, series.factor, series.rate)).encode())
            made.update(rows.to_numpy(np.int64).tobytes())
        made.update(pd.util.hash_pandas_object(used[["valid", "begin", "expver"]], index=False).to_numpy().tobytes())
    still = {name: contents.files[number].identity for name, number in matched.static.items()}
    return {
        "source": "local",
        "part": part,
        "step_hours": settings.step_hours,
        "channels": settings.channels,
        "box": list(settings.box),
        "levels": settings.levels,
        "absent_chunks": settings.absent_chunks,
        "content": made.hexdigest(),
        "static": still,
    }


def _source(matched: Matched, frames: dict[str, Frames]) -> dict:
    """What is known of the files and their state."""
    late = np.any([one.provisional for one in frames.values()], 0)
    nowhere = ~np.any([one.there for one in frames.values()], 0)
    times = next(iter(frames.values())).times
    used = {one.series[number].file for one in frames.values() for number in one.used["series"].unique()}
    return {
        "kind": "local",
        "files": len(used),
        "notes": matched.notes,
        "times_missing": [str(time.astype("datetime64[s]")) for time in times[nowhere]],
        "provisional": [str(time.astype("datetime64[s]")) for time in times[late]],
    }
