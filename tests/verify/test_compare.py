"""Statistics of analyses."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.settings.verify import Region
from hindsight.verify import compare

GRID = Grid(np.array([0.0, 60.0]), np.arange(-2.0, 3))
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(1, "D")
SCALING = Scaling(np.zeros((1, 1, 2, 5)), np.ones(1), 0, 0)
generator = np.random.default_rng(0)
TRUTH = generator.standard_normal((3, 1, 2, 5)).astype("float32")


def analysis(values):
    return xr.Dataset(
        {"analysis": (("realization", "time", "channel", "latitude", "longitude"), values)},
        coords={
            "realization": range(len(values)),
            "time": TIMES,
            "channel": ["z500"],
            "latitude": GRID.latitude,
            "longitude": GRID.longitude,
        },
    )


def test_regions_are_boxes_weighted_by_area():
    areas = compare.regions({"north": Region(south=30, north=90, west=-1, east=1)}, GRID)
    assert list(areas) == [compare.WHOLE, "north"]
    assert areas["north"].reshape(2, 5)[0].sum() == 0 and (areas["north"].reshape(2, 5)[1] > 0).sum() == 3
    whole = areas[compare.WHOLE].reshape(2, 5)
    assert whole[0, 0] > 1.5 * whole[1, 0]


def test_an_empty_region_is_refused():
    with pytest.raises(UserError, match="holds no grid point"):
        compare.regions({"nowhere": Region(south=70, north=80, west=0, east=1)}, GRID)


def test_a_perfect_analysis_has_no_error():
    found = compare.against_truth(analysis(np.stack([TRUTH] * 4)), TRUTH, SCALING, compare.regions({}, GRID), GRID)
    for name in ("squared_error", "variance", "skill", "sum_squared_error"):
        assert np.abs(found[name]).max() < 1e-10
    np.testing.assert_allclose(found["sum_power"].sel(kind="truth"), found["sum_power"].sel(kind="mean"))


def test_at_withheld_observations_members_get_the_observations_error():
    """A perfect ensemble, compared with noisy observations, is calibrated only if it is given their noise."""
    truth = np.zeros((3, 1, 2, 5))
    rows = pd.DataFrame(
        [
            {"time": t, "latitude": 30.0, "longitude": x, "channel": "z500", "value": v, "error": 1.0}
            for t in TIMES
            for x in (0.5, 1.0)
            for v in generator.standard_normal(400)
        ]
    )
    found = compare.against_observations(analysis(np.stack([truth] * 20)), rows, SCALING, GRID, 0)
    assert abs(float(found["variance"].mean()) - 1) < 0.05
    assert abs(float(found["squared_error"].mean()) - 1.05) < 0.12


def test_frames_without_withheld_observations_are_nan_and_not_zero():
    rows = pd.DataFrame(
        {"time": [TIMES[1]], "latitude": [0.0], "longitude": [0.0], "channel": ["z500"], "value": [0.0], "error": [1.0]}
    )
    found = compare.against_observations(analysis(np.stack([TRUTH] * 2)), rows, SCALING, GRID, 0)["squared_error"]
    assert np.isfinite(found[0, 1, 0]) and np.isnan(found[0, [0, 2], 0]).all()
