"""Observations as rows, against the fields that they were taken from."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.fields.transforms import Transforms
from hindsight.operators.footprint import observation_operator
from hindsight.operators.rows import gross_error_note, normalise, reject_gross_errors
from hindsight.operators.station_pressure import linearised
from hindsight.reanalyse import observation_tensors
from hindsight.settings.preprocess import CensoredLogarithm

GRID = Grid(np.array([40.0, 45.0, 50.0]), np.array([-10.0, 0.0, 10.0, 20.0]))
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(24, "h")
CHANNELS = ["z500", "t850"]
generator = np.random.default_rng(0)
SCALING = Scaling(generator.normal(100, 30, (3, 2, *GRID.shape)), np.array([2.0, 10.0]), 1, 0)
TRUTH = SCALING.climatology(TIMES) + generator.standard_normal((3, 2, *GRID.shape)) * [[[2.0]], [[10.0]]]


def table(**columns):
    """Two observations, of z500 at one place and time."""
    plain = {"time": TIMES[0], "channel": "z500", "latitude": 45.0, "longitude": 5.0, "value": [1.0, 2.0], "error": 0.1}
    return pd.DataFrame(plain | columns)


@pytest.mark.parametrize("scaling", [SCALING, SCALING.weighted_by_area(GRID.weights)], ids=["alike", "by area"])
def test_rows_applied_to_the_normalised_truth_give_the_observations(scaling):
    """Unordered and repeated times, two channels, places on a grid point and between four."""
    seen = [(2, 1, 45.0, 5.0), (0, 0, 45.0, 10.0), (2, 0, 47.5, 15.0), (1, 1, 40.0, -10.0), (0, 1, 42.5, 0.0)]
    value = []
    for t, c, north, east in seen:
        (i, up), (j, over) = divmod((north - 40) / 5, 1), divmod((east + 10) / 10, 1)
        corners = [(int(i), int(j), (1 - up) * (1 - over)), (int(i), int(j) + 1, (1 - up) * over)]
        corners += [(int(i) + 1, int(j), up * (1 - over)), (int(i) + 1, int(j) + 1, up * over)]
        value.append(sum(TRUTH[t, c, a, b] * share for a, b, share in corners if share))
    t, c, north, east = map(np.array, zip(*seen))
    error = np.array([3.0, 0.5, 1.0, 2.0, 7.0])
    columns = {"time": TIMES[t], "channel": np.array(CHANNELS)[c], "latitude": north, "longitude": east}
    rows = normalise(pd.DataFrame(columns | {"value": value, "error": error}), CHANNELS, GRID, scaling)
    state = scaling.normalise(TRUTH, TIMES).reshape(3, -1)
    np.testing.assert_array_equal(rows.time, TIMES[t])
    np.testing.assert_allclose((state[t[:, None], rows.point] * rows.weight).sum(1), rows.value, atol=1e-5)
    np.testing.assert_allclose(rows.error, error / np.array([2.0, 10.0])[c])


def test_the_analysis_has_the_same_rows_in_its_tensors():
    rows = normalise(table(longitude=[5.0, -3.0]), CHANNELS, GRID, SCALING)
    seen = observation_tensors.from_table(table(longitude=[5.0, -3.0]), TIMES, CHANNELS, GRID, SCALING)
    for name in ("point", "weight", "value", "error"):
        np.testing.assert_array_equal(
            getattr(seen, name)[0], getattr(rows, name).astype(getattr(seen, name).numpy().dtype)
        )


def test_observations_of_other_channels_are_left_out_and_none_at_all_are_no_rows():
    found = normalise(table(channel=["t2m", "z500"]), CHANNELS, GRID, SCALING)
    assert len(found) == 1 and found.value == pytest.approx(
        (2.0 - SCALING.climatology(TIMES[:1])[0, 0, 1, 1:3].mean()) / 2
    )
    assert len(normalise(table().iloc[:0], CHANNELS, GRID, SCALING)) == 0


def test_an_observation_outside_the_grid_is_refused():
    with pytest.raises(UserError, match="lies outside .* remove it from the table"):
        normalise(table(latitude=80.0), CHANNELS, GRID, SCALING)


def test_a_footprint_is_a_row_with_all_its_points():
    """The other row is a value at a position, which needs four points only."""
    north, east = GRID.latitude[:2].mean(), GRID.longitude[:4].mean()
    rows = table(latitude=[north, GRID.latitude[1]], longitude=[east, GRID.longitude[2]], footprint=["mean 2x4", ""])
    found = normalise(rows, CHANNELS, GRID, SCALING)
    field = np.random.default_rng(0).standard_normal(GRID.shape)
    seen = (field.ravel()[found.point] * found.weight).sum(1)
    np.testing.assert_allclose(seen, [field[:2, :4].mean(), field[1, 2]])


def reported(departures, error=0.1):
    """Observations of t850 on a grid point, some of its standard deviations from the climatology."""
    expected = SCALING.climatology(TIMES[:1])[0, 1, 1, 1]
    value = expected + 10 * np.array(departures, float)
    rows = {"time": TIMES[0], "channel": "t850", "latitude": 45.0, "longitude": 0.0, "value": value, "error": error}
    return pd.DataFrame(rows), expected


def test_gross_is_what_is_far_from_the_climatology_and_outside_all_of_the_training_period():
    table, expected = reported([0, -9.9, 10.5, 50, -50, 30])
    extremes = np.array([[0.0, expected - 150], [1.0, expected + 310]])
    kept, gross = reject_gross_errors(table, CHANNELS, GRID, SCALING, extremes)
    assert kept.index.tolist() == [0, 1, 2, 5]  # a cloudburst of 30 has been seen before
    np.testing.assert_allclose(gross["departure"], [50, -50])
    kept, gross = reject_gross_errors(table, CHANNELS, GRID, SCALING)
    assert kept.index.tolist() == [0, 1] and gross.index.tolist() == [2, 3, 4, 5]
    kept, _ = reject_gross_errors(reported([15], error=20.0)[0], CHANNELS, GRID, SCALING)
    assert len(kept) == 1  # it never claimed to be close


def test_other_channels_are_no_business_of_it_and_none_at_all_is_no_error():
    table = pd.concat([reported([50])[0].assign(channel="t2m"), reported([1])[0]])
    kept, gross = reject_gross_errors(table, CHANNELS, GRID, SCALING, np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert len(kept) == 1 and gross.empty and gross_error_note(gross, 1) == ""
    assert all(part.empty for part in reject_gross_errors(table.iloc[:0], CHANNELS, GRID, SCALING))


def test_the_worst_are_named_with_what_to_do():
    table, expected = reported([1, 50, -60, 20, 30, 40, 25])
    _, gross = reject_gross_errors(table, CHANNELS, GRID, SCALING)
    text = gross_error_note(gross, 7)
    assert text.startswith("6 of 7 observations are rejected as gross errors")
    assert f"t850 {expected - 600:g} at 45 N, 0 E, 2009-01-01T12:00 (-60); t850 {expected + 500:g}" in text
    assert "(+20)" not in text and "and others; to keep them, raise observe.networks.NAME.error" in text


PRESSURE = ["msl", "t850"]
MEAN = np.stack([np.full(GRID.shape, 101500.0), np.full(GRID.shape, 278.0)])
WEATHER = Scaling(np.concatenate([MEAN[None], np.zeros((2, 2, *GRID.shape))]), np.array([900.0, 4.0]), 1, 0)


def mountain(**columns):
    """Station pressure at two heights and places, with a daily mean's weights."""
    plain = {
        "time": TIMES[1],
        "channel": "sp",
        "latitude": [42.0, 47.0],
        "longitude": [3.0, 12.0],
        "elevation": [1894.0, 30.0],
        "value": [80000.0, 100000.0],
        "error": 100.0,
        "time_weights": "",
    }
    return pd.DataFrame(plain | columns)


