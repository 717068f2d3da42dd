"""Neighbours whose errors are correlated: thinned to a spacing, averaged to superobservations, or trusted less."""

import numpy as np
import pandas as pd

from hindsight.fields import usage
from hindsight.fields.grid import great_circle
from hindsight.settings.networks import Thinning

ALIKE = ("time", "time_weights", "channel", "level")  # rows that are equal in these are thinned together
DEGREE = 111.2  # km


def thin(table: pd.DataFrame, settings: Thinning) -> pd.DataFrame:
    """Apply the settings to the rows that are used; withheld ones and those with a code stay as they are.

    Args:
        table: with the columns of the observation table, and `innovation`.
        settings: spacing, cells or correlation.

    Returns:
        The table, with code `thinned` for rows that are left out or whose value is part of a superobservation.
    """
    used = np.flatnonzero((table["quality"] == 0) & ~table["withheld"])
    alike = [name for name in ALIKE if name in table]
    groups = [used[at] for at in table.iloc[used].groupby(alike, sort=False, dropna=False).indices.values()]
    table = table.copy()
    left_out = np.zeros(len(table), bool)
    if settings.spacing_km:
        for rows in groups:
            left_out[rows[~spaced(table.iloc[rows], settings.spacing_km)]] = True
    if settings.average_km:
        table, left_out = averaged(table, groups, settings.average_km)
    table = usage.with_reason(table, usage.THINNED, left_out)
    if settings.correlation:
        error = table["error"].to_numpy(float).copy()
        for rows in groups:
            rows = rows[~left_out[rows]]
            near = (_distances(table.iloc[rows]) <= settings.reach_km).sum(1)  # itself included
            error[rows] *= np.sqrt(1 + (near - 1) * settings.correlation)
        table["error"] = error
    return table


def spaced(rows: pd.DataFrame, spacing: float) -> np.ndarray:
    """Which of the rows (n,) that are alike (`ALIKE`) are kept so that no two are nearer than `spacing` (km).

    The most precise is taken first; of equally precise ones, that of the station whose name sorts first.
    """
    order = np.lexsort((rows["station"].astype(str).to_numpy(), rows["error"].to_numpy()))
    distance, kept = _distances(rows), np.zeros(len(rows), bool)
    for number in order:
        kept[number] = not (distance[number, kept] < spacing).any()
    return kept


def averaged(table: pd.DataFrame, groups: list[np.ndarray], side: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Average the innovations of each cell; the report nearest to their mean position stands for it.

    A superobservation has the mean of the innovations of the m reports in its cell and, as if their errors were
    independent, the error sqrt(sum e^2) / m.

    Args:
        table: the whole table.
        groups: numbers of the rows that are alike (`ALIKE`), for each group.
        side: of a cell, km.

    Returns:
        The table with these values and errors, and which rows (N,) are only part of one.
    """
    value, error = (table[name].to_numpy(float).copy() for name in ("value", "error"))
    left_out = np.zeros(len(table), bool)
    for rows in groups:
        part = table.iloc[rows]
        for at in part.groupby(_cells(part, side), sort=False).indices.values():
            here, cell = part.iloc[at], rows[at]
            centre = here["latitude"].mean(), (here["longitude"] % 360).mean()  # as cells: none crosses 0 degrees
            first = int(great_circle(here["latitude"].to_numpy(), here["longitude"].to_numpy(), *centre).argmin())
            innovation = here["innovation"].to_numpy()
            value[cell[first]] += innovation.mean() - innovation[first]
            error[cell[first]] = np.sqrt((here["error"] ** 2).sum()) / len(cell)
            left_out[np.delete(cell, first)] = True
    return table.assign(value=value, error=error), left_out


def _cells(rows: pd.DataFrame, side: float) -> np.ndarray:
    """Number of the cell of about `side` km on a side that each row lies in."""
    north = np.floor(rows["latitude"].to_numpy() * DEGREE / side)
    width = np.maximum(np.cos(np.deg2rad((north + 0.5) * side / DEGREE)), 0.01) * DEGREE
    east = np.floor((rows["longitude"].to_numpy() % 360) * width / side)
    return pd.factorize(pd.Series(list(zip(north, east))))[0]


def _distances(rows: pd.DataFrame) -> np.ndarray:
    latitude, longitude = (rows[name].to_numpy(float) for name in ("latitude", "longitude"))
    return great_circle(latitude[:, None], longitude[:, None], latitude, longitude)
