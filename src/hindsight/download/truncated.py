"""Whether a netCDF file is all there, by what its own head says.

A library reads a netCDF3 file that was cut short without a word, and gives zeros for what lacks.
"""

from collections.abc import Callable
from pathlib import Path
from struct import error, unpack_from

HDF5 = b"\x89HDF\r\n\x1a\n"
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes of a number of each type
HEAD = 2**24  # bytes of a netCDF3 file that its head lies in, at most
UNKNOWN = {4: 2**32 - 1, 8: 2**64 - 1}  # the number of frames of a file that is still being written


def lacking(path: Path) -> int:
    """Bytes that a file should have beyond its end, as far as its head tells: 0 where it is whole, or no netCDF."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    size = path.stat().st_size
    try:
        if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05"):
            return max(0, _end_of_netcdf3(head) - size)
    except error:  # the head itself goes on beyond what there is
        return int(size < HEAD)
    return max(0, _end_of_hdf5(head) - size) if head[:8] == HDF5 else 0


def _end_of_hdf5(head: bytes) -> int:
    """The address of the end of the file in the superblock; HDF5 File Format Specification, II.A."""
    version = head[8]
    width = head[13] if version < 2 else head[9]
    first = {0: 24, 1: 28}.get(version, 12)
    return int.from_bytes(head[first + 2 * width : first + 3 * width], "little")


def _end_of_netcdf3(head: bytes) -> int:
    """The end of the last value; NetCDF Classic Format Specification (CDF-1, CDF-2, CDF-5)."""
    words = _Words(head)
    frames = words.count()
    dims = words.listed(lambda: (words.name(), words.count())[1])
    words.listed(words.attribute)
    variables = words.listed(lambda: words.variable(dims))
    record = sum(_padded(size) for size, _, moves in variables if moves)
    moving = [size for size, _, moves in variables if moves]
    if len(moving) == 1:  # frames of a single variable are not padded
        (record,) = moving
    if frames == UNKNOWN[words.wide]:
        frames = 0
    ends = [begin + size for size, begin, moves in variables if not moves]
    ends += [begin + (frames - 1) * record + size for size, begin, moves in variables if moves and frames]
    return max(ends, default=words.at)


class _Words:
    """Reads the head of a netCDF3 file, one word after the other."""

    def __init__(self, head: bytes) -> None:
        self.head, self.at = head, 4
        self.wide = 8 if head[3] == 5 else 4  # bytes of a count
        self.far = 4 if head[3] == 1 else 8  # bytes of a place in the file

    def number(self, width: int) -> int:
        """A whole number of so many bytes."""
        (value,) = unpack_from(">Q" if width == 8 else ">I", self.head, self.at)
        self.at += width
        return value

    def count(self) -> int:
        """How many."""
        return self.number(self.wide)

    def name(self) -> None:
        """Pass over a name."""
        size = self.count()
        self.at += _padded(size)

    def listed(self, one: Callable) -> list:
        """What a list holds."""
        self.number(4)
        return [one() for _ in range(self.count())]

    def attribute(self) -> None:
        """Pass over an attribute."""
        self.name()
        kind = self.number(4)
        size = self.count() * SIZES[kind]
        self.at += _padded(size)

    def variable(self, dims: list[int]) -> tuple[int, int, bool]:
        """Bytes of a variable, or of one of its frames; where it begins; whether it has frames."""
        self.name()
        shape = [dims[self.count()] for _ in range(self.count())]
        self.listed(self.attribute)
        size = SIZES[self.number(4)]
        self.count()  # its size, which does not hold that of large variables
        for length in shape:
            size *= length or 1
        return size, self.number(self.far), bool(shape) and shape[0] == 0


def _padded(size: int) -> int:
    return -(-size // 4) * 4