def test_station_pressure_is_a_row_on_two_channels():
    """Of a small departure from the climatology, it is what the formula gives; its unit is its own spread."""
    rows = normalise(mountain(), PRESSURE, GRID, WEATHER, 24)
    departure = np.array([60.0, 0.3])[:, None, None] * np.random.default_rng(1).uniform(0.5, 1, (2, *GRID.shape))
    state = (departure / WEATHER.spread[:, None, None]).reshape(-1)
    found = (state[rows.point] * rows.weight).sum(1)
    for n, row in enumerate(mountain().itertuples()):
        at = observation_operator(GRID, mountain().iloc[[n]])
        here = [float(at.apply(field.reshape(1, -1))[0, 0]) for field in MEAN + departure]
        mean = linearised(101500.0, 278.0, row.elevation)
        unit = np.hypot(mean.by_pressure * 900, mean.by_temperature * 4)
        expected = (linearised(*here, row.elevation).value - mean.value) / unit
        assert found[n] == pytest.approx(expected, rel=2e-3)
        assert rows.value[n] == pytest.approx((row.value - mean.value) / unit) and rows.error[n] == pytest.approx(
            100 / unit
        )


def test_a_mean_over_days_is_a_row_on_several_frames():
    rows = normalise(mountain(time_weights="-1:0.1 0:0.7 1:0.2"), PRESSURE, GRID, WEATHER, 24)
    single = normalise(mountain(), PRESSURE, GRID, WEATHER, 24)
    states = np.random.default_rng(2).standard_normal((3, 2 * 12))
    at = lambda one, t: (states[t][one.point] * one.weight).sum(1)
    found = (states[1 + rows.offset, rows.point] * rows.weight).sum(1)
    np.testing.assert_allclose(found, 0.1 * at(single, 0) + 0.7 * at(single, 1) + 0.2 * at(single, 2))
    seen = observation_tensors.from_table(mountain(time_weights="-1:0.1 0:0.7 1:0.2"), TIMES, PRESSURE, GRID, WEATHER)
    forward = seen.forward(torch.tensor(states[None], dtype=torch.float32))
    np.testing.assert_allclose(forward[0, 1], found, rtol=1e-4)


