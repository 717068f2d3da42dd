"""Source `local`: read a part of the frames of netCDF files and Zarr stores on disk, one file or thousands.

Only the requested values are read: a channel, a block of frames, the domain's region. Each block is converted to the
channel's units by the attributes of its own file, so files of different years may differ in names, units, order and
rounding.
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
from hindsight.download.local.channel_frames import ChannelFrames
from hindsight.download.local.contents import Contents
from hindsight.download.local.description import File, Variable
from hindsight.download.local.match import Match, Series
from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.lexicon import source_channels

POINTS = ("latitude", "longitude")
OPEN_FILES = 32  # kept open at the same time
BYTES_PER_VALUE = 40  # while it is read: unpacked in double precision, converted to its units, written
TOLERANCE = 1e-3  # of a field's range: copies of a frame that are packed differ by less
SECOND = np.timedelta64(1, "s")


def run(settings: Download, *, part: str, contents: Path, raw: Path, marker: Path) -> None:
    """Read the frames of one part from netCDF files and Zarr stores, channel by channel, in the channels' units."""
    interval, listed = intervals.parse(part, settings.step_hours), listing.read(contents)
    matched, channels = match.match_channels(listed, settings), source_channels(settings.channels)
    by_channel = {channel.name: ChannelFrames(channel, matched, interval.times) for channel in channels}
    request = _request(settings, part, listed, matched, by_channel)
    if parts.reuse(raw, marker, request):
        return
    store.require_free_space(raw, settings.minimum_free_gb)
    reader = Reader(listed, matched, settings)
    blocks = reader.blocks(by_channel, Progress("download.local", len(interval.times) * len(channels)))
    template, source = _template(by_channel, interval.times, reader), _source(matched, by_channel)
    parts.write_blocks(template, blocks, raw, marker, request, lambda: source)


