"""Decode messages to blocks of frames: each message once for a block, in the order of their offsets on disk."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hindsight.download.assembly import Sum
from hindsight.download.grib import lattice, messages
from hindsight.download.grib.lattice import Lattice
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.progress import Progress

if TYPE_CHECKING:
    from cfgrib.messages import Message


class Location(NamedTuple):
    """The file and offset of a message, and the checksums that identify it and its grid."""

    row: int
    file: str
    offset: int
    field: int
    checksum: str
    md5GridSection: str  # noqa: N815, ecCodes' name for it

    def __str__(self) -> str:
        return f"the message at byte {self.offset} of {self.file}"


class Reader:
    """Reads fields, all on one grid.

    Args:
        table: messages, by row, with the columns of a `Location`.
        first: the row whose grid all messages must have.
        box: south, north, west, east (degrees); None: no limit.
        watch: prints the number of decoded messages.
    """

    def __init__(self, table: pd.DataFrame, first: int, box: tuple[float | None, ...], watch: Progress) -> None:
        self.locations = table[list(Location._fields[1:])]
        self.first, self.box, self.watch = first, box, watch
        self.lattices: dict[str, Lattice] = {}
        self.decoded = 0

    @cached_property
    def points(self) -> Grid:
        """The points of the grid in the box."""
        return next(self._messages([self.first]))[2].points

    def block(self, sums: list[Sum], precision: type) -> np.ndarray:
        """Frames (frame, latitude, longitude), float32: each a sum of messages, NaN where a sum is empty.

        Args:
            sums: of each frame, the messages and their signs.
            precision: of the sums.
        """
        frames = np.zeros((len(sums), *self.points.shape), precision)
        frames_of_row = defaultdict(list)
        for number, one in enumerate(sums):
            frames[number] = 0.0 if one else np.nan
            for row, sign in one:
                frames_of_row[row].append((number, sign))
        for row, values in self.fields(frames_of_row):
            for number, sign in frames_of_row[row]:
                frames[number] += sign * values
        return frames.astype(np.float32, copy=False)

    def fields(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """The fields of some rows, in the order of the files.

        Raises:
            UserError: if a message is damaged, differs from the catalogue, or is on another grid.
        """
        for location, message, grid in self._messages(rows):
            if not grid.points.matches(self.points):
                first = Location(self.first, *self.locations.loc[self.first])
                raise UserError(
                    f"{location} is on {grid.points}, but {first} is on {self.points}; all files of a source must "
                    "have the same grid, so regrid some, or remove them from download.grib.files"
                )
            yield location.row, grid.arrange(messages.values(message, Path(location.file), location.offset))
            self.decoded += 1
            self.watch(self.decoded)

    def on_grid(self, row: int) -> bool:
        """Whether a message is on the grid of the reader."""
        try:
            return next(self._messages([row]))[2].points.matches(self.points)
        except UserError:
            return False

    def _messages(self, rows: Iterable[int]) -> Iterator[tuple[Location, "Message", Lattice]]:
        chosen = self.locations.loc[list(rows)].sort_values(["file", "offset", "field"])
        for name, locations in groupby(map(Location._make, chosen.itertuples()), lambda location: location.file):
            with messages.open_file(Path(name)) as file:
                for location in locations:
                    message = messages.read_message(file, Path(name), location.offset, location.field)
                    if messages.checksum(message) != location.checksum:
                        raise UserError(f"{location} has changed since it was catalogued; run snakemake again")
                    yield location, message, self._lattice(message, location)

    def _lattice(self, message: "Message", location: Location) -> Lattice:
        if location.md5GridSection not in self.lattices:
            self.lattices[location.md5GridSection] = lattice.of_message(message, self.box, str(location))
        return self.lattices[location.md5GridSection]
