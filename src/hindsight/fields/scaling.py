"""Normalise fields: departures from the climatology, in standard deviations of each channel."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar


def harmonics(times: np.ndarray, annual: int, daily: int) -> np.ndarray:
    """Cosines and sines of the year, of the day, and their products with the first of the year.

    Returns:
        Design matrix of shape (T, 1 + 2 annual + 2 daily (1 + 2 [annual > 0])).
    """

    def waves(phase: np.ndarray, count: int) -> list[np.ndarray]:
        return [f(2 * np.pi * k * phase) for k in range(1, count + 1) for f in (np.cos, np.sin)]

    year, day = waves(calendar.year_phase(times), annual), waves(calendar.day_phase(times), daily)
    mixed = [a * b for a in day for b in year[:2]]
    return np.stack([np.ones(len(times)), *year, *day, *mixed], axis=1)


@dataclass(frozen=True)
class Scaling:
    """Climatology as harmonic coefficients (K, C, H, W), and the spread of departures from it (C,)."""

    coefficients: np.ndarray
    spread: np.ndarray
    annual: int
    daily: int

    @classmethod
    def read(cls, climatology: Path, statistics: Path) -> "Scaling":
        """Read what `preprocess` found in the training period."""
        try:
            harmonic, spread = xr.load_dataset(climatology), xr.load_dataset(statistics)
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot read {climatology} or {statistics} ({error}); run snakemake to make them"
            ) from None
        return cls(
            harmonic["coefficients"].values,
            spread["spread"].values,
            int(harmonic.attrs["annual_harmonics"]),
            int(harmonic.attrs["daily_harmonics"]),
        )

    def climatology(self, times: np.ndarray) -> np.ndarray:
        """Climatological mean at given times; physical units, shape (T, C, H, W)."""
        design = harmonics(times, self.annual, self.daily)
        return np.tensordot(design, self.coefficients, axes=1)

    def normalise(self, fields: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Physical fields (…, T, C, H, W) to departures in standard deviations."""
        return ((fields - self.climatology(times)) / self.spread[:, None, None]).astype(np.float32)

    def restore(self, normalised: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Departures in standard deviations (…, T, C, H, W) back to physical fields."""
        return (normalised * self.spread[:, None, None] + self.climatology(times)).astype(np.float32)