class Reader:
    """Reads values of files, on the points of the part.

    Args:
        contents: of all files.
        matched: the series that make the channels.
        settings: memory, and the meaning of a missing chunk.
    """

    def __init__(self, contents: Contents, matched: Match, settings: Download) -> None:
        self.contents, self.matched, self.settings = contents, matched, settings
        self.points = matched.grid
        self._open: OrderedDict[int, xr.Dataset] = OrderedDict()
        self._missing_rows: dict[tuple[int, str], np.ndarray] = {}

    def blocks(self, by_channel: dict[str, ChannelFrames], watch: Progress) -> Iterator[xr.Dataset]:
        """The channels, one after the other, in blocks of frames that fit into memory."""
        done, chunk = 0, self.chunk_frames(by_channel)
        for name, frames in by_channel.items():
            size = self.block_frames(frames, chunk)
            for first in range(0, len(frames.times), size):
                window = slice(first, first + size)
                values = self._values(frames, window).astype(np.float32)
                coords = {"time": frames.times[window]}
                yield xr.Dataset({name: (("time", *POINTS), values)}, coords)
                watch(done + min(first + size, len(frames.times)))
            done += len(frames.times)

    def chunk_frames(self, by_channel: dict[str, ChannelFrames]) -> int:
        """Frames in a chunk of the part, as many as memory can hold."""
        return min(parts.chunk_frames(self.points.shape), *map(self._frames_in_memory, by_channel.values()))

    def block_frames(self, frames: ChannelFrames, chunk: int) -> int:
        """Frames to read at once: as many as memory can hold, in complete chunks of the part and of the files."""
        file_rows = max((self._variable(one).rows for one in frames.series), default=1)
        room, common = self._frames_in_memory(frames), chunk * file_rows // int(np.gcd(chunk, file_rows))
        return room // common * common or room // chunk * chunk

    def _frames_in_memory(self, frames: ChannelFrames) -> int:
        rows, columns = (max(int(np.ptp(side[k])) + 1 for side in self.matched.places.values()) for k in (0, 1))
        gathered = bool(frames.channel.hours) + len(frames.terms) > 1  # a second array, for sums
        return max(1, int(self.settings.memory_mb * 1e6 // ((BYTES_PER_VALUE + 16 * gathered) * rows * columns)))

    def static(self) -> dict[str, tuple]:
        """Static fields."""
        found = {}
        for name, number in self.matched.static.items():
            variable = self.contents.files[number].variables[name]
            values = self._read(number, name, (), None)[0]
            attributes = {"units": variable.units} | _names_in(variable.attributes)
            found[name] = (POINTS, values.astype(np.float32), attributes)
        return found

    def _values(self, frames: ChannelFrames, window: slice) -> np.ndarray:
        total = 0.0
        for weight, chosen in frames.terms:
            sums = frames.channel.hours
            values = self._sum(frames, chosen[window]) if sums else self._filled(frames, chosen[:, window])
            total = values if weight == 1.0 else total + weight * values
        return total

    def _filled(self, frames: ChannelFrames, choices: np.ndarray) -> np.ndarray:
        """Frames from their first choice, with its missing values filled from the others, which must agree with it.

        Missing values of a final frame are not filled from a preliminary one; the mixture would be neither.
        """
        values = self._rows(frames, choices[0])
        for choice in choices[1:]:
            if not (available := np.flatnonzero(choice >= 0)).size:
                break
            other = self._rows(frames, choice[available])
            self._check_agreement(frames, values[available], other, choices[0][available], choice[available])
            version = frames.table["expver"].to_numpy()
            alike = version[choices[0][available]] == version[choice[available]]
            values[available] = np.where(np.isnan(values[available]) & alike[:, None, None], other, values[available])
        return values

    def _check_agreement(
        self, frames: ChannelFrames, values: np.ndarray, other: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> None:
        """Refuse two copies of a frame that differ, because either may be wrong."""
        table = frames.table
        for row, (one, two) in enumerate(zip(values, other)):
            left, right = table.loc[first[row]], table.loc[second[row]]
            if left["rank"] != right["rank"] or left["expver"] != right["expver"] or np.isnan(one - two).all():
                continue  # values under another name, or preliminary ones, may differ
            difference = np.nanmax(np.abs(one - two))
            if difference > TOLERANCE * np.ptp(one[~np.isnan(one)]) + 1e-5 * np.nanmax(np.abs(one)):
                names = " and ".join(self._name(frames.series[s["series"]]) for s in (left, right))
                raise UserError(
                    f"channel {frames.channel.name} has two frames at {left['valid']}, in {names}, that differ by "
                    f"up to {difference:g} {frames.channel.units}; remove the wrong one from download.files"
                )

    def _name(self, series: Series) -> str:
        return f"{series.name!r} of {Path(self.contents.files[series.file].path).name}"

    def _sum(self, frames: ChannelFrames, sums: list[assembly.Sum]) -> np.ndarray:
        """Amounts, added and subtracted; NaN where there are none."""
        total = np.zeros((len(sums), *self.points.shape))
        total[[not one for one in sums]] = np.nan
        pairs = [(frame, row, sign) for frame, one in enumerate(sums) for row, sign in one]
        if not pairs:
            return total
        frame, row, sign = map(np.array, zip(*pairs))
        size = max(len(sums), 1)  # rows in memory at once
        for first in range(0, len(row), size):
            now = slice(first, first + size)
            np.add.at(total, frame[now], sign[now, None, None] * self._rows(frames, row[now]))
        return total

    def _rows(self, frames: ChannelFrames, rows: np.ndarray) -> np.ndarray:
        """Values of rows of the table, (n, H, W), in the channel's units; NaN where a row is -1."""
        found = np.full((len(rows), *self.points.shape), np.nan)
        valid = np.flatnonzero(rows >= 0)
        if not valid.size:
            return found
        table = frames.table.loc[rows[valid]]
        for number in table["series"].unique():
            which = (table["series"] == number).to_numpy()
            series, where = frames.series[number], valid[which]
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
        latitude, longitude = self.contents.grids[file.grid]  # names of its dimensions
        places = dict(zip((latitude, longitude), self.matched.places[file.grid]))
        found = dataset[name].variable.isel({dim: row for dim, row in at})
        found = found.isel({d: 0 for d in found.dims if d not in (file.time, latitude, longitude)})
        found = found.isel({dim: slice(int(p.min()), int(p.max()) + 1) for dim, p in places.items()})
        over_time = file.time in found.dims
        found = found.isel({file.time: _as_slice(rows)} if over_time else {}).transpose(..., latitude, longitude)
        values = np.asarray(found.values, np.float64).reshape(-1, *found.shape[-2:])
        values = values[:, places[latitude] - places[latitude].min()][:, :, places[longitude] - places[longitude].min()]
        if over_time and (missing := self._missing(number, name)[rows]).any():
            values[missing] = np.nan
        return values

    def _missing(self, number: int, name: str) -> np.ndarray:
        """Frames of a store in which a chunk is missing."""
        if (number, name) not in self._missing_rows:
            file = self.contents.files[number]
            path, first = Path(file.path), file.variables[name].dims[0] == file.time
            masked = path.is_dir() and first and self.settings.missing_chunks == "missing"
            none = np.zeros(self._dataset(number).sizes[file.time], bool)
            self._missing_rows[number, name] = missing_chunks.missing_rows(path, name) if masked else none
        return self._missing_rows[number, name]

    def _dataset(self, number: int) -> xr.Dataset:
        if number not in self._open:
            file = self.contents.files[number]
            if file_kind.identity(Path(file.path)) != file.identity:
                raise UserError(f"{file.path} has changed since its contents were listed; run snakemake again")
            self._open[number] = file_kind.open_dataset(Path(file.path))
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return self._open[number]

    def _variable(self, series: Series) -> Variable:
        return self.contents.files[series.file].variables[series.name]


def _as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """A slice if the rows are equally spaced, which is read faster."""
    steps = np.unique(np.diff(rows))
    if len(rows) == 1 or len(steps) == 1:
        return slice(int(rows[0]), int(rows[-1]) + 1, int(steps[0]) if len(steps) else 1)
    return rows


def _template(by_channel: dict[str, ChannelFrames], times: np.ndarray, reader: Reader) -> xr.Dataset:
    """The part with its static fields, and NaN elsewhere."""
    shape = (len(times), *reader.points.shape)
    chunks = (reader.chunk_frames(by_channel), *shape[1:])
    empty = dask.array.full(shape, np.nan, dtype=np.float32, chunks=chunks)
    coords = {"time": times, "latitude": reader.points.latitude, "longitude": reader.points.longitude}
    fields = {name: (("time", *POINTS), empty, _attributes_of(frames, reader)) for name, frames in by_channel.items()}
    return xr.Dataset(fields | reader.static(), coords, attrs=_attributes(reader))


def _attributes_of(frames: ChannelFrames, reader: Reader) -> dict:
    channel = frames.channel
    series = [frames.series[number] for number in frames.used_rows["series"].unique()] or frames.series[:1]
    variables = [reader._variable(one) for one in series]
    attributes = {"units": channel.units, "long_name": channel.long_name, "standard_name": channel.standard_name}
    source = {
        "source_names": ", ".join(dict.fromkeys(one.name for one in series)),
        "source_units": ", ".join(dict.fromkeys(one.units for one in variables)),
    }
    return attributes | source | ({"accumulated_hours": channel.hours} if channel.hours else {})


def _names_in(attributes: dict) -> dict:
    return {key: attributes[key] for key in ("long_name", "standard_name") if key in attributes}


def _attributes(reader: Reader) -> dict:
    settings, used = reader.settings, _used_files(reader)
    names = [Path(file.path).name for file in used]
    listed = ", ".join(names) if len(names) <= 10 else f"{names[0]} … {names[-1]}, {len(names)} files"
    own = {key: value for file in used for key, value in file.attributes.items()}
    return own | {"source_files": listed, "source_title": settings.title, "source_licence": settings.licence}


def _used_files(reader: Reader) -> list[File]:
    numbers = {one.file for terms in reader.matched.terms.values() for _, series in terms for one in series}
    return [reader.contents.files[number] for number in sorted(numbers)]


def _request(
    settings: Download, part: str, contents: Contents, matched: Match, by_channel: dict[str, ChannelFrames]
) -> dict:
    """All that the bytes of a part depend on."""
    digest = hashlib.sha256()
    for name, one in by_channel.items():
        used = one.used_rows
        digest.update(f"{name} {[weight for weight, _ in one.terms]}".encode())
        for number in used["series"].unique():
            series = one.series[number]
            file, rows = contents.files[series.file], used["row"][used["series"] == number]
            digest.update(repr((file.path, file.identity, series.name, series.at, series.factor, series.rate)).encode())
            digest.update(rows.to_numpy(np.int64).tobytes())
        digest.update(pd.util.hash_pandas_object(used[["valid", "begin", "expver"]], index=False).to_numpy().tobytes())
    static = {name: contents.files[number].identity for name, number in matched.static.items()}
    return {
        "source": "local",
        "part": part,
        "step_hours": settings.step_hours,
        "channels": settings.channels,
        "box": list(settings.box),
        "levels": settings.levels,
        "missing_chunks": settings.missing_chunks,
        "content": digest.hexdigest(),
        "static": static,
    }


def _source(matched: Match, by_channel: dict[str, ChannelFrames]) -> dict:
    """Information about the files and their state, for the marker."""
    preliminary = np.any([one.preliminary for one in by_channel.values()], 0)
    missing = ~np.any([one.available for one in by_channel.values()], 0)
    times = next(iter(by_channel.values())).times
    used = {one.series[number].file for one in by_channel.values() for number in one.used_rows["series"].unique()}
    return {
        "kind": "local",
        "files": len(used),
        "notes": matched.notes,
        "times_missing": [str(time.astype("datetime64[s]")) for time in times[missing]],
        "preliminary": [str(time.astype("datetime64[s]")) for time in times[preliminary]],
    }
