"""A small prior with a network that is not zero, observations, and analyses of them."""

import numpy as np
import pandas as pd
import torch
import xarray as xr

from hindsight.reanalyse import observation_tensors, shard
from hindsight.reanalyse.assimilation import Assimilation, Task
from hindsight.settings import Reanalyse
from hindsight.settings.train import Points
from tests.train import helpers

FIRST = np.datetime64("2009-01-01T12", "ns")
BASE = {
    "steps": 3,
    "stride": 2,
    "sigma_max": 3.0,
    "sigma_min": 0.1,
    "batch": 16,
    "solver_tolerance": 1e-5,
    "context": 5,
}
DETERMINISTIC = {"step": "ddim", "eta": 0.0}


def busy(points=False):
    """A prior whose network is not zero."""
    settings = helpers.SETTINGS.model_copy(update={"points": Points(share=0.5)}) if points else helpers.SETTINGS
    made = helpers.prior(settings)
    for parameter in made.network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return made.eval()


def scaled(prior, folder):
    """Write the prior's scaling as `preprocess` does."""
    about, scaling = prior.metadata, prior.scaling
    coords = {"channel": about.channels, "latitude": about.latitude, "longitude": about.longitude}
    harmonics = xr.Dataset(
        {"coefficients": (("harmonic", *coords), scaling.coefficients)},
        coords,
        {"annual_harmonics": scaling.annual, "daily_harmonics": scaling.daily},
    )
    harmonics.to_netcdf(folder / "climatology.nc")
    xr.Dataset({"spread": ("channel", scaling.spread)}).to_netcdf(folder / "statistics.nc")


def times(first, last):
    """Days, counted from the first."""
    return FIRST + np.arange(first, last) * np.timedelta64(1, "D")


def table(frames=60, seed=0, places=(0, 2)):
    """Two observations of grid values a day."""
    generator = np.random.default_rng(seed)
    rows = [
        {
            "time": t,
            "latitude": 1.0,
            "longitude": float(k),
            "channel": "z500",
            "value": generator.standard_normal(),
            "error": 0.3,
        }
        for t in times(0, frames)
        for k in places
    ]
    return pd.DataFrame(rows)


def settings(**more):
    """The base settings with changes."""
    return Reanalyse.model_validate(BASE | more)


def analysed(prior, chosen, seen, frames=10, members=(0, 1, 2), first=0, extremes=None, **more):
    """The analysis of a stretch of frames."""
    task = Task(times(first, first + frames), seen, list(members), 1, extremes)
    return shard.reanalyse(prior, task, chosen, **more)


def assimilation(prior, seen, first=0, frames=6, members=(0, 1, 2), seed=1, attempt=0, **changes):
    """The assimilation of a stretch of frames."""
    task, about = Task(times(first, first + frames), seen, list(members), seed), prior.metadata
    observations = observation_tensors.from_table(seen, task.times, about.channels, about.grid, prior.scaling)
    return Assimilation(prior, task, observations, settings(**changes), attempt)
