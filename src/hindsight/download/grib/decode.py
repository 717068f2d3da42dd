"""From places of messages to blocks of frames: each message decoded once a block, in the order it lies on disk."""

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


class Place(NamedTuple):
    """Where a message lies, and what it is known by."""

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
        table: messages, by row, with the columns of a `Place`.
        first: the row whose grid is that of all.
        box: south, north, west, east (degrees), each may be open.
        watch: told of every message.
    """

    def __init__(self, table: pd.DataFrame, first: int, box: tuple[float | None, ...], watch: Progress) -> None:
        self.places = table[list(Place._fields[1:])]
        self.first, self.box, self.watch = first, box, watch
        self.lattices: dict[str, Lattice] = {}
        self.decoded = 0

    @cached_property
    def points(self) -> Grid:
        """The wanted points of the grid."""
        return next(self._messages([self.first]))[2].points

    def block(self, sums: list[Sum], precision: type) -> np.ndarray:
        """Frames (frame, latitude, longitude), float32: each a sum of messages, NaN where there are none to sum.

        Args:
            sums: of each frame the messages, and their signs.
            precision: of the sums.
        """
        frames = np.zeros((len(sums), *self.points.shape), precision)
        goes_to = defaultdict(list)
        for number, one in enumerate(sums):
            frames[number] = 0.0 if one else np.nan
            for row, sign in one:
                goes_to[row].append((number, sign))
        for row, values in self.fields(goes_to):
            for number, sign in goes_to[row]:
                frames[number] += sign * values
        return frames.astype(np.float32, copy=False)

    def fields(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """The fields of some rows, as they come.

        Raises:
            UserError: if a message is damaged, is not what the catalogue says, or is on another grid.
        """
        for place, message, own in self._messages(rows):
            if not own.points.matches(self.points):
                first = Place(self.first, *self.places.loc[self.first])
                raise UserError(
                    f"{place} is on {own.points}, and {first} on {self.points}; all files of one source share a grid, "
                    "so regrid some, or take them out of download.grib.files"
                )
            yield place.row, own.arranged(messages.values(message, Path(place.file), place.offset))
            self.decoded += 1
            self.watch(self.decoded)

    def fits(self, row: int) -> bool:
        """Whether a message is on the grid of all."""
        try:
            return next(self._messages([row]))[2].points.matches(self.points)
        except UserError:
            return False

    def _messages(self, rows: Iterable[int]) -> Iterator[tuple[Place, "Message", Lattice]]:
        chosen = self.places.loc[list(rows)].sort_values(["file", "offset", "field"])
        for name, places in groupby(map(Place._make, chosen.itertuples()), lambda place: place.file):
            with messages.opened(Path(name)) as file:
                for place in places:
                    message = messages.take(file, Path(name), place.offset, place.field)
                    if messages.checksum(message) != place.checksum:
                        raise UserError(f"{place} is not what it was when it was catalogued; run snakemake again")
                    yield place, message, self._lattice(message, place)

    def _lattice(self, message: "Message", place: Place) -> Lattice:
        if place.md5GridSection not in self.lattices:
            self.lattices[place.md5GridSection] = lattice.of(message, self.box, str(place))
        return self.lattices[place.md5GridSection]
