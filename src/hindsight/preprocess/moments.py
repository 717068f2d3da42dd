"""Moments of a piece of the fields: sums that add up over pieces, for the climatology and the statistics.

The climatology and the statistics are computed from the moments alone, so that only new pieces are read when years are
added. The sums are in double precision, and no offset is subtracted, so that they can be added in any order. Their
rounding error (for surface pressure in the tropics a billionth of the variance) is far below single precision.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import harmonics
from hindsight.fields.transforms import Transforms
from hindsight.progress import Progress
from hindsight.settings import Preprocess
from hindsight.settings.domain import TrainingDomain

BLOCK = 64e6  # bytes of values, in double precision, at a time
LARGEST_CONDITION = 1e6  # of the normal matrix; that of whole years is about 2, with daily harmonics 4
MAX_MISSING_DAYS = 14  # of the year that annual harmonics need
SUMS = {  # variables of the file: dimensions
    "normal": ("harmonic", "other_harmonic"),
    "moment": ("harmonic", "channel", "latitude", "longitude"),
    "square": ("channel", "latitude", "longitude"),
    "lowest": ("channel",),
    "highest": ("channel",),
    "waves": ("part", "channel", "other_channel", "wavenumber"),
}


def run(training: TrainingDomain, settings: Preprocess, *, piece: Path, moments: Path) -> None:
    """Add up the moments of a piece's training frames, from which the climatology and the statistics are computed."""
    dataset = store.read(piece)
    state = Moments.zero(dataset, settings, training.longitude_edges == "periodic")
    times, period = dataset["time"].values, training.train
    inside = (times >= np.datetime64(period.start)) & (times <= np.datetime64(period.end))
    selected = inside & calendar.available(dataset)
    watch = Progress("preprocess.moments", int(selected.sum()))
    for numbers, values in blocks(zarr.open_group(store.folder(piece), mode="r")["fields"], selected):
        state.add_frames(times[numbers], values)
        watch(state.frames)
    state.write(moments)


