"""Stations of simulated networks: random or thinned grid points, blocks, populated places, or a list from a file."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import usage
from hindsight.fields.grid import NEAR, Grid, great_circle
from hindsight.operators import footprint
from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.observe import Network

MEASUREMENTS = ("value", "values", "obs", "observation", "channel", "level", "time", "datetime", "error", "quality")
CENTRES, CENTRE_RADIUS_KM = 25, 900.0  # of population
AT_SEA = 0.06  # share of the stations at sea: ships and islands


def stations(
    network: Network, grid: Grid, generator: np.random.Generator, file: Path | None, static: xr.Dataset
) -> pd.DataFrame:
    """The stations of a network, some of them withheld.

    Args:
        network: its settings.
        grid: of the fields.
        generator: of all random numbers.
        file: the list of stations, if the network has one.
        static: land fraction and orography, if available.

    Returns:
        Columns station, latitude, longitude, withheld, footprint; one row for each station.

    Raises:
        UserError: if no station remains that is not withheld, or the list or the land fraction is missing.
    """
    if network.kind == "stations":
        places = load_list(file, grid)
        if network.count and network.count < len(places):
            chosen = np.sort(generator.permutation(len(places))[: network.count])
            places = places.iloc[chosen].reset_index(drop=True)
    elif network.kind == "land":
        places = land_stations(network, grid, generator, static)
    elif network.kind == "footprint":
        places = block_stations(network, grid)
    else:
        places = grid_stations(network, grid, generator)
    places = _covered(places, grid)
    order, (part, parts) = generator.permutation(len(places)), network.fold or (0, 1)
    if network.fold:
        withheld = order * parts // max(len(places), 1) == part
    else:
        withheld = order < round(network.withheld * len(places))
    count = int(withheld.sum())
    if count >= len(places):
        raise UserError(
            f"a network of kind {network.kind!r} has {len(places)} station(s) in the domain, {count} of "
            "them withheld, and observes nothing; enlarge it or withhold less"
        )
    return places.assign(withheld=withheld, footprint=places.get("footprint", ""))


def _covered(places: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """The stations that measure nothing but points that the source covers; prints how many do not."""
    if grid.covered is None:
        return places
    operator = footprint.observation_operator(grid, places)
    inside = (grid.covered.ravel()[operator.point] | (operator.weight == 0)).all(1)
    if not inside.all():
        print(f"{(~inside).sum()} of {len(places)} stations lie where the source has no values; left out", flush=True)
    return places[inside].reset_index(drop=True)


def grid_stations(network: Network, grid: Grid, generator: np.random.Generator) -> pd.DataFrame:
    """Stations on grid points."""
    rows, columns = (
        random_points(network, grid, generator) if network.kind == "random" else regular_points(network, grid)
    )
    return pd.DataFrame(
        {
            "latitude": grid.latitude[rows],
            "longitude": grid.longitude[columns],
            "station": [f"G{r:03d}{c:03d}" for r, c in zip(rows, columns)],
        }
    )


def land_stations(network: Network, grid: Grid, generator: np.random.Generator, static: xr.Dataset) -> pd.DataFrame:
    """Stations on land where people might live, and a few at sea, between grid points.

    Raises:
        UserError: if there is no land fraction.
    """
    if "land" not in static or not static["land"].values.any():
        raise UserError("a network of kind 'land' needs a land fraction; set preprocess.land, or choose another kind")
    height = static["orography"].values if "orography" in static else 0.0
    share = station_density(grid, static["land"].values.clip(0, 1), height, generator)
    total = round(network.count / (1 - network.withheld))
    cell = generator.choice(share.size, total, p=share.ravel())
    spacing = [axis[1] - axis[0] if len(axis) > 1 else 0.0 for axis in (grid.latitude, grid.longitude)]
    jitter = generator.uniform(-0.5, 0.5, (2, total))
    latitude = grid.latitude[cell // grid.shape[1]] + jitter[0] * spacing[0]
    longitude = grid.longitude[cell % grid.shape[1]] + jitter[1] * spacing[1]
    if not grid.periodic:
        longitude = longitude.clip(grid.longitude[0], grid.longitude[-1])
    return pd.DataFrame(
        {
            "latitude": latitude.clip(grid.latitude[0], grid.latitude[-1]),
            "longitude": longitude,
            "station": [f"L{n:05d}" for n in range(total)],
        }
    )


def station_density(grid: Grid, land: np.ndarray, height: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The probability that a station lies in each cell, (H, W), sums to 1.

    It is high on low land of the middle latitudes, most of all around centres drawn at random, and low on ice, on high
    mountains and at sea (ships, islands).
    """
    latitude, longitude = np.meshgrid(grid.latitude, grid.longitude, indexing="ij")
    climate = 0.15 + np.exp(-(((np.abs(latitude) - 40) / 20) ** 2))
    population = grid.weights * land * climate * np.exp(-height / 1500)
    centres = generator.choice(population.size, CENTRES, p=(population / population.sum()).ravel())
    clustering = np.full(population.shape, 0.3)
    for centre in centres:
        distance = great_circle(latitude, longitude, latitude.flat[centre], longitude.flat[centre])
        clustering += np.exp(-((distance / CENTRE_RADIUS_KM) ** 2))
    share = population * clustering
    sea = grid.weights * (1 - land)
    at_sea = AT_SEA if sea.any() else 0.0
    return (1 - at_sea) * share / share.sum() + at_sea * sea / max(sea.sum(), 1e-12)


