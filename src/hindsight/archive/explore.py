"""A page that shows the archive in a browser: maps, series and observations, in one file that needs no server.

The archive is read shard by shard. If the page becomes larger than allowed, it is made again with coarser values, then
with fewer frames or points (`reduction.ladder`), and says so.
"""

import json
from importlib import resources
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from hindsight.archive import objects
from hindsight.archive.excerpt import RELATIVE, Packed, PageFields
from hindsight.archive.observations import files_of
from hindsight.archive.places import Frames, at_places
from hindsight.archive.reduction import Reduction, ladder
from hindsight.errors import UserError
from hindsight.fields import coastline, colours, store
from hindsight.settings import Archive
from hindsight.settings.hours import in_words
from hindsight.settings.verify import Comparison

PAGE = "page"  # folder of the template, the style and the scripts
SCRIPTS = ("data.js", "drawing.js", "map.js", "series.js", "explore.js")
OF_OBSERVATIONS = 0.2  # share of the page
BYTES = 4.0  # of the page for an observation, by experience at most
COLOURS = 33  # of a palette; the page interpolates between them
COAST = 1500  # steps of a coastline across the map


def run(
    against: Comparison,
    settings: Archive,
    *,
    layout: Path,
    tables: list[Path],
    archive: Path,
    fields: Path,
    static: Path,
    coast: list[Path],
    page: Path,
) -> None:
    """Make a page that shows the archive in a browser, with maps, series and observations.

    Args:
        against: what the fields of the period are.
        settings: of the archive, with the allowed size of the page.
        layout: of the archive (`layout.json`).
        tables: the list of the tables of feedback (`observations.json`).
        archive: the store, complete and checked.
        fields: the truth or a reference (`fields.zarr`).
        static: land fraction; coastlines follow from the land if `coast` is empty.
        coast: a TopoJSON file of coastlines, or none.
        page: to write.

    Raises:
        UserError: if the page cannot be as small as the settings ask.
    """
    page_fields = PageFields.open(json.loads(layout.read_text()), archive, fields, against)
    lines = coastline.on_map(coast, static, store.read(fields).attrs)
    feedback = [path for marker in tables for path, _ in files_of(marker).values()]
    allowed, smallest = int(settings.explorer_mb * 1e6), 0
    for reduction in ladder(page_fields.frames, page_fields.grid.shape):
        packed = page_fields.packed(reduction, allowed)
        if packed is None:
            continue
        text = render(described(packed, lines, feedback, allowed))
        if (smallest := len(text.encode())) <= allowed:
            objects.put(page, text.encode())
            print(f"{page}: {smallest / 1e6:.2g} MB; {sentence(reduction, page_fields)}")
            return
    raise UserError(
        f"archive.explorer_mb: {settings.explorer_mb:g}, but even with one frame of one box the page has "
        f"{smallest / 1e6:.2g} MB; allow more"
    )


def described(packed: Packed, lines: list[np.ndarray], feedback: list[Path], allowed: int) -> dict[str, object]:
    """Everything that the page shows, as a dictionary for JSON."""
    page_fields, reduction = packed.page_fields, packed.reduction
    grid, domain = page_fields.grid, page_fields.layout["settings"]["domain"]
    frames = Frames(page_fields.times[0], domain["step_hours"], page_fields.frames, reduction.stride)
    tolerance = float(max(np.ptp(edges) for edges in grid.cell_edges)) / COAST
    observed = at_places(feedback, page_fields.channels, frames, int(OF_OBSERVATIONS * allowed / BYTES))
    latitude, longitude = reduction.edges(grid)
    return {
        "title": page_fields.layout["attributes"]["title"],
        "summary": page_fields.layout["attributes"]["summary"],
        "start": f"{np.datetime_as_string(page_fields.times[0], 's')}Z",
        "hours": domain["step_hours"] * reduction.stride,
        "frames": len(frames),
        "latitude": np.round(latitude, 5).tolist(),
        "longitude": np.round(longitude, 5).tolist(),
        "periodic": grid.periodic,
        "channels": packed.channels(),
        "kinds": list(page_fields.kinds.items()),
        "relative": RELATIVE,
        "coast": [line.ravel().tolist() for line in coastline.clipped(lines, grid, tolerance)],
        "tolerance": tolerance,
        "palettes": {
            "field": colours.sample(colours.FIELD, COLOURS),
            "difference": colours.sample(colours.DIFFERENCE, COLOURS),
            "spread": colours.sample(colours.AMOUNT, COLOURS),
        },
        "observed": observed,
        "notes": [sentence(reduction, page_fields), rounding(packed), *_limits(observed, reduction)],
    }


def sentence(reduction: Reduction, page_fields: PageFields) -> str:
    """What is kept of the archive's frames and points."""
    frames, (rows, columns) = page_fields.frames, page_fields.grid.shape
    step = page_fields.layout["settings"]["domain"]["step_hours"]
    stride, box = reduction.stride, reduction.box
    which = (
        f"every {_ordinal(stride)} of the archive's {frames} frames (every {in_words(stride * step)})"
        if stride > 1
        else f"all {frames} frames"
    )
    where = f"each {box} × {box} of the {rows} × {columns} points averaged by area" if box > 1 else "all points"
    return f"This page holds {which}, and {where}."


def _ordinal(power: int) -> str:
    """A power of two in words: 2nd, 4th, 32nd."""
    return f"{power}{'nd' if power % 10 == 2 and power % 100 != 12 else 'th'}"


def rounding(packed: Packed) -> str:
    """To what values are rounded."""
    within = [f"{one['step'] / 2:g} {one['units']}".rstrip() + f" ({one['name']})" for one in packed.channels()]
    return f"Values are those of the archive to within {', '.join(within)}."


def _limits(observed: dict, reduction: Reduction) -> list[str]:
    """What the page does not show of the observations."""
    rows, shown = observed["rows"], len(observed["places"])
    if not rows["all"]:
        return ["The archive has no observations."]
    left = f" of {rows['places']}" if shown < rows["places"] else ""
    which = ", those with most observations" if left else ""
    return [
        f"Observations: {rows['shown']} of {rows['all']} are shown, at {shown}{left} stations{which}, at the frames of "
        "this page. Values are without the bias that was subtracted."
    ]


def render(page: dict[str, object]) -> str:
    """The page as HTML, with its data, style and scripts in it."""
    environment = Environment(
        loader=PackageLoader("hindsight.archive", PAGE), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    folder = resources.files("hindsight.archive") / PAGE
    scripts = [(folder / name).read_text() for name in SCRIPTS]
    style = (folder / "explore.css").read_text()
    return environment.get_template("explore.html.jinja").render(page=page, scripts=scripts, style=style)
