"""Coastlines, from a TopoJSON file (github.com/topojson/topojson-specification) or from the land fraction."""

import json
from pathlib import Path

import numpy as np
import xarray as xr
from contourpy import contour_generator

from hindsight.errors import UserError
from hindsight.fields.grid import Grid, close_globe


def read(path: Path) -> list[np.ndarray]:
    """Read the lines of a TopoJSON file, each (N, 2) of longitude and latitude in degrees.

    Raises:
        UserError: if the file cannot be read or is not TopoJSON.
    """
    try:
        topology = json.loads(Path(path).read_text())
        scale, shift = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
        return [np.cumsum(arc, axis=0) * scale + shift for arc in topology["arcs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a quantised TopoJSON file ({error!r}); correct verify.coastline") from None


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
