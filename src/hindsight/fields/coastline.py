"""Coastlines, from a TopoJSON file (github.com/topojson/topojson-specification) or from the land fraction."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from contourpy import contour_generator

from hindsight.errors import UserError
from hindsight.fields.grid import Grid, close_globe
from hindsight.fields.plane import Plane


def on_map(coast: Sequence[Path], static: Path, attributes: dict) -> list[np.ndarray]:
    """The coastlines for maps of fields, each (N, 2) of longitude and latitude in degrees.

    Args:
        coast: a TopoJSON file, or none.
        static: static fields, with whose land fraction coastlines are drawn where there is no file.
        attributes: of the fields; those of a plane get coastlines on the plane.
    """
    if not coast:
        return of_land(static)
    lines, plane = read(coast[0]), Plane.of(attributes)
    return plane.lines(lines) if plane else lines


def read(path: Path) -> list[np.ndarray]:
    """Read the lines of a TopoJSON file, each (N, 2) of longitude and latitude in degrees.

    Of objects whose names differ by their scale alone (`coastline_50m`, `coastline_110m`) only the finest is read.

    Raises:
        UserError: if the file cannot be read or is not quantised TopoJSON.
    """
    try:
        topology = json.loads(Path(path).read_text())
        scale, shift = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
        arcs = topology["arcs"]
        numbers = sorted(_arcs_of(_finest(topology["objects"]))) if "objects" in topology else range(len(arcs))
        return [np.cumsum(arcs[number], axis=0) * scale + shift for number in numbers]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a quantised TopoJSON file ({error!r}); correct verify.coastline") from None


def _finest(objects: dict[str, dict]) -> list[dict]:
    """The objects of a topology, each at its finest scale: the least number before the m of a name."""
    found: dict[str, tuple[int, dict]] = {}
    for name, content in objects.items():
        stem, scale = match.groups() if (match := re.fullmatch(r"(.+)_(\d+)m", name)) else (name, "0")
        found[stem] = min(found.get(stem, (int(scale), content)), (int(scale), content), key=lambda pair: pair[0])
    return [content for _, content in found.values()]


def _arcs_of(part: object) -> set[int]:
    """Numbers of the arcs in a geometry, its parts, or a list of either; an arc n run backwards is listed as ~n."""
    if isinstance(part, int):
        return {part if part >= 0 else ~part}
    parts = part if isinstance(part, list) else part.get("geometries", part.get("arcs", []))
    return set().union(*map(_arcs_of, parts))


def of_land(path: Path) -> list[np.ndarray]:
    """Lines where the land fraction in the static fields is one half; empty without it, or for a line of points."""
    try:
        static = xr.load_dataset(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the static fields {path} ({error}); delete it and run snakemake") from None
    if "land" not in static or Grid.of(static).is_line:
        return []
    grid, land = close_globe(Grid.of(static), static["land"].transpose("latitude", "longitude").values)
    return contour_generator(grid.longitude, grid.latitude, land).lines(0.5)


def clipped(lines: list[np.ndarray], grid: Grid, tolerance: float) -> list[np.ndarray]:
    """The parts of lines that lie in the cells of a grid, for a page: in whole multiples of a tolerance.

    Args:
        lines: each (N, 2) of longitude and latitude, degrees.
        grid: if it is periodic, the parts lie from -180 to 180.
        tolerance: degrees.

    Returns:
        Lines, each (N, 2) of integers.
    """
    (south, north), (west, east) = (edges[[0, -1]] for edges in grid.cell_edges)
    west, east = (-180.0, 180.0) if grid.periodic else (west, east)
    found = []
    for line in lines:
        for turn in (-360, 0, 360):
            moved = line + [turn, 0]
            inside = ((moved >= [west, south]) & (moved <= [east, north])).all(1)
            pieces = np.split(moved, np.flatnonzero(np.diff(inside)) + 1)
            found += [_whole(piece, tolerance) for piece in pieces[int(not inside[0]) :: 2]]
    return [piece for piece in found if len(piece) > 1]


def _whole(line: np.ndarray, tolerance: float) -> np.ndarray:
    """A line in multiples of a tolerance, without points that have become equal to the one before."""
    points = np.rint(line / tolerance).astype(int)
    return points[np.append(True, np.diff(points, axis=0).any(1))]