def blocks(array: zarr.Array, selected: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read the selected frames of an array, every chunk once.

    Yields:
        Indices of frames (n,), and their values (n, C, H, W), float64, at most `BLOCK` bytes.
    """
    chunk, most = array.chunks[0], max(1, int(BLOCK / (8 * np.prod(array.shape[1:]))))
    for first in range(0, len(selected), chunk):
        numbers = np.flatnonzero(selected[first : first + chunk])
        read = array[first : first + chunk] if len(numbers) else None
        for part in range(0, len(numbers), most):
            chosen = numbers[part : part + most]
            yield first + chosen, read[chosen].astype(float)


def gather(paths: Iterable[Path], training: TrainingDomain) -> "Moments":
    """The sum of the moments of all pieces.

    Raises:
        UserError: if no frame of the training period is available, or the frames do not determine the harmonics.
    """
    paths = list(paths)
    found = reduce(add, map(Moments.read, paths)) if paths else None
    if not found or not found.frames:
        raise UserError(
            f"none of {len(paths)} pieces has an available frame from {training.train.start:%Y-%m-%d} to "
            f"{training.train.end:%Y-%m-%d}, the training period; move domain.train, or see what the source lacks "
            "(download.missing)"
        )
    _check_year(found, training)
    return found


def _check_year(found: "Moments", training: TrainingDomain) -> None:
    """Check that the frames of the training period determine the harmonics.

    Raises:
        UserError: if they do not.
    """
    annual, daily, days = found.layout.annual, found.layout.daily, found.frames * training.step_hours / 24
    if annual and days < 365 - MAX_MISSING_DAYS:
        raise UserError(
            f"the training period has {days:.0f} days of available frames, and preprocess.annual_harmonics = {annual} "
            "needs at least a year; lengthen domain.train or set it to 0"
        )
    if np.linalg.cond(found.normal) > LARGEST_CONDITION:
        raise UserError(
            f"the available frames of the training period ({found.frames}) leave out so much of the year or of the day "
            f"that preprocess.annual_harmonics = {annual} and daily_harmonics = {daily} are not determined; lower "
            "them, or lengthen domain.train"
        )


@dataclass(frozen=True)
class Layout:
    """Channels, grid and harmonics of moments; only moments of matching layouts can be added."""

    channels: tuple[str, ...]
    grid: Grid
    annual: int
    daily: int
    transforms: Transforms = field(default_factory=Transforms)

    def matches(self, other: "Layout") -> bool:
        """Whether channels, harmonics and grid are those of another layout."""
        plain = lambda one: (one.channels, one.annual, one.daily, one.transforms)
        same = np.all(self.grid.where == other.grid.where)
        return bool(plain(self) == plain(other) and self.grid.matches(other.grid) and same)

    def __str__(self) -> str:
        harmonic = f"{self.annual} harmonics of the year and {self.daily} of the day"
        transformed = f", transformed ({self.transforms.to_json()})" if self.transforms else ""
        seen = "" if self.grid.covered is None else f", {int(self.grid.covered.sum())} of them covered"
        return f"{', '.join(self.channels)}{transformed} with {harmonic} on {self.grid}{seen}"


@dataclass
class Moments:
    """Sums over frames x (C, H, W), transformed as the layout says, whose harmonics (`scaling.harmonics`) are d (K,).

    Args:
        layout: channels, grid and harmonics.
        frames: number of frames.
        normal: sum of d d^T, (K, K).
        moment: sum of d x, (K, C, H, W).
        square: sum of x², (C, H, W).
        lowest: least physical value, (C,); infinite without frames.
        highest: largest physical value, (C,); negative infinite without frames.
        waves: sum of area-weighted means over latitude of F_c(m) conj F_c'(m), with F the Fourier coefficients along
            longitude (mean, not sum, over the points), (C, C, W // 2 + 1); none unless longitudes are periodic.
    """

    layout: Layout
    frames: int
    normal: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    waves: np.ndarray | None

    @classmethod
    def zero(cls, dataset: xr.Dataset, settings: Preprocess, periodic: bool) -> "Moments":
        """The moments of no frames, for the channels and the grid of a store."""
        layout = Layout(
            tuple(map(str, dataset["channel"].values)),
            Grid.of(dataset),
            settings.annual_harmonics,
            settings.daily_harmonics,
            Transforms.build(settings.transforms, dataset["channel"].values),
        )
        count, channels = (
            harmonics(dataset["time"].values[:1], layout.annual, layout.daily).shape[1],
            len(layout.channels),
        )
        height, width = layout.grid.shape
        return cls(
            layout,
            0,
            np.zeros((count, count)),
            np.zeros((count, channels, height, width)),
            np.zeros((channels, height, width)),
            np.full(channels, np.inf),
            np.full(channels, -np.inf),
            np.zeros((channels, channels, width // 2 + 1), complex) if periodic else None,
        )

    def add_frames(self, times: np.ndarray, values: np.ndarray) -> None:
        """Add frames to the sums; values (n, C, H, W), float64."""
        design = harmonics(times, self.layout.annual, self.layout.daily)
        where = self.layout.grid.where
        np.minimum(self.lowest, values.min((0, 2, 3), initial=np.inf, where=where), out=self.lowest)
        np.maximum(self.highest, values.max((0, 2, 3), initial=-np.inf, where=where), out=self.highest)
        values = self.layout.transforms.forward(values)
        self.frames += len(times)
        self.normal += design.T @ design
        self.moment += np.tensordot(design.T, values, axes=1)
        self.square += np.square(values).sum(0)
        if self.waves is not None:
            self.waves += self._cross_spectrum(values)

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of the frames of both.

        Raises:
            UserError: if their layouts do not match.
        """
        if not self.layout.matches(other.layout) or (self.waves is None) != (other.waves is None):
            raise UserError(
                f"moments of {self.layout}, and of {other.layout}, cannot be added, as their settings differ; delete "
                "the run's folder preprocess/moments and run snakemake to make them again"
            )
        sums = {name: getattr(self, name) + getattr(other, name) for name in ("frames", "normal", "moment", "square")}
        return replace(
            self,
            **sums,
            lowest=np.minimum(self.lowest, other.lowest),
            highest=np.maximum(self.highest, other.highest),
            waves=None if self.waves is None else self.waves + other.waves,
        )

    @property
    def coefficients(self) -> np.ndarray:
        """Least-squares harmonics, (K, C, H, W)."""
        return np.linalg.solve(self.normal, self.moment.reshape(len(self.normal), -1)).reshape(self.moment.shape)

    @property
    def variance(self) -> np.ndarray:
        """Mean square departure from the harmonics, by channel and point, (C, H, W)."""
        return np.maximum(self.square - np.square(self._explained).sum(0), 0.0) / self.frames

    @property
    def spread(self) -> np.ndarray:
        """Root-mean-square departure from the harmonics, over time and place, (C,)."""
        return np.sqrt(self.variance.mean((1, 2), where=self.layout.grid.where))

    @property
    def spectrum(self) -> np.ndarray | None:
        """Covariance spectrum of departures from the harmonics, (C, C, W // 2 + 1), complex."""
        return None if self.waves is None else (self.waves - self._cross_spectrum(self._explained)) / self.frames

    @property
    def _explained(self) -> np.ndarray:
        """L^-1 M (K, C, H, W), with M = `moment` and L L^T = `normal`; harmonics explain the sum of its squares."""
        root = np.linalg.cholesky(self.normal)
        return np.linalg.solve(root, self.moment.reshape(len(root), -1)).reshape(self.moment.shape)

    def _cross_spectrum(self, values: np.ndarray) -> np.ndarray:
        """Sum over fields (n, C, H, W) of weighted means over latitude of F_c(m) conj F_c'(m), (C, C, W // 2 + 1)."""
        weights = self.layout.grid.weights[:, 0] / len(self.layout.grid.latitude)
        circles = np.fft.rfft(values, norm="forward") * np.sqrt(weights)[:, None]
        by_wave = circles.transpose(3, 1, 0, 2).reshape(circles.shape[3], circles.shape[1], -1)
        return (by_wave @ by_wave.conj().swapaxes(1, 2)).transpose(1, 2, 0)

    def write(self, path: Path) -> None:
        """Write to a netCDF file."""
        sums = {name: getattr(self, name) for name in SUMS if name != "waves"}
        if self.waves is not None:
            sums["waves"] = np.stack([self.waves.real, self.waves.imag])
        dataset = xr.Dataset(
            {name: (SUMS[name], values) for name, values in sums.items()},
            coords={"channel": list(self.layout.channels), **self.layout.grid.coordinates},
            attrs={
                "frames": self.frames,
                "annual_harmonics": self.layout.annual,
                "daily_harmonics": self.layout.daily,
                **self.layout.transforms.attributes,
            },
        )
        store.replace(path, lambda partial: dataset.to_netcdf(partial))

    @classmethod
    def read(cls, path: Path) -> "Moments":
        """Read from a netCDF file.

        Raises:
            UserError: if it is missing or cannot be read.
        """
        try:
            found = xr.load_dataset(path)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path} ({error}); delete it and run snakemake to make it") from None
        layout = Layout(
            tuple(map(str, found["channel"].values)),
            Grid.of(found),
            int(found.attrs["annual_harmonics"]),
            int(found.attrs["daily_harmonics"]),
            Transforms.of_file(found.attrs),
        )
        sums = {name: found[name].values for name in SUMS if name in found}
        waves = sums.pop("waves", None)
        waves = None if waves is None else waves[0] + 1j * waves[1]
        return cls(layout, int(found.attrs["frames"]), **sums, waves=waves)
