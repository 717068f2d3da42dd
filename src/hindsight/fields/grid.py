"""Regular latitude-longitude grids: weights, edges, regularity."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from hindsight.errors import UserError


@dataclass(frozen=True)
class Grid:
    """A regular grid: latitudes south to north, longitudes west to east (degrees)."""

    latitude: np.ndarray
    longitude: np.ndarray

    @classmethod
    def of(cls, dataset: xr.Dataset) -> "Grid":
        """The grid of a dataset in the pipeline's layout."""
        return cls(dataset["latitude"].values.astype(float), dataset["longitude"].values.astype(float))

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.latitude), len(self.longitude)

    @property
    def periodic(self) -> bool:
        """Whether the longitudes go once round the globe."""
        if len(self.longitude) < 2:
            return False
        spacing = self.longitude[1] - self.longitude[0]
        return bool(abs(spacing * len(self.longitude) - 360.0) < 1e-3 * abs(spacing))

    @property
    def weights(self) -> np.ndarray:
        """Area of each point's cell, clipped to the poles, with mean 1; shape (H, W)."""
        edges = np.deg2rad(np.clip(_edges(self.latitude), -90.0, 90.0))
        area = np.diff(np.sin(edges))[:, None] * np.ones(self.shape)
        return area / area.mean()


def _edges(centres: np.ndarray) -> np.ndarray:
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def check_regular(dataset: xr.Dataset, where: str) -> None:
    """Refuse a grid whose latitudes or longitudes are not evenly spaced.

    Raises:
        UserError: naming the coordinate and the spacings found.
    """
    for name in ("latitude", "longitude"):
        spacing = np.diff(dataset[name].values.astype(float))
        if len(spacing) and (np.ptp(spacing) > 1e-3 * abs(spacing).max() or not spacing.all()):
            raise UserError(
                f"{where}: {name} is not regular (spacings from {spacing.min():g} to {spacing.max():g} degrees); "
                "hindsight works on regular grids, so regrid the source first"
            )
