"""Moments of a piece of the fields: sums that add up over pieces, and hold all that is learnt of the training period.

The climatology and the statistics follow from them without another look at the data, so when years are added only the
new pieces are read. Sums are of the values as they are, in double precision: nothing is taken off first, for what that
would save (a billionth of the variance, of surface pressure in the tropics) is far below a single-precision value's own
step, and sums without an offset add up in any order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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
from hindsight.progress import Progress
from hindsight.settings import Preprocess
from hindsight.settings.domain import Training

BLOCK = 64e6  # bytes of values, in double precision, that are worked on at once
LARGEST_CONDITION = 1e6  # of the normal matrix; that of whole years is about 2
FEW_DAYS = 14  # that a year of training may lack
SUMS = {  # what is stored: dimensions
    "normal": ("harmonic", "harmonic_too"),
    "moment": ("harmonic", "channel", "latitude", "longitude"),
    "square": ("channel", "latitude", "longitude"),
    "lowest": ("channel",),
    "highest": ("channel",),
    "waves": ("part", "channel", "channel_too", "wavenumber"),
}


def run(training: Training, settings: Preprocess, *, piece: Path, moments: Path) -> None:
    """Add up the moments of a piece's training frames: what the climatology and the statistics are made from."""
    dataset = store.read(piece)
    state = Moments.none(dataset, settings, training.longitude_edges == "periodic")
    times, period = dataset["time"].values, training.train
    inside = (times >= np.datetime64(period.start)) & (times <= np.datetime64(period.end))
    wanted = inside & calendar.available(dataset)
    watch = Progress(f"preprocess.moments {store.folder(piece).stem}", int(wanted.sum()))
    for numbers, values in blocks(zarr.open_group(store.folder(piece), mode="r")["fields"], wanted):
        state.take(times[numbers], values)
        watch(state.frames)
    state.write(moments)


