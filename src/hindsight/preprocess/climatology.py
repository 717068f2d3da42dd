"""Climatology: the mean at every point as a few harmonics of the year and of the day, from the training split only."""

from pathlib import Path

import xarray as xr

from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.preprocess.moments import gather
from hindsight.settings import Preprocess
from hindsight.settings.domain import TrainingDomain
from hindsight.settings.hours import in_words


def run(training: TrainingDomain, settings: Preprocess, *, moments: list[Path], climatology: Path) -> None:
    """Fit the climatology of the training period, as harmonics of the year and of the day."""
    _check_day(training, settings)
    found = gather(moments, training)
    result = xr.Dataset(
        {"coefficients": (("harmonic", "channel", "latitude", "longitude"), found.coefficients)},
        coords={"channel": list(found.layout.channels), **found.layout.grid.coordinates},
        attrs={"annual_harmonics": found.layout.annual, "daily_harmonics": found.layout.daily}
        | found.layout.transforms.attributes,
    )
    store.replace(climatology, lambda partial: result.to_netcdf(partial))


def _check_day(training: TrainingDomain, settings: Preprocess) -> None:
    """Check that there are enough frames a day to fit the daily harmonics.

    Raises:
        UserError: naming the number of frames that they need.
    """
    daily = settings.daily_harmonics
    if daily and 2 * daily >= 24 / training.step_hours:
        raise UserError(
            f"preprocess.daily_harmonics = {daily} needs more than {2 * daily} frames a day, and there is one "
            f"every {in_words(training.step_hours)}; lower it"
        )
