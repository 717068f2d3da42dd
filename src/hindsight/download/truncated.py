"""Whether a netCDF file is truncated, by its own header.

A library reads a truncated netCDF3 file without an error, and returns zeros for the missing values.
"""

from collections.abc import Callable
from pathlib import Path
from struct import error, unpack_from

HDF5 = b"\x89HDF\r\n\x1a\n"
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes of a number of each type
HEAD = 2**24  # bytes; no header of a netCDF3 file is longer
UNKNOWN = {4: 2**32 - 1, 8: 2**64 - 1}  # the number of frames of a file that is still being written


def missing_bytes(path: Path) -> int:
    """Least number of bytes missing at the end of a file, by its header: 0 if it is complete, or not netCDF."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    size = path.stat().st_size
    try:
        if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02", b"\x05"):
            return max(0, _end_of_netcdf3(head) - size)
    except error:  # the header itself is truncated
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
    header = _Header(head)
    frames = header.count()
    dims = header.list_of(lambda: (header.name(), header.count())[1])
    header.list_of(header.attribute)
    variables = header.list_of(lambda: header.variable(dims))
    record = sum(_padded(size) for size, _, has_frames in variables if has_frames)
    sizes = [size for size, _, has_frames in variables if has_frames]
    if len(sizes) == 1:  # frames of a single variable are not padded
        (record,) = sizes
    if frames == UNKNOWN[header.count_bytes]:
        frames = 0
    ends = [begin + size for size, begin, has_frames in variables if not has_frames]
    ends += [begin + (frames - 1) * record + size for size, begin, has_frames in variables if has_frames and frames]
    return max(ends, default=header.at)


class _Header:
    """Reads the header of a netCDF3 file, one number after the other."""

    def __init__(self, head: bytes) -> None:
        self.head, self.at = head, 4
        self.count_bytes = 8 if head[3] == 5 else 4  # bytes of a count
        self.offset_bytes = 4 if head[3] == 1 else 8  # bytes of an offset in the file

    def number(self, width: int) -> int:
        """A whole number of `width` bytes."""
        (value,) = unpack_from(">Q" if width == 8 else ">I", self.head, self.at)
        self.at += width
        return value

    def count(self) -> int:
        """A count."""
        return self.number(self.count_bytes)

    def name(self) -> None:
        """Skip a name."""
        size = self.count()
        self.at += _padded(size)

    def list_of(self, one: Callable) -> list:
        """The entries of a list, each read by `one`."""
        self.number(4)
        return [one() for _ in range(self.count())]

    def attribute(self) -> None:
        """Skip an attribute."""
        self.name()
        kind = self.number(4)
        size = self.count() * SIZES[kind]
        self.at += _padded(size)

    def variable(self, dims: list[int]) -> tuple[int, int, bool]:
        """The bytes of a variable, or of one of its frames; its offset; whether it has frames."""
        self.name()
        shape = [dims[self.count()] for _ in range(self.count())]
        self.list_of(self.attribute)
        size = SIZES[self.number(4)]
        self.count()  # its size, which is wrong for large variables
        for length in shape:
            size *= length or 1
        return size, self.number(self.offset_bytes), bool(shape) and shape[0] == 0


def _padded(size: int) -> int:
    return -(-size // 4) * 4