def blocks(array: zarr.Array, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The wanted frames of an array, every chunk read once.

    Yields:
        Numbers of frames (n,), and their values (n, C, H, W), float64, no more than `BLOCK` of them.
    """
    chunk, most = array.chunks[0], max(1, int(BLOCK / (8 * np.prod(array.shape[1:]))))
    for first in range(0, len(wanted), chunk):
        numbers = np.flatnonzero(wanted[first : first + chunk])
        read = array[first : first + chunk] if len(numbers) else None
        for part in range(0, len(numbers), most):
            chosen = numbers[part : part + most]
            yield first + chosen, read[chosen].astype(float)


def gathered(paths: Iterable[Path], training: Training) -> "Moments":
    """The moments of all pieces together.

    Raises:
        UserError: if none of them has a known frame of the training period, or the frames do not tell the harmonics.
    """
    paths = list(paths)
    found = reduce(add, map(Moments.read, paths)) if paths else None
    if not found or not found.frames:
        raise UserError(
            f"none of {len(paths)} pieces has a known frame from {training.train.start:%Y-%m-%d} to "
            f"{training.train.end:%Y-%m-%d}, the training period; move domain.train, or see what the source lacks "
            "(download.missing)"
        )
    _check_year(found, training)
    return found


def _check_year(found: "Moments", training: Training) -> None:
    """Refuse a training period that does not tell its harmonics.

    Raises:
        UserError: naming how long it is.
    """
    annual, daily, days = found.about.annual, found.about.daily, found.frames * training.step_hours / 24
    if annual and days < 365 - FEW_DAYS:
        raise UserError(
            f"the training period has {days:.0f} days of known frames, and preprocess.annual_harmonics = {annual} "
            "needs a year at the least; lengthen domain.train or set it to 0"
        )
    if np.linalg.cond(found.normal) > LARGEST_CONDITION:
        raise UserError(
            f"the known frames of the training period ({found.frames}) leave out so much of the year or of the day "
            f"that preprocess.annual_harmonics = {annual} and daily_harmonics = {daily} cannot be told apart; lower "
            "them, or lengthen domain.train"
        )


@dataclass(frozen=True)
class About:
    """What moments are of: only those of the same add up."""

    channels: tuple[str, ...]
    grid: Grid
    annual: int
    daily: int

    def same(self, other: "About") -> bool:
        """Whether channels, harmonics and points are those of another."""
        plain = lambda one: (one.channels, one.annual, one.daily)
        return plain(self) == plain(other) and self.grid.matches(other.grid)

    def __str__(self) -> str:
        harmonic = f"{self.annual} harmonics of the year and {self.daily} of the day"
        return f"{', '.join(self.channels)} with {harmonic} on {self.grid}"


@dataclass
class Moments:
    """Sums over frames x (C, H, W) whose harmonics (`scaling.harmonics`) are d (K,).

    Args:
        about: what they are of.
        frames: how many.
        normal: sum of d d^T, (K, K).
        moment: sum of d x, (K, C, H, W).
        square: sum of x², (C, H, W).
        lowest: of all values, (C,); infinite of no frame, like `highest`.
        highest: of all values, (C,).
        waves: sum of area-weighted means over latitude of F_c(m) conj F_c'(m), with F the Fourier coefficients along
            longitude (mean, not sum, over the points), (C, C, W // 2 + 1); none where longitudes do not come round.
    """

    about: About
    frames: int
    normal: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    waves: np.ndarray | None

    @classmethod
    def none(cls, dataset: xr.Dataset, settings: Preprocess, periodic: bool) -> "Moments":
        """Of no frame, for the channels and the grid of a store: what changes nothing that it is added to."""
        about = About(
            tuple(map(str, dataset["channel"].values)),
            Grid.of(dataset),
            settings.annual_harmonics,
            settings.daily_harmonics,
        )
        count, channels = harmonics(dataset["time"].values[:1], about.annual, about.daily).shape[1], len(about.channels)
        height, width = about.grid.shape
        return cls(
            about,
            0,
            np.zeros((count, count)),
            np.zeros((count, channels, height, width)),
            np.zeros((channels, height, width)),
            np.full(channels, np.inf),
            np.full(channels, -np.inf),
            np.zeros((channels, channels, width // 2 + 1), complex) if periodic else None,
        )

    def take(self, times: np.ndarray, values: np.ndarray) -> None:
        """Take frames in; values (n, C, H, W), float64."""
        design = harmonics(times, self.about.annual, self.about.daily)
        self.frames += len(times)
        self.normal += design.T @ design
        self.moment += np.tensordot(design.T, values, axes=1)
        self.square += np.square(values).sum(0)
        np.minimum(self.lowest, values.min((0, 2, 3)), out=self.lowest)
        np.maximum(self.highest, values.max((0, 2, 3)), out=self.highest)
        if self.waves is not None:
            self.waves += self._across(values)

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both.

        Raises:
            UserError: if they are not of the same channels, harmonics and grid.
        """
        if not self.about.matches(other.about) or (self.waves is None) != (other.waves is None):
            raise UserError(
                f"moments of {self.about}, and of {other.about}, do not add up; they are of different settings: delete "
                "the folder of the moments and run snakemake to make them"
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
        return np.sqrt(self.variance.mean((1, 2)))

    @property
    def spectrum(self) -> np.ndarray | None:
        """Covariance spectrum of departures from the harmonics, (C, C, W // 2 + 1), complex."""
        return None if self.waves is None else (self.waves - self._across(self._explained)) / self.frames

    @property
    def _explained(self) -> np.ndarray:
        """Fields L^-1 M (K, C, H, W), N = L L^T: their products add up to M^T N^-1 M, of what the harmonics explain."""
        root = np.linalg.cholesky(self.normal)
        return np.linalg.solve(root, self.moment.reshape(len(root), -1)).reshape(self.moment.shape)

    def _across(self, values: np.ndarray) -> np.ndarray:
        """Sum over fields (n, C, H, W) of weighted means over latitude of F_c(m) conj F_c'(m), (C, C, W // 2 + 1)."""
        weights = self.about.grid.weights[:, 0] / len(self.about.grid.latitude)
        circles = np.fft.rfft(values, norm="forward") * np.sqrt(weights)[:, None]
        by_wave = circles.transpose(3, 1, 0, 2).reshape(circles.shape[3], circles.shape[1], -1)
        return (by_wave @ by_wave.conj().swapaxes(1, 2)).transpose(1, 2, 0)

    def write(self, path: Path) -> None:
        """Write to a file (netCDF)."""
        given = {name: getattr(self, name) for name in SUMS if name != "waves"}
        if self.waves is not None:
            given["waves"] = np.stack([self.waves.real, self.waves.imag])
        dataset = xr.Dataset(
            {name: (SUMS[name], values) for name, values in given.items()},
            coords={"channel": list(self.about.channels), **vars(self.about.grid)},
            attrs={
                "frames": self.frames,
                "annual_harmonics": self.about.annual,
                "daily_harmonics": self.about.daily,
            },
        )
        store.replace(path, lambda partial: dataset.to_netcdf(partial))

    @classmethod
    def read(cls, path: Path) -> "Moments":
        """Read from a file.

        Raises:
            UserError: if there is none, or it cannot be read.
        """
        try:
            found = xr.load_dataset(path)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path} ({error}); delete it and run snakemake to make it") from None
        about = About(
            tuple(map(str, found["channel"].values)),
            Grid.of(found),
            int(found.attrs["annual_harmonics"]),
            int(found.attrs["daily_harmonics"]),
        )
        sums = {name: found[name].values for name in SUMS if name in found}
        waves = sums.pop("waves", None)
        waves = None if waves is None else waves[0] + 1j * waves[1]
        return cls(about, int(found.attrs["frames"]), **sums, waves=waves)
