"""List radar composites: the time of every file, and the layout that all must have in common.

Files that cannot be read are listed with the reason; their times are then missing, see `radar`.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from hindsight.download import file_kind
from hindsight.download.radar import fmi, hdf5, knmi, odim
from hindsight.download.radar.composite import Composite, Damaged, Layout
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Download

SHOWN = 5  # files that an error lists
HEAD = 4096  # bytes that tell the format


@dataclass(frozen=True)
class File:
    """A composite: its path, a text that changes with its content, and its time (UTC)."""

    path: str
    identity: str
    time: str


@dataclass(frozen=True)
class Composites:
    """All composites in order of time, their layout, and why other files cannot be read, by path."""

    layout: Layout
    files: list[File]
    unreadable: dict[str, str]


def run(settings: Download, *, files: list[Path], composites: Path) -> None:
    """List the times of all radar composites, and refuse those of several radars or projections."""
    found = list_composites(files)
    for name, why in found.unreadable.items():
        print(f"left out: {name}: {why}")
    store.replace(composites, lambda partial: partial.write_text(json.dumps(asdict(found))))


def read(composites: Path) -> Composites:
    """Read the file that `run` has written."""
    found = json.loads(composites.read_text())
    return Composites(Layout(**found["layout"]), [File(**one) for one in found["files"]], found["unreadable"])


def list_composites(files: list[Path]) -> Composites:
    """Describe all files.

    Raises:
        UserError: if there is no composite, if layouts differ, or if two files have the same time.
    """
    watch, described, unreadable = Progress("download.composites", len(files)), {}, {}
    for number, path in enumerate(files):
        try:
            described[path] = format_of(path).describe(path)
        except Damaged as error:
            unreadable[str(path)] = str(error)
        watch(number + 1)
    if not described:
        raise UserError(f"there is no radar composite{_listed(unreadable)}; correct download.radar.files")
    layout = _common_layout(described)
    ordered = sorted(described, key=lambda path: (described[path].time, path))
    _check_times(ordered, described)
    listed = [File(str(path), file_kind.identity(path), str(described[path].time)) for path in ordered]
    return Composites(layout, listed, unreadable)


def format_of(path: Path) -> ModuleType:
    """The module that reads a file, by its content.

    Raises:
        Damaged: if none does.
    """
    if not path.is_file():
        raise Damaged("it is a folder" if path.is_dir() else "it does not exist")
    if (head := fmi.unpacked(path, HEAD)).startswith(hdf5.SIGNATURE):
        with hdf5.opened(path) as file:
            if found := next((module for module in (knmi, odim) if module.is_of(file)), None):
                return found
        raise Damaged("it is HDF5, and neither of KNMI nor of ODIM")
    if fmi.is_of(head):
        return fmi
    raise Damaged("it is no HDF5 of KNMI or ODIM, and no PGM of FMI" if head else "it is empty, 0 bytes")


def _common_layout(described: dict[Path, Composite]) -> Layout:
    """The layout of all files.

    Raises:
        UserError: listing the layouts, each with the number of its files and one of them.
    """
    count = Counter(one.layout for one in described.values())
    if len(count) > 1:
        example = {one.layout: path for path, one in described.items()}
        kinds = [f"{n} file(s) like {example[one].name}: {one}" for one, n in count.most_common(SHOWN)]
        raise UserError(
            "composites of several radars, products or projections make no series:\n  "
            + "\n  ".join(kinds)
            + "\nname the files of one of them in download.radar.files"
        )
    return next(iter(count))


def _check_times(ordered: list[Path], described: dict[Path, Composite]) -> None:
    times = np.array([described[path].time for path in ordered])
    if (twice := np.flatnonzero(np.diff(times) == np.timedelta64(0))).size:
        pairs = [f"{ordered[k]} and {ordered[k + 1]} ({times[k]})" for k in twice[:SHOWN].tolist()]
        raise UserError(
            f"{twice.size} time(s) have two composites: {', '.join(pairs)}; remove one of each, or narrow "
            "download.radar.files"
        )


def _listed(unreadable: dict[str, str]) -> str:
    lines = [f"\n  {name}: {why}" for name, why in list(unreadable.items())[:SHOWN]]
    more = f"\n  and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
    return f" among {len(unreadable)} file(s):{''.join(lines)}{more}\n" if lines else ""
