"""What observations would measure of given fields, by hand: places, levels, heights and several frames."""

import numpy as np
import pandas as pd

from hindsight.fields.grid import Grid
from hindsight.operators.evaluate import evaluate
from hindsight.operators.station_pressure import linearised

GRID = Grid(np.array([40.0, 45.0, 50.0]), np.array([-10.0, 0.0, 10.0, 20.0]))
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(24, "h")
CHANNELS = ["t500", "t850", "msl", "u10", "v10"]
MEAN = np.array([250.0, 280.0, 101000.0, 3.0, -4.0])
FIELDS = MEAN[:, None, None] + np.random.default_rng(1).standard_normal((2, 3, 5, *GRID.shape))


def row(channel, time=1, **columns):
    """An observation midway between the four corners of the first cell."""
    plain = {"time": TIMES[time], "channel": channel, "latitude": 42.5, "longitude": -5.0, "level": np.nan}
    return pd.DataFrame([plain | {"elevation": 500.0, "footprint": "", "time_weights": ""} | columns])


def corner_mean(channel, time=1):
    """The mean of the four corners, for both members."""
    return FIELDS[:, time, CHANNELS.index(channel), :2, :2].mean((1, 2))


def evaluated(*rows):
    return evaluate(pd.concat(rows, ignore_index=True), CHANNELS, GRID, TIMES, FIELDS)


def test_values_at_a_place_between_levels_and_from_several_channels():
    found = evaluated(row("t850"), row("t", level=700.0), row("ws10"), row("sp"))
    share = np.log(700 / 500) / np.log(850 / 500)
    between = (1 - share) * corner_mean("t500") + share * corner_mean("t850")
    pressure = linearised(corner_mean("msl"), corner_mean("t850"), 500.0).value
    speed = np.hypot(corner_mean("u10"), corner_mean("v10"))
    np.testing.assert_allclose(found, np.stack([corner_mean("t850"), between, speed, pressure], 1))


def test_a_mean_over_time_is_that_of_the_frames_values():
    found = evaluated(row("t850", time_weights="-1:0.25 0:0.5 1:0.25"), row("sp", time_weights="0:0.5 1:0.5"))
    mean = sum(w * corner_mean("t850", t) for t, w in enumerate([0.25, 0.5, 0.25]))
    pressure = [linearised(corner_mean("msl", t), corner_mean("t850", t), 500.0).value for t in (1, 2)]
    np.testing.assert_allclose(found, np.stack([mean, np.mean(pressure, 0)], 1))


def test_rows_that_need_other_frames_have_no_value():
    found = evaluated(row("t850", time=0, time_weights="-1:0.5 0:0.5"), row("t850", time=2), row("msl", time=0))
    assert np.isnan(found[:, 0]).all() and np.isfinite(found[:, 1:]).all()
    later = row("t850").assign(time=TIMES[2] + np.timedelta64(24, "h"))
    assert np.isnan(evaluated(later)).all()


def test_an_empty_table_gives_no_values():
    assert evaluated(row("t850").iloc[:0]).shape == (2, 0)
