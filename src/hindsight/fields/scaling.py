"""Normalise fields: departures from the climatology, in standard deviations of each channel."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar
from hindsight.fields.transforms import Transforms

FRAMES = 128  # normalised at a time


def harmonics(times: np.ndarray, annual: int, daily: int) -> np.ndarray:
    """Cosines and sines of the year and of the day, and the products of the latter with the first of the year.

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
    """Climatology as harmonic coefficients (K, C, H, W); `spread` (C,) is the standard deviation of departures from it.

    `measure` (H, W) is the square root of each point's area (mean square 1) where fields are weighted by area, so that
    the white noise of the diffusion is white on the sphere and not concentrated at the poles. Otherwise it is 1. With
    `transforms`, climatology and spread are those of the transformed channels.
    """

    coefficients: np.ndarray
    spread: np.ndarray
    annual: int
    daily: int
    measure: np.ndarray | float = 1.0
    transforms: Transforms = field(default_factory=Transforms)

    @classmethod
    def read(cls, climatology: Path, statistics: Path) -> "Scaling":
        """Read the climatology and the statistics that `preprocess` computed from the training period.

        Raises:
            UserError: if a file cannot be read.
        """
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
            transforms=Transforms.of_file(harmonic.attrs),
        )

    def climatology(self, times: np.ndarray) -> np.ndarray:
        """The climatology at given times, (T, C, H, W), physical units: `expected`, transformed back."""
        return self.transforms.inverse(self.expected(times))

    def expected(self, times: np.ndarray) -> np.ndarray:
        """The climatological mean of the channels, transformed where they have a transform, (T, C, H, W)."""
        design = harmonics(times, self.annual, self.daily)
        return np.tensordot(design, self.coefficients, axes=1)

    def normalise(self, fields: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Physical fields (…, T, C, H, W) to departures in standard deviations, times the measure."""
        return self._by_frames(fields, times, lambda part, mean: (self.transforms.forward(part) - mean) / self.unit)

    def restore(self, normalised: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Normalised departures (…, T, C, H, W) back to physical fields."""
        return self._by_frames(normalised, times, lambda part, mean: self.transforms.inverse(part * self.unit + mean))

    def _by_frames(self, fields: np.ndarray, times: np.ndarray, change: Callable) -> np.ndarray:
        """Apply a function to some frames at a time: years of them in double precision would fill the memory."""
        result = np.empty(fields.shape, np.float32)
        for first in range(0, len(times), FRAMES):
            part = slice(first, first + FRAMES)
            result[..., part, :, :, :] = change(fields[..., part, :, :, :], self.expected(times[part]))
        return result

    @property
    def unit(self) -> np.ndarray:
        """A normalised value of 1 in units of the (transformed) channel, (C, H, W) or (C, 1, 1)."""
        return self.spread[:, None, None] / self.measure

    def weighted_by_area(self, weights: np.ndarray) -> "Scaling":
        """The same scaling with fields weighted by area; `weights` (H, W) have mean 1."""
        return replace(self, measure=np.sqrt(weights))


def extremes(statistics: Path) -> np.ndarray | None:
    """Least and largest value of each channel in the training period, (2, C), physical units; none if not recorded."""
    with xr.open_dataset(statistics) as found:
        if not {"lowest", "highest"} <= set(found):
            return None
        return np.stack([found["lowest"].values, found["highest"].values])