def test_observations_that_need_a_frame_outside_the_stretch_are_not_in_its_tensors():
    table = mountain(time_weights=["-1:0.5 0:0.5", ""])
    seen = observation_tensors.from_table(table, TIMES[1:], PRESSURE, GRID, WEATHER)
    assert int(seen.present.sum()) == 1 and int(seen.present[0].sum()) == 1
    assert int(observation_tensors.from_table(table, TIMES, PRESSURE, GRID, WEATHER).present.sum()) == 2


def test_rows_on_one_channel_beside_rows_on_two():
    table = pd.concat([mountain(), mountain(channel="t850", value=275.0, error=1.0)], ignore_index=True)
    found = normalise(table, PRESSURE, GRID, WEATHER, 24)
    state = np.random.default_rng(3).standard_normal(2 * 12)
    product = lambda one: (state[one.point] * one.weight).sum(1)
    alone = [normalise(table.iloc[part], PRESSURE, GRID, WEATHER, 24) for part in (slice(2), slice(2, 4))]
    np.testing.assert_allclose(product(found), np.concatenate([product(one) for one in alone]))
    np.testing.assert_allclose(found.value, np.concatenate([one.value for one in alone]))


def test_time_weights_need_the_hours_between_frames():
    with pytest.raises(ValueError, match="need the hours between frames"):
        normalise(mountain(time_weights="-1:0.5 0:0.5"), PRESSURE, GRID, WEATHER)


def test_values_without_weight_are_of_the_own_frame():
    """A weight of zero asks for no frame: the row is used in a stretch that lacks that one."""
    table = mountain(time_weights="-1:0 0:1")
    assert not normalise(table, PRESSURE, GRID, WEATHER, 24).offset.any()
    assert int(observation_tensors.from_table(table, TIMES[1:], PRESSURE, GRID, WEATHER).present.sum()) == 2


UPPER = ["t500", "t850", "u10", "v10"]
ALOFT = np.stack([np.full(GRID.shape, mean) for mean in (250.0, 280.0, 3.0, -4.0)])
SOUNDED = Scaling(np.concatenate([ALOFT[None], np.zeros((2, 4, *GRID.shape))]), np.array([3.0, 5.0, 4.0, 2.0]), 1, 0)


