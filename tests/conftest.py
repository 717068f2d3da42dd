"""Tiny worlds for tests, and where the real data are."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from hindsight.settings import Domain

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HINDSIGHT_DATA", ROOT / "../shared/data"))


def pytest_configure(config):
    torch.set_num_threads(1)  # two processes with two threads each are slower than one


@pytest.fixture
def data() -> Path:
    """The folder of real data; a test that asks for it is skipped where it is absent."""
    if not (DATA / "eraint_europe_daily").is_dir():
        pytest.skip(f"no real data in {DATA}; set HINDSIGHT_DATA to the folder that has eraint_europe_daily")
    return DATA.resolve()


@pytest.fixture
def domain() -> Domain:
    """Three years of daily frames: one to learn from, one to tune on, one to test on."""
    return Domain.model_validate(
        {
            "channels": ["z500", "t850"],
            "train": {"start": "2000-01-01T12:00", "end": "2000-12-31T12:00"},
            "validation": {"start": "2001-01-01T12:00", "end": "2001-01-31T12:00"},
            "test": {"start": "2001-02-01T12:00", "end": "2001-02-28T12:00"},
        }
    )


@pytest.fixture
def source() -> xr.Dataset:
    """What a source may look like: its own names, latitudes from the north, two files' worth of variables."""
    times = pd.date_range("2000-01-01T12:00", "2001-02-28T12:00", freq="D")
    generator = np.random.default_rng(0)
    season = 300 * np.cos(2 * np.pi * np.arange(len(times)) / 365.25)[:, None, None]
    smooth = np.cumsum(np.cumsum(generator.standard_normal((len(times), 6, 8)), 1), 2)
    coords = {"time": times, "lat": np.linspace(50, 40, 6), "lon": np.linspace(-7, 7, 8)}
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "z": (dims, 54000 + season + 100 * smooth, {"units": "m**2 s**-2"}),
            "t": (dims, 0.3 * smooth, {"units": "degC"}),
        },
        coords=coords,
    )