def random_points(network: Network, grid: Grid, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of random grid points: `share` of the grid to be used, and the withheld ones in addition.

    Points that the source does not cover have no station; the share is of those that it covers.
    """
    width, covered = grid.shape[1], np.flatnonzero(np.broadcast_to(grid.where, grid.shape))
    used = round(network.share * len(covered))
    if used == 0:
        raise UserError(
            f"a random network with share {network.share} of {len(covered)} grid points has no station; raise its share"
        )
    count = min(round(used / (1 - network.withheld)), len(covered))
    points = covered[np.sort(generator.permutation(len(covered))[:count])]
    return points // width, points % width


def regular_points(network: Network, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of one grid point in `every` along each axis, from `every // 2`, or a shorter axis' end."""
    axes = [np.arange(min(network.every // 2, size - 1), size, network.every) for size in grid.shape]
    rows, columns = np.meshgrid(*axes, indexing="ij")
    return rows.ravel(), columns.ravel()


def block_stations(network: Network, grid: Grid) -> pd.DataFrame:
    """Adjacent blocks of grid points, each observed as one block mean at its middle; incomplete blocks are left out.

    Raises:
        UserError: if no block fits the grid.
    """
    sides = [min(network.every, size) if size == 1 else network.every for size in grid.shape]
    first = [np.arange(0, size - side + 1, side) for side, size in zip(sides, grid.shape)]
    if not first[0].size or not first[1].size:
        raise UserError(
            f"a network of kind 'footprint' has blocks of {network.every} points a side, and the grid has "
            f"{grid.shape[0]} x {grid.shape[1]}; lower its `every`"
        )
    axes = grid.latitude, grid.longitude
    middle = [axis[at] + (axis[at + side - 1] - axis[at]) / 2 for axis, at, side in zip(axes, first, sides)]
    rows, columns = (index.ravel() for index in np.meshgrid(*map(np.arange, map(len, first)), indexing="ij"))
    return pd.DataFrame(
        {
            "latitude": middle[0][rows],
            "longitude": middle[1][columns],
            "station": [f"F{r:03d}{c:03d}" for r, c in zip(rows, columns)],
            "footprint": footprint.name(network.footprint, *sides),
        }
    )


def load_list(file: Path, grid: Grid) -> pd.DataFrame:
    """Read the stations of a list that lie in the domain, and print how many are used.

    Raises:
        UserError: if the file cannot be read, lacks a column, holds measured values, or has no station in the domain.
    """
    found, counts = read_list(file, grid)
    print(f"{file}: {usage.sentence(counts)}", file=sys.stderr)
    return found


def read_list(file: Path, grid: Grid) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the stations of a list that lie in the domain, and count its rows, see `usage.count`.

    Raises:
        UserError: as `load_list`.
    """
    try:
        table = _igra(file) if file.suffix == ".txt" else pd.read_csv(file, dtype=str)
        table = _columns(table, file)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the stations {file} ({error})") from None
    valid = table["latitude"].between(-90, 90) & table["longitude"].between(-180, 360)
    valid &= (table["latitude"] != 0) | (table["longitude"] != 0)  # lists write 0, 0 for an unknown position
    longitude = grid.wrap(table["longitude"])
    inside = valid & table["latitude"].between(grid.latitude[0] - NEAR, grid.latitude[-1] + NEAR)
    inside &= grid.periodic | (longitude <= grid.longitude[-1] + NEAR)
    if not inside.any():
        raise UserError(
            f"{file}: none of its {len(table)} stations lies in the domain ({grid.latitude[0]:g} to "
            f"{grid.latitude[-1]:g} N, {grid.longitude[0]:g} to {grid.longitude[-1]:g} E)"
        )
    again = pd.Series(False, table.index)
    again[inside] = table[inside].duplicated(["station", "latitude", "longitude"])
    reasons = np.select([~valid, ~inside, again], [usage.INVALID_POSITION, usage.OUTSIDE, usage.DUPLICATE], usage.USED)
    found = table.assign(longitude=longitude)[inside & ~again][["station", "latitude", "longitude"]]
    counts = usage.count(table.assign(platform="station list", channel=""), reasons)
    return found.reset_index(drop=True), counts


def _igra(file: Path) -> pd.DataFrame:
    """Read the station list of the Integrated Global Radiosonde Archive, in columns of fixed width."""
    spans = [(0, 11), (12, 20), (21, 30)]
    return pd.read_fwf(file, colspecs=spans, header=None, names=["station", "latitude", "longitude"], dtype=str)


def _columns(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The columns station, latitude and longitude of a list in any of the known formats."""
    table = table.rename(columns=lambda name: str(name).strip().lower())
    if {"usaf", "wban"} <= set(table):  # the history of the Integrated Surface Database
        table["station"] = table["usaf"].str.strip() + "-" + table["wban"].str.strip()
    table = table.rename(columns={"lat": "latitude", "lon": "longitude"})
    channels = CHANNELS.keys() - {"x"}  # a channel of Lorenz-96, but in a list of stations a coordinate
    if measurements := [name for name in table if name in MEASUREMENTS or name in channels]:
        raise UserError(
            f"{file} has the column(s) {', '.join(measurements)}: a list of stations gives their positions, and "
            "measurements in it would not be used; remove these columns, and the network observes the truth there"
        )
    if missing := {"station", "latitude", "longitude"} - set(table):
        raise UserError(f"{file} lacks the column(s) {', '.join(sorted(missing))} (it has: {', '.join(table)})")
    numbers = {name: pd.to_numeric(table[name], errors="coerce") for name in ("latitude", "longitude")}
    return table.assign(**numbers)
