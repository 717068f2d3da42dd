"""Small test data, the folders of real data, and the option that turns skips into failures.

Slow imports such as torch are inside the fixtures that need them, because every test process reads this file.
"""

import os
from pathlib import Path

import pytest

from tests import shared

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HINDSIGHT_DATA", ROOT / "../shared/data"))
CASES = Path(os.environ.get("HINDSIGHT_CASES", ROOT / "../shared/cases"))
MAY_SKIP = (  # a skip that is right on any machine: a reason that contains one of these
    "nobody can tell: any bytes are numbers",
    "may not mount a disk here",
    "no GPU",
    "zarrita.js cannot be fetched",  # npm's registry is none that the project needs
)
LONGEST = ("slurm", "workflow", "benchmarks", "dynamics", "train")  # folders


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips",
        action="store_true",
        default=os.environ.get("HINDSIGHT_NO_SKIPS", "0") not in ("", "0"),
        help="skipped tests fail, except for the reasons in MAY_SKIP (also HINDSIGHT_NO_SKIPS=1)",
    )


def pytest_configure(config):
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes with two threads each are slower than one
    shared.begin()


def pytest_collection_modifyitems(items):
    """Put whole runs first, so that the longest tests do not start last, when other workers are idle."""
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(order)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if item.config.getoption("no_skips"):
        refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if collector.config.getoption("no_skips"):
        refuse(report)
    return report


def refuse(report):
    """Turn the report of a skip into one of a failure, unless its reason is in `MAY_SKIP`."""
    if report.skipped and not hasattr(report, "wasxfail") and not any(may in reason(report) for may in MAY_SKIP):
        report.outcome = "failed"
        report.longrepr = f"skipped, and here it has to run (--no-skips): {reason(report)}"


def reason(report) -> str:
    """Why a test was skipped."""
    return f"{report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; without it the test is skipped."""
    if not (DATA / "eraint_europe_daily").is_dir():
        pytest.skip(f"no real data in {DATA}; set HINDSIGHT_DATA to the folder that has eraint_europe_daily")
    return DATA.resolve()


@pytest.fixture
def cases() -> Path:
    """The folder of scripts that make inputs that users have; without it the test is skipped."""
    if not (CASES / "01_new_cds_netcdf.py").is_file():
        pytest.skip(f"no inputs of users in {CASES}; set HINDSIGHT_CASES to the folder that has 01_new_cds_netcdf.py")
    return CASES.resolve()


@pytest.fixture
def domain():
    """A domain of daily frames with a training, a validation and a test period."""
    from hindsight.settings import Domain

    return Domain.model_validate(
        {
            "channels": ["z500", "t850"],
            "train": {"start": "2000-01-01T12:00", "end": "2000-12-31T12:00"},
            "validation": {"start": "2001-01-01T12:00", "end": "2001-01-31T12:00"},
            "test": {"start": "2001-02-01T12:00", "end": "2001-02-28T12:00"},
        }
    )


@pytest.fixture
def source():
    """A small source with its own variable names and latitudes from the north."""
    import numpy as np
    import pandas as pd
    import xarray as xr

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
