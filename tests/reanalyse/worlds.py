"""A small prior that says something, observations, and what a regime makes of them."""

import numpy as np
import pandas as pd
import torch
import xarray as xr

from hindsight.reanalyse import shard
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
    """A prior whose network says something."""
    settings = helpers.SETTINGS.model_copy(update={"points": Points(share=0.5)}) if points else helpers.SETTINGS
    made = helpers.prior(settings)
    for parameter in made.network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return made.eval()


def scaled(prior, folder):
    """What `preprocess` would have left of the prior's own scaling."""
    about, own = prior.about, prior.scaling
    coords = {"channel": about.channels, "latitude": about.latitude, "longitude": about.longitude}
    harmonics = xr.Dataset(
        {"coefficients": (("harmonic", *coords), own.coefficients)},
        coords,
        {"annual_harmonics": own.annual, "daily_harmonics": own.daily},
    )
    harmonics.to_netcdf(folder / "climatology.nc")
    xr.Dataset({"spread": ("channel", own.spread)}).to_netcdf(folder / "statistics.nc")


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
    """The base, and what is said of a regime."""
    return Reanalyse.model_validate(BASE | more)


def analysed(prior, chosen, seen, frames=10, members=(0, 1, 2), first=0, **more):
    """Physical fields (E, T, C, H, W) of a stretch."""
    return shard.reanalyse(prior, times(first, first + frames), seen, list(members), 1, chosen, **more)
