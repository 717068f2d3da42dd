"""The report's map of stations: departures and codes in colour, a station's name on hover, its series on a click."""

import json

import numpy as np
import pandas as pd

from hindsight.fields import coastline, colours
from hindsight.fields.grid import Grid, wrap_longitude
from hindsight.fields.usage import CODES, USED, WITHHELD
from hindsight.verify import maps, style
from hindsight.verify.departures import OURS
from hindsight.verify.observed import colours_of

SHADES = {USED: "#0072b2", WITHHELD: "#e69f00"}
FINEST = 2000  # places from west to east that a coastline can have, as many as a wide screen shows
STOPS = 9  # colours of a scale
POINTS = 60_000  # of all series together, which bounds the size of the page
KEYS = ["network", "channel", "platform", "station"]


def page_part(stations: pd.DataFrame, series: pd.DataFrame, grid: Grid, coast: maps.Coast, labels: dict) -> dict | None:
    """What the template needs to draw the map.

    Args:
        stations: `stations.csv`.
        series: `station_series.csv`.
        grid: of the fields.
        coast: coastlines.
        labels: what is observed, with its unit, by channel.

    Returns:
        `data`, the stations as JSON, `outline`, the path of the coastlines in SVG, `box`, its view box, `networks`,
        `channels` and `left_out`, the number of series that did not fit; None if there is no station.
    """
    of = stations[stations["analysis"] == OURS]
    if of.empty:
        return None
    projection = Projection(grid)
    found, left_out = with_series(station_list(of, projection), series)
    uses = sorted({use for one in found for use in one["uses"]}, key=CODES.__getitem__)
    scales = {"amount": colours.AMOUNT, "difference": colours.DIFFERENCE}
    data = {
        "stations": found,
        "starts": [str(t)[:13] for t in sorted(series["start"].unique())],
        "uses": colours_of(uses, SHADES),
        "labels": labels,
        "colours": {name: colours.sample(scale, STOPS) for name, scale in scales.items()},
    }
    return {
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),  # no name ends the script
        "outline": projection.path(coast),
        "box": projection.box,
        "networks": list(dict.fromkeys(of["network"])),
        "channels": list(dict.fromkeys(of["channel"])),
        "left_out": left_out,
    }


class Projection:
    """Degrees to the map's own units: a degree of latitude is 1, one of longitude what it is at the middle latitude.

    That is 0.2 at least; on all longitudes it is 1 too.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid, (south, west) = grid, grid.cell_edges
        self.first, self.last = (-180.0, 180.0) if grid.periodic else (float(west[0]), float(west[-1]))
        self.south, self.north = float(south.min()), float(south.max())
        self.narrow = 1.0 if grid.periodic else max(float(np.cos(np.deg2rad(grid.latitude.mean()))), 0.2)

    @property
    def box(self) -> str:
        """The view box of the SVG."""
        return f"0 0 {(self.last - self.first) * self.narrow:.2f} {self.north - self.south:.2f}"

    def place(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rightward and downward coordinates of places, whose longitudes may be -180 to 180 or 0 to 360."""
        east = wrap_longitude(longitude, self.first)
        return (east - self.first) * self.narrow, self.north - np.asarray(latitude)

    def path(self, coast: maps.Coast) -> str:
        """The parts of coastlines on the map, as the path of an SVG."""
        fine = (self.last - self.first) / FINEST
        parts = [line * fine for line in coastline.clipped(coast, self.grid, fine)]
        places = [np.stack([(part[:, 0] - self.first) * self.narrow, self.north - part[:, 1]], 1) for part in parts]
        return "".join("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in part) for part in places)


def station_list(of: pd.DataFrame, projection: Projection) -> list[dict]:
    """Every station and channel of one analysis: place, rows by use, and scores of its most frequent scored use."""
    found = []
    for key, rows in of.groupby(KEYS, sort=True):
        rows = rows.sort_values("rows", ascending=False)
        scored = rows[rows["rmse"].notna() & rows["use"].isin([USED, WITHHELD])]
        main = (scored if len(scored) else rows).iloc[0]
        right, down = projection.place(main["latitude"], main["longitude"])
        found.append(
            dict(zip(KEYS, key))
            | {"x": round(float(right), 2), "y": round(float(down), 2), "use": main["use"]}
            | {"place": style.format_place(main["latitude"], main["longitude"])}
            | {"uses": {use: int(n) for use, n in zip(rows["use"], rows["rows"])}, "main": rows["use"].iloc[0]}
            | {"bias": _number(main["bias"]), "rmse": _number(main["rmse"])}
            | {"ratio": _number(1 / main["spread_skill"] if main["spread_skill"] else np.nan)}
        )
    return found


def with_series(stations: list[dict], series: pd.DataFrame) -> tuple[list[dict], int]:
    """The stations with their series of `[bin, mean departure, RMSE, expected, rows]`, those that depart most first.

    Returns:
        The entries, and the number of series left out because there would be more than `POINTS`.
    """
    number = {start: k for k, start in enumerate(sorted(series["start"].unique()))}
    rows = series.dropna(subset=["rmse"]).assign(bin=lambda table: table["start"].map(number))
    by_key = {key: part for key, part in rows.groupby([*KEYS, "use"])}
    ordered, room, left_out = sorted(stations, key=lambda one: -(one["ratio"] or 0)), POINTS, 0
    for one in ordered:
        part = by_key.get((*(one[name] for name in KEYS), one["use"]))
        if part is None:
            continue
        room -= len(part)
        left_out += room < 0
        if room >= 0:
            columns = [part["bin"].tolist()] + [list(map(_number, part[c])) for c in ("bias", "rmse", "expected")]
            one["series"] = [list(point) for point in zip(*columns, part["rows"].tolist())]
    return ordered, left_out


def _number(value: float) -> float | None:
    """Three digits of a number, as JSON has no NaN."""
    return float(f"{value:.3g}") if np.isfinite(value) else None
