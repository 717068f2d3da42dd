"""Climatology: the mean at every point as a few harmonics of the year and of the day, from the training split only."""

from pathlib import Path

import numpy as np
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.scaling import harmonics
from hindsight.settings import Domain, Preprocess


def run(domain: Domain, settings: Preprocess, *, fields: Path, climatology: Path) -> None:
    """Fit the climatology of the training period, by day of year and hour, in few harmonics."""
    training = calendar.in_period(store.read(fields), domain.train, str(store.folder(fields)))
    annual, daily = settings.annual_harmonics, settings.daily_harmonics
    days = training.sizes["time"] * domain.step_hours / 24
    if annual and days < 365:
        raise UserError(
            f"the training period has {days:.0f} days, and preprocess.annual_harmonics = {annual} needs a "
            "year at the least; lengthen domain.train or set it to 0"
        )
    if daily and 2 * daily >= 24 / domain.step_hours:
        raise UserError(
            f"preprocess.daily_harmonics = {daily} needs more than {2 * daily} frames a day, and there is one "
            f"every {domain.step_hours} h; lower it"
        )
    coefficients = fit(training["fields"], annual, daily)
    result = xr.Dataset(
        {"coefficients": (("harmonic", "channel", "latitude", "longitude"), coefficients)},
        coords={name: training[name] for name in ("channel", "latitude", "longitude")},
        attrs={"annual_harmonics": annual, "daily_harmonics": daily},
    )
    store.replace(climatology, lambda partial: result.to_netcdf(partial))


def fit(fields: xr.DataArray, annual: int, daily: int, block: int = 512) -> np.ndarray:
    """Least-squares harmonics of (time, channel, latitude, longitude), one block of frames in memory at a time.

    Returns:
        Coefficients of shape (K, C, H, W), float64, in the order of `scaling.harmonics`.
    """
    times = fields["time"].values
    normal, moment = 0.0, 0.0
    for start in range(0, len(times), block):
        design = harmonics(times[start : start + block], annual, daily)
        values = fields[start : start + block].values.astype(float)
        normal = normal + design.T @ design
        moment = moment + np.tensordot(design.T, values, axes=1)
    return np.linalg.solve(normal, moment.reshape(len(normal), -1)).reshape(moment.shape)
