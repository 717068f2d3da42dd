"""Source `radar`: rain rates from radar composites, a file for each time.

Points without data are NaN and dry points 0, so that "no rain" and "not seen" stay apart. What is missing, limited or
dry throughout is counted, and the manifest repeats it.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import dask.array
import numpy as np
import xarray as xr

from hindsight.download import part as parts
from hindsight.download.radar import composites as listing
from hindsight.download.radar.composite import Damaged, Layout
from hindsight.download.radar.composites import Composites, File
from hindsight.download.radar.rain_rates import Cut, above, largest_rectangle, rain_rates
from hindsight.errors import UserError
from hindsight.fields import intervals, store
from hindsight.fields.grid import Grid
from hindsight.fields.plane import Plane
from hindsight.progress import Progress
from hindsight.settings import Download
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.radar import Radar

RAIN = CHANNELS["rain"]
POINTS = {"latitude": "degrees_north", "longitude": "degrees_east"}
SHOWN = 6  # times and files that a note lists


def run(settings: Download, *, part: str, composites: Path, raw: Path, marker: Path) -> None:
    """Read the rain rates of one part of the frames from radar composites."""
    times, listed = intervals.parse(part, settings.step_hours).times, listing.read(composites)
    if other := [name for name in settings.channels if name != RAIN.name]:
        raise UserError(
            f"radar composites make channel {RAIN.name} (rain rate), not {', '.join(other)}; change domain.channels"
        )
    files = _by_time(listed, times)
    request = _request(settings, part, listed, files)
    if parts.reuse(raw, marker, request):
        return
    store.require_free_space(raw, settings.minimum_free_gb)
    cut = Cut.of(listed.layout, settings.radar)
    reader = Reader(listed.layout, cut, settings.radar)
    blocks = reader.blocks(times, files, Progress("download.radar", len(times), "frames"))
    template = _template(times, *cut.place(listed.layout))
    template = template.assign_attrs(template.attrs | _attributes(settings, listed))
    parts.write_blocks(
        template, blocks, raw, marker, request, lambda: _source(listed, files, times, reader.found, settings.radar)
    )


@dataclass
class Tally:
    """What was found in the values of a part.

    Attributes:
        above: number of reflectivities above `highest_dbz`.
        wet_frames: frames with rain at one or more points.
        no_data: points without data, of every frame that was read, by time.
        covered: points of the composites that have data in all frames, (H, W); none before the first frame.
        damaged: why files could not be read, by path.
    """

    above: int = 0
    wet_frames: int = 0
    no_data: dict[np.datetime64, int] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    covered: np.ndarray | None = None


class Reader:
    """Reads composites of one layout.

    Args:
        layout: of all files.
        cut: the part that is kept.
        settings: how reflectivities become rain.
    """

    def __init__(self, layout: Layout, cut: Cut, settings: Radar) -> None:
        self.layout, self.cut, self.settings, self.found = layout, cut, settings, Tally()
        self.format = import_module(f"hindsight.download.radar.{layout.format}")

    def blocks(self, times: np.ndarray, files: dict[np.datetime64, File], watch: Progress) -> Iterator[xr.Dataset]:
        """The frames, NaN where there is no file, in blocks of whole chunks."""
        size = parts.chunk_frames((self.cut.rows, self.cut.columns))
        for first in range(0, len(times), size):
            window = times[first : first + size]
            values = np.full((len(window), self.cut.rows, self.cut.columns), np.nan, np.float32)
            for k, time in enumerate(window):
                if time in files:
                    values[k] = self.frame(files[time], time)
            yield xr.Dataset({RAIN.variable: (("time", *POINTS), values)}, {"time": window})
            watch(min(first + size, len(times)))

    def frame(self, file: File, time: np.datetime64) -> np.ndarray:
        """Rain rates of one file (mm/h), south first; all NaN if it cannot be read after all."""
        try:
            values = self.format.values(Path(file.path))
            if values.shape != (self.layout.rows, self.layout.columns):
                raise Damaged(f"it has {values.shape} points, not those of its header")
        except Damaged as error:
            self.found.damaged[file.path] = str(error)
            return np.full((self.cut.rows, self.cut.columns), np.nan)
        rates = self.cut(rain_rates(values, self.layout.quantity, self.settings))
        self.found.above += above(values, self.layout.quantity, self.settings)
        self.found.no_data[time] = int(np.isnan(rates).sum())
        self.found.covered = ~np.isnan(values) & (True if self.found.covered is None else self.found.covered)
        self.found.wet_frames += bool((rates > 0).any())
        return rates


def _by_time(listed: Composites, times: np.ndarray) -> dict[np.datetime64, File]:
    """The files of frames, by their times."""
    wanted = set(times.tolist())
    by_time = {np.datetime64(file.time, "ns"): file for file in listed.files}
    return {time: file for time, file in by_time.items() if time.astype(int).item() in wanted}


def _request(settings: Download, part: str, listed: Composites, files: dict[np.datetime64, File]) -> dict:
    """All that the bytes of a part depend on."""
    identities = json.dumps([[file.path, file.identity] for file in files.values()])
    radar = settings.radar.model_dump(mode="json", exclude={"files"})
    digest = hashlib.sha256(identities.encode()).hexdigest()
    return {"source": "radar", "part": part, "step_hours": settings.step_hours, "files": digest, "radar": radar}


def _template(times: np.ndarray, plane: Plane, grid: Grid) -> xr.Dataset:
    """The part without its values, with the true places of its points."""
    coords: dict[str, tuple] = {"time": ("time", times)}
    for name, units in POINTS.items():
        along = {"long_name": f"{'y' if name == 'latitude' else 'x'} on the plane, see the attribute plane"}
        coords[name] = (name, getattr(grid, name), along | {"standard_name": name, "units": units})
    shape = (len(times), *grid.shape)
    empty = dask.array.zeros(shape, dtype=np.float32, chunks=(parts.chunk_frames(grid.shape), *grid.shape))
    about = {"standard_name": RAIN.standard_name, "units": RAIN.units, "long_name": RAIN.long_name}
    places = {
        f"true_{name}": (tuple(POINTS), values, {"units": units, "long_name": f"{name} of the point on the Earth"})
        for (name, units), values in zip(POINTS.items(), plane.places(grid))
    }
    return xr.Dataset({RAIN.variable: (("time", *POINTS), empty, about)} | places, coords, plane.attributes())


def _attributes(settings: Download, listed: Composites) -> dict[str, str]:
    names = [Path(file.path).name for file in listed.files]
    text = ", ".join(names) if len(names) <= 10 else f"{names[0]} … {names[-1]}, {len(names)} files"
    return {
        "source_files": text,
        "source_title": settings.title or listed.layout.product,
        "source_licence": settings.licence,
    }


def _source(
    listed: Composites, files: dict[np.datetime64, File], times: np.ndarray, found: Tally, settings: Radar
) -> dict[str, object]:
    """What the marker of a part says about its source."""
    damaged = {time for time, file in files.items() if file.path in found.damaged}
    missing = [time for time in times if time not in files or time in damaged]
    return {
        "kind": "radar",
        "layout": str(listed.layout),
        "files": len(files),
        "times_missing": [str(time.astype("datetime64[s]")) for time in missing],
        "notes": [
            *_note_of_files(listed.unreadable | found.damaged),
            *_note_of_missing(missing, times),
            *_note_of_dryness(found, times),
            *_note_of_no_data(found),
            *_note_of_rectangle(found, settings.average),
            *_note_of_limit(found),
        ],
    }


def _note_of_files(unreadable: dict[str, str]) -> list[str]:
    lines = [f"{Path(name).name}: {why}" for name, why in list(unreadable.items())[:SHOWN]]
    more = f"; and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
    return [f"{len(unreadable)} file(s) are left out ({'; '.join(lines)}{more})"] if lines else []


def _note_of_missing(missing: list[np.datetime64], times: np.ndarray) -> list[str]:
    if not missing:
        return []
    return [f"no radar composite at {len(missing)} of {len(times)} times ({_listed(missing)}); these frames are NaN"]


def _note_of_dryness(found: Tally, times: np.ndarray) -> list[str]:
    if found.wet_frames or not found.no_data:
        return []
    span = f"{_minute(times[0])} to {_minute(times[-1])}"
    return [f"there is no rain at any point of the {len(found.no_data)} frames from {span}"]


def _note_of_no_data(found: Tally) -> list[str]:
    """Frames with more points without data than the frame with the fewest, which shows what the radars can see."""
    least = min(found.no_data.values(), default=0)
    more = {time: count - least for time, count in found.no_data.items() if count > least}
    if not more:
        return []
    worst = max(more, key=lambda time: more[time])
    return [
        f"{len(more)} of {len(found.no_data)} frames have no data at points where other frames have them, from "
        f"{min(more.values())} points to {more[worst]} (at {_minute(worst)}); first at {_minute(min(more))}"
    ]


def _note_of_rectangle(found: Tally, size: int) -> list[str]:
    """The largest rectangle with data in all frames, if the one that is kept has points without data."""
    if found.covered is None or not any(found.no_data.values()):
        return []
    rows, columns = (side // size for side in found.covered.shape)
    squares = found.covered[: rows * size, : columns * size].reshape(rows, size, columns, size).all((1, 3))
    top, left, rows, columns = largest_rectangle(squares)
    return [
        f"up to {max(found.no_data.values())} points of a frame have no data; the largest rectangle with data in all "
        f"{len(found.no_data)} frames is download.radar.rectangle: {{rows: {rows}, columns: {columns}, top: "
        f"{top * size}, left: {left * size}}}"
    ]


def _note_of_limit(found: Tally) -> list[str]:
    return [f"{found.above} reflectivities above download.radar.highest_dbz count as that"] if found.above else []


def _listed(times: list[np.datetime64]) -> str:
    return ", ".join(map(_minute, times[:SHOWN])) + (f" and {len(times) - SHOWN} more" if len(times) > SHOWN else "")


def _minute(time: np.datetime64) -> str:
    return str(time.astype("datetime64[m]"))
