"""Groups and attributes of an HDF5 file, read through netCDF4."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np

from hindsight.download.radar.composite import Damaged

SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def opened(path: Path) -> Iterator[netCDF4.Dataset]:
    """An HDF5 file.

    Raises:
        Damaged: if it cannot be opened, or lacks what is read from it.
    """
    try:
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            yield file
    except (OSError, RuntimeError, KeyError, IndexError, AttributeError, ValueError) as error:
        says = str(error).strip("'\"").splitlines() or [type(error).__name__]
        raise Damaged(says[0]) from None


def text(group: netCDF4.Group, name: str) -> str:
    """An attribute as text."""
    value = _attribute(group, name)
    return (value.decode() if isinstance(value, bytes) else str(value)).strip("\x00 ")


def number(group: netCDF4.Group, name: str) -> float:
    """An attribute as a number; arrays of one value count as one.

    Raises:
        ValueError: if it is none.
    """
    return float(np.asarray(_attribute(group, name)).ravel()[0])


def _attribute(group: netCDF4.Group, name: str) -> object:
    if name not in group.ncattrs():
        raise KeyError(f"its group {group.path} has no attribute {name}")
    return group.getncattr(name)
