"""Where the stations are: random grid points, a regular thinning, a list."""

from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.settings.observe import Network


def stations(network: Network, grid: Grid, generator: np.random.Generator, file: Path | None) -> pd.DataFrame:
    """The stations of a network and which of them are withheld.

    Returns:
        Columns station, latitude, longitude, withheld; one row a station.

    Raises:
        UserError: if no station is left to use.
    """
    if network.kind == "stations":
        places = listed(file, grid)
    else:
        rows, columns = random(network, grid, generator) if network.kind == "random" else regular(network, grid)
        places = pd.DataFrame(
            {
                "latitude": grid.latitude[rows],
                "longitude": grid.longitude[columns],
                "station": [f"G{r:03d}{c:03d}" for r, c in zip(rows, columns)],
            }
        )
    count = round(network.withheld * len(places))
    if count >= len(places):
        raise UserError(
            f"a network of kind {network.kind!r} has {len(places)} station(s) in the domain, {count} of "
            "them withheld, and observes nothing; enlarge it or withhold less"
        )
    withheld = generator.permutation(len(places)) < count
    return places.assign(withheld=withheld)


def random(network: Network, grid: Grid, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random grid points: `share` of the grid to use, and the withheld ones besides; rows and columns."""
    height, width = grid.shape
    used = round(network.share * height * width)
    if used == 0:
        raise UserError(
            f"a random network with share {network.share} of {height * width} grid points has no station; "
            "raise its share"
        )
    count = min(round(used / (1 - network.withheld)), height * width)
    points = np.sort(generator.permutation(height * width)[:count])
    return points // width, points % width


def regular(network: Network, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Every so-manieth grid point, starting half a spacing in; rows and columns."""
    height, width = grid.shape
    start = network.every // 2
    rows, columns = np.meshgrid(
        np.arange(start, height, network.every), np.arange(start, width, network.every), indexing="ij"
    )
    return rows.ravel(), columns.ravel()


def listed(file: Path, grid: Grid) -> pd.DataFrame:
    """The stations of a CSV file that lie in the domain.

    Raises:
        UserError: if the file cannot be read, lacks a column, or has no station in the domain.
    """
    try:
        table = pd.read_csv(file, dtype={"station": str})
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the stations {file} ({error})") from None
    if missing := {"station", "latitude", "longitude"} - set(table):
        raise UserError(f"{file} lacks the column(s) {', '.join(sorted(missing))} (it has: {', '.join(table)})")
    longitude = (table["longitude"] - grid.longitude[0]) % 360 + grid.longitude[0]
    inside = table["latitude"].between(grid.latitude[0], grid.latitude[-1])
    inside &= grid.periodic | (longitude <= grid.longitude[-1])
    if not inside.any():
        raise UserError(
            f"{file}: none of its {len(table)} stations lies in the domain ({grid.latitude[0]:g} to "
            f"{grid.latitude[-1]:g} N, {grid.longitude[0]:g} to {grid.longitude[-1]:g} E)"
        )
    return table.assign(longitude=longitude)[inside][["station", "latitude", "longitude"]].reset_index(drop=True)
