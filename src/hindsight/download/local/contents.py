"""List the contents of netCDF files and Zarr stores, once for all parts: variables, levels, times and grids.

There may be one file or thousands, each with its own names, order, rounding and calendar. Values are read at a few
points only, to recognise running sums and preliminary frames. A file's problem is kept with its description and
reported if the file is needed, together with all others.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hindsight.download.local import match
from hindsight.download.local.description import File, Variable, describe
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Download

SHOWN = 8  # files that an error lists


@dataclass(frozen=True)
class Contents:
    """The descriptions of all files; `grids` are their latitudes and longitudes by dimension, each grid once."""

    files: list[File]
    grids: list[dict[str, list[float]]]


def run(settings: Download, *, files: list[Path], contents: Path) -> None:
    """List the contents of netCDF files and Zarr stores, and refuse files that cannot make the domain."""
    if missing := [str(path) for path in files if not path.exists()]:
        raise UserError(f"there is no {', '.join(missing[:SHOWN])}; correct the setting data or download.files")
    found = list_contents(files, settings)
    for note in match.match_channels(found, settings).notes:
        print(note)
    store.replace(contents, lambda partial: partial.write_text(json.dumps(asdict(found))))


def read(contents: Path) -> Contents:
    """Read the file that `run` has written."""
    found = json.loads(contents.read_text())
    files = [
        File(**one | {"variables": {n: Variable(**v) for n, v in one["variables"].items()}}) for one in found["files"]
    ]
    return Contents(files, found["grids"])


def list_contents(files: list[Path], settings: Download) -> Contents:
    """Describe all files.

    Raises:
        UserError: naming all files that cannot be read.
    """
    watch, grids, found, broken = Progress("download.contents", len(files)), {}, [], []
    for number, path in enumerate(files):
        try:
            found.append(describe(path, settings, grids))
        except UserError as error:
            broken.append(str(error))
        watch(number + 1)
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        raise UserError("\n  ".join([*broken[:SHOWN], *more]))
    return Contents(found, [json.loads(text) for text in grids])
