"""What netCDF files and Zarr stores hold, listed once for all parts: variables, levels, times, grids, and no values.

Files may be one or thousands, and each may have its own names, order, rounding and calendar. What is wrong with one is
kept beside it: it is told when the file is needed, with all other mistakes at once.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hindsight.download.local import match
from hindsight.download.local.description import File, Variable, described
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Download

SHOWN = 8  # mistakes that an error lists


@dataclass(frozen=True)
class Contents:
    """What all files hold; `grids` are their latitudes and longitudes, each once, by the names of their dimensions."""

    files: list[File]
    grids: list[dict[str, list[float]]]


def run(settings: Download, *, files: list[Path], contents: Path) -> None:
    """List what netCDF files and Zarr stores hold, and refuse what the domain cannot be made from."""
    if missing := [str(path) for path in files if not path.exists()]:
        raise UserError(f"there is no {', '.join(missing[:SHOWN])}; check data and download.files")
    found = listed(files, settings)
    for note in match.matched(found, settings).notes:
        print(note)
    store.replace(contents, lambda partial: partial.write_text(json.dumps(asdict(found))))


def read(contents: Path) -> Contents:
    """Read what `run` has written."""
    found = json.loads(contents.read_text())
    files = [
        File(**one | {"variables": {n: Variable(**v) for n, v in one["variables"].items()}}) for one in found["files"]
    ]
    return Contents(files, found["grids"])


def listed(files: list[Path], settings: Download) -> Contents:
    """List what files hold.

    Raises:
        UserError: naming all that cannot be read.
    """
    watch, grids, found, broken = Progress("download.contents", len(files)), {}, [], []
    for number, path in enumerate(files):
        try:
            found.append(described(path, settings, grids))
        except UserError as error:
            broken.append(str(error))
        watch(number + 1)
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        raise UserError("\n  ".join([*broken[:SHOWN], *more]))
    return Contents(found, [json.loads(text) for text in grids])
