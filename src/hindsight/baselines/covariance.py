"""The covariance of the training period and its square root, for classical methods.

They are fitted once and stored in a file (2, n, n) of single precision. A job maps it into memory and
reads what it needs: optimal interpolation the rows of the covariance at observed points and the whole square root,
3D-Var the rows of the square root at observed points and of the middle frame.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import scipy.linalg

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.frames import Frames
from hindsight.fields.grid import Grid, great_circle
from hindsight.fields.scaling import Scaling
from hindsight.settings import TrainingDomain
from hindsight.settings.baselines import OptimalInterpolation

BATCH = 1024  # frames or rows at a time
LARGEST = 25_000  # values of a state, at most: its covariance takes 5 GB
JITTER = 1e-7  # of the mean variance


def run(
    domain: TrainingDomain,
    settings: OptimalInterpolation,
    *,
    fields: Path,
    climatology: Path,
    statistics: Path,
    covariance: Path,
) -> None:
    """Fit the covariance of the training period and its square root, once for all shards and networks."""
    training = Frames(fields, domain.train, Scaling.read(climatology, statistics))
    found = fit(training, settings.frames, settings.localisation_km)
    store.replace(covariance, lambda partial: write(found, partial))


def fit(training: Frames, span: int, reach: float | None) -> np.ndarray:
    """The covariance of `span` frames, (n, n), float64, tapered if a reach (km) is given.

    Raises:
        UserError: if it would not fit in memory.
    """
    _check_size(int(np.prod(training.shape)) * span)
    found = lagged_covariance(training, span)
    if reach:
        localise(found, training.grid, reach)
    return found


def write(covariance: np.ndarray, path: Path) -> None:
    """Write a covariance and its square root. Overwrites `covariance`, to hold only one such array in memory."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (2, *covariance.shape)}
        )
        _append(file, covariance)
        _append(file, cholesky(covariance))


def read(path: Path, size: int) -> np.ndarray:
    """The covariance of a state of `size` values and its square root, (2, n, n), memory-mapped.

    Raises:
        UserError: if the file cannot be read or is of another state.
    """
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the covariance {path} ({error}); delete it and run snakemake again") from error
    if found.shape != (2, size, size):
        raise UserError(
            f"{path} is for states of {found.shape[-1]} values, and the state has {size}; delete it and run snakemake"
        )
    return found


def cholesky(covariance: np.ndarray) -> np.ndarray:
    """The lower triangular square root, in place; a small addition to the diagonal allows a singular covariance."""
    covariance[np.diag_indices_from(covariance)] += JITTER * covariance.trace() / len(covariance)
    return scipy.linalg.cholesky(covariance.T, lower=True, overwrite_a=True, check_finite=False)


def lagged_covariance(frames: Frames, span: int) -> np.ndarray:
    """Covariance of `span` consecutive frames, stacked, over the training period, which is read once.

    Args:
        frames: normalised departures of the training period.
        span: number of frames; runs that cross from one segment into another are not used.

    Returns:
        (span * D, span * D), float64.

    Raises:
        UserError: if no segment has `span` frames.
    """
    starts, size = calendar.window_starts(frames.segment, span), int(np.prod(frames.shape))
    if not len(starts):
        raise UserError(
            f"the training period has no {span} consecutive available frames, and "
            f"baselines.optimal_interpolation.frames is {span}; lower it, or lengthen domain.train"
        )
    total = np.zeros((span * size, span * size))
    for first in range(0, len(frames.segment), BATCH):
        here = starts[(starts >= first) & (starts < first + BATCH)] - first
        if len(here):
            values = frames(first, min(first + BATCH + span - 1, len(frames.segment)))
            _add_products(total, values[here[:, None] + np.arange(span)].reshape(len(here), -1).astype(float))
    total /= len(starts)
    return total


def _add_products(total: np.ndarray, samples: np.ndarray) -> None:
    """Add the products of samples (n, size), some rows at a time: all rows at once would double the memory."""
    for row in range(0, len(total), BATCH):
        total[row : row + BATCH] += samples[:, row : row + BATCH].T @ samples


def localise(covariance: np.ndarray, grid: Grid, reach: float) -> None:
    """Taper a covariance with great-circle distance, in place: from 1 at distance 0 to 0 at `reach` (km).

    Gaspari and Cohn (1999), doi:10.1002/qj.49712555417, equation 4.10. The covariance (n * H * W)^2 may be of several
    channels and frames.
    """
    points = int(np.prod(grid.shape))
    latitude, longitude = (axis.ravel() for axis in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    for first in range(0, points, BATCH):
        here = slice(first, min(first + BATCH, points))
        distance = great_circle(latitude[here, None], longitude[here, None], latitude[None], longitude[None])
        taper = gaspari_cohn(distance / (reach / 2))
        for row in range(0, len(covariance), points):
            for column in range(0, len(covariance), points):
                covariance[row + here.start : row + here.stop, column : column + points] *= taper


def gaspari_cohn(ratio: np.ndarray) -> np.ndarray:
    """The compactly supported correlation function of Gaspari and Cohn, of the distance divided by half its reach."""
    r = np.asarray(ratio, float)
    near = 1 - 5 / 3 * r**2 + 5 / 8 * r**3 + r**4 / 2 - r**5 / 4
    with np.errstate(divide="ignore"):
        far = 4 - 5 * r + 5 / 3 * r**2 + 5 / 8 * r**3 - r**4 / 2 + r**5 / 12 - 2 / (3 * r)
    return np.where(r <= 1, near, np.where(r < 2, far, 0.0))


def _check_size(size: int) -> None:
    """Check that the covariance of a state fits in memory.

    Raises:
        UserError: naming the memory it would take.
    """
    if size > LARGEST:
        raise UserError(
            f"optimal_interpolation and three_d_var need a covariance of {size} x {size} numbers, {size**2 * 8e-9:.0f} "
            "GB; remove them from baselines.methods, or choose fewer channels or a coarser grid"
        )


def _append(file: BinaryIO, matrix: np.ndarray) -> None:
    for row in range(0, len(matrix), BATCH):
        file.write(np.ascontiguousarray(matrix[row : row + BATCH], "<f4").data)