def sounding(**columns):
    """A temperature at a pressure, and what else is given."""
    plain = {
        "time": TIMES[1],
        "channel": "t",
        "level": [700.0, 500.0],
        "latitude": [42.0, 47.0],
        "longitude": [3.0, 12.0],
    }
    return pd.DataFrame(plain | {"value": 271.0, "error": 1.0} | columns)


def seen_by(rows, state):
    return (state[rows.point] * rows.weight).sum(1)


def test_a_temperature_between_levels_is_a_row_on_both_of_them():
    rows = normalise(sounding(), UPPER, GRID, SOUNDED, 24)
    departure = np.random.default_rng(1).uniform(-9, 9, (4, *GRID.shape))
    found = seen_by(rows, (departure / SOUNDED.spread[:, None, None]).reshape(-1))
    share = np.log(700 / 500) / np.log(850 / 500)
    at = observation_operator(GRID, sounding())
    upper, lower = (at.apply((ALOFT + departure)[c].reshape(1, -1))[0] for c in (0, 1))
    expected = [(1 - share) * upper[0] + share * lower[0], upper[1]]
    unit = np.array([np.hypot((1 - share) * 3, share * 5), 3.0])
    np.testing.assert_allclose(found - rows.value, (expected - sounding()["value"]) / unit)
    np.testing.assert_allclose(rows.error, 1 / unit)


def test_on_a_level_a_variable_is_the_channel_to_the_bit():
    one = normalise(sounding(level=[850.0, 500.0]), UPPER, GRID, SOUNDED, 24)
    other = normalise(sounding(channel=["t850", "t500"], level=np.nan), UPPER, GRID, SOUNDED, 24)
    for name in ("point", "weight", "value", "error"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_outside_the_levels_there_is_no_row():
    assert len(normalise(sounding(level=[900.0, np.nan]), UPPER, GRID, SOUNDED, 24)) == 0
    assert len(normalise(sounding(channel="q"), UPPER, GRID, SOUNDED, 24)) == 0


def test_the_limits_between_levels_are_the_widest_of_both():
    limits = np.array([[240.0, 255, -50, -50], [260.0, 300, 50, 50]])
    table = sounding(value=[335.0, 299.0])  # both more than 10 spreads off
    kept, gross = reject_gross_errors(table, UPPER, GRID, SOUNDED, limits, 24)
    assert kept.empty and len(gross) == 2  # on the level itself, its own limits count
    limits[1, 1] = 340
    assert reject_gross_errors(table, UPPER, GRID, SOUNDED, limits, 24)[0].index.tolist() == [0]


@pytest.mark.parametrize("errors", ["transformed", "physical"])
def test_rain_is_observed_as_its_logarithm(errors):
    """At grid points the rows give what the normalised truth has; errors are those of the logarithm."""
    log = CensoredLogarithm(threshold=0.1, errors=errors)
    scaling = dataclasses.replace(SCALING, transforms=Transforms.build({"rain": log}, ["rain", "t850"]))
    truth = np.random.default_rng(3).gamma(0.5, 3.0, TRUTH.shape)
    truth[:, :, 0] = 0
    places = [(0, 0, 0), (0, 1, 1), (2, 2, 3)]
    t, i, j = map(np.array, zip(*places))
    value = truth[t, 0, i, j]
    columns = {"time": TIMES[t], "channel": "rain", "latitude": GRID.latitude[i], "longitude": GRID.longitude[j]}
    rows = normalise(pd.DataFrame(columns | {"value": value, "error": 0.2}), ["rain", "t850"], GRID, scaling)
    state = scaling.normalise(truth, TIMES).reshape(3, -1)
    np.testing.assert_allclose((state[t[:, None], rows.point] * rows.weight).sum(1), rows.value, atol=1e-5)
    expected = np.full(3, 0.2) if errors == "transformed" else 0.2 / np.maximum(value, 0.1)
    np.testing.assert_allclose(rows.error, expected / SCALING.spread[0])
