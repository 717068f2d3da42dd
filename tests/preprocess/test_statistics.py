"""Statistics of the training split."""

import numpy as np
import xarray as xr

from hindsight.fields.scaling import Scaling
from hindsight.preprocess import statistics


def test_spread_is_the_departure_from_the_climatology_and_not_from_the_mean():
    times = np.datetime64("2000-01-01", "ns") + np.arange(1000) * np.timedelta64(1, "D")
    scaling = Scaling(np.array([5.0, 100.0, 0.0]).reshape(3, 1, 1, 1) * np.ones((3, 2, 3, 4)), np.ones(2), 1, 0)
    noise = np.random.default_rng(0).standard_normal((1000, 2, 3, 4)) * np.array([3.0, 0.5])[:, None, None]
    fields = xr.DataArray(
        scaling.climatology(times) + noise, dims=("time", "channel", "latitude", "longitude"), coords={"time": times}
    )
    found = statistics.spread(fields, scaling, block=300)
    np.testing.assert_allclose(found, np.sqrt((noise**2).mean((0, 2, 3))), rtol=1e-9)
