"""Coastlines from a TopoJSON file (github.com/topojson/topojson-specification)."""

import json
from pathlib import Path

import numpy as np

from hindsight.errors import UserError


def read(path: Path) -> list[np.ndarray]:
    """The lines of a TopoJSON file, each (N, 2) of longitude and latitude in degrees.

    Raises:
        UserError: if the file cannot be read or is not TopoJSON.
    """
    try:
        topology = json.loads(Path(path).read_text())
        scale, shift = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
        return [np.cumsum(arc, axis=0) * scale + shift for arc in topology["arcs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a quantised TopoJSON file ({error!r}); correct verify.coastline") from None
