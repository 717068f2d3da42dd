"""Observations as tensors."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.reanalyse import observation_tensors

GRID = Grid(np.arange(4.0), np.arange(5.0))
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(1, "D")
SCALING = Scaling(np.random.default_rng(0).standard_normal((1, 2, 4, 5)), np.array([2.0, 10.0]), 0, 0)


def table(rows):
    columns = ["time", "channel", "latitude", "longitude", "value", "error"]
    return pd.DataFrame([[TIMES[t], *rest] for t, *rest in rows], columns=columns)


def test_rows_go_to_their_frames_and_the_operator_gives_the_measured_values():
    """The truth's own values, observed, have no departure from the normalised truth."""
    truth = SCALING.climatology(TIMES) + np.random.default_rng(1).standard_normal((3, 2, 4, 5)) * [[[3.0]], [[5.0]]]
    at = lambda t, c, lat, lon: (truth[t, c, lat, lon] + truth[t, c, lat + 1, lon]) / 2
    rows = [
        (2, "msl", 1.5, 3.0, at(2, 1, 1, 3), 0.5),
        (0, "z500", 0.5, 2.0, at(0, 0, 0, 2), 0.1),
        (2, "z500", 2.5, 0.0, at(2, 0, 2, 0), 0.1),
        (1, "q", 1.0, 1.0, 9.0, 1.0),
    ]
    seen = observation_tensors.from_table(table(rows), TIMES, ["z500", "msl"], GRID, SCALING)
    assert seen.present.sum(1).tolist() == [1, 0, 2]
    state = torch.tensor(SCALING.normalise(truth, TIMES)).view(1, 3, -1)
    np.testing.assert_allclose(seen.forward(state)[0], seen.value * seen.present, atol=1e-5)
    assert sorted(seen.error[2].tolist()) == pytest.approx([0.05, 0.05])


def test_a_place_outside_the_grid_is_refused():
    with pytest.raises(UserError, match="lies outside"):
        observation_tensors.from_table(table([(0, "z500", 9.0, 1.0, 0.0, 1.0)]), TIMES, ["z500"], GRID, SCALING)


def test_no_observation_at_all_is_no_error():
    assert not observation_tensors.from_table(table([]), TIMES, ["z500"], GRID, SCALING).present.any()


SPHERE = Grid(np.array([-90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0]), np.arange(12) * 30.0)


def scattered(scaling, count=200, seed=2):
    """Observations of a truth all over the sphere, on and off the grid; and the truth."""
    generator = np.random.default_rng(seed)
    truth = scaling.climatology(TIMES) + generator.standard_normal((3, 2, *SPHERE.shape)) * [[[3.0]], [[40.0]]]
    latitude, longitude = generator.uniform(-90, 90, count), generator.uniform(-180, 360, count)
    latitude[:3], longitude[:3] = [90.0, -90.0, 60.0], [15.0, 0.0, 345.0]
    frame, channel = generator.integers(0, 3, count), generator.integers(0, 2, count)
    rows = []
    for t, c, lat, lon in zip(frame, channel, latitude, longitude):
        south = min(int((lat + 90) // 30), 5)
        up, west = (lat + 90) / 30 - south, int(lon % 360 // 30)
        across, east = lon % 360 / 30 - west, (west + 1) % 12
        field = truth[t, c]
        low = (1 - across) * field[south, west] + across * field[south, east]
        high = (1 - across) * field[south + 1, west] + across * field[south + 1, east]
        rows.append((t, ["z500", "msl"][c], lat, lon, (1 - up) * low + up * high, 0.5 + generator.random()))
    return table(rows), truth


@pytest.fixture
def by_area():
    coefficients = np.random.default_rng(0).normal(100, 30, (1, 2, *SPHERE.shape))
    return Scaling(coefficients, np.array([2.0, 10.0]), 0, 0).weighted_by_area(SPHERE.weights)


def test_the_operator_gives_the_measured_values_of_fields_weighted_by_area(by_area):
    """H of the normalised truth is the normalised observation, poles and all, whatever the measure."""
    rows, truth = scattered(by_area)
    assert by_area.measure.min() < 0.4 < 1.2 < by_area.measure.max()
    seen = observation_tensors.from_table(rows, TIMES, ["z500", "msl"], SPHERE, by_area)
    state = torch.tensor(by_area.normalise(truth, TIMES)).view(1, 3, -1)
    assert seen.present.sum() == len(rows)
    np.testing.assert_allclose(seen.forward(state)[0], seen.value * seen.present, atol=2e-5)


def test_a_measure_changes_neither_values_nor_errors(by_area):
    """They are the measured ones, in standard deviations: only the state is weighted."""
    rows, _ = scattered(by_area)
    with_measure = observation_tensors.from_table(rows, TIMES, ["z500", "msl"], SPHERE, by_area)
    without = observation_tensors.from_table(
        rows, TIMES, ["z500", "msl"], SPHERE, dataclasses.replace(by_area, measure=1.0)
    )
    for name in ("value", "error", "point", "present"):
        assert torch.equal(getattr(with_measure, name), getattr(without, name))
    areas = SPHERE.weights.ravel()[with_measure.point.numpy() % SPHERE.weights.size]
    np.testing.assert_allclose(with_measure.weight * np.sqrt(areas), without.weight, rtol=1e-5, atol=1e-7)


def test_the_operator_gives_means_over_footprints(by_area):
    """Also with values at places, weighted by area or not: H of the normalised truth is the normalised observation."""
    _, truth = scattered(by_area)
    mean = lambda t, c, rows, columns: truth[t, c][np.ix_(rows, columns)].mean()
    rows = [
        (0, "z500", -75.0, 45.0, mean(0, 0, [0, 1], [1, 2]), 0.5, "mean 2x2"),
        (0, "msl", -15.0, 345.0, mean(0, 1, [1, 2, 3, 4], [10, 11, 0, 1]), 0.5, "mean 4x4"),
        (2, "msl", 30.0, 60.0, truth[2, 1, 4, 2], 0.5, ""),
        (2, "z500", 15.0, 15.0, mean(2, 0, [3, 4], [0, 1]), 0.5, "centre 4x4"),
    ]
    columns = ["time", "channel", "latitude", "longitude", "value", "error", "footprint"]
    wanted = pd.DataFrame([[TIMES[t], *rest] for t, *rest in rows], columns=columns)
    for scaling in (by_area, dataclasses.replace(by_area, measure=1.0)):
        seen = observation_tensors.from_table(wanted, TIMES, ["z500", "msl"], SPHERE, scaling)
        assert seen.point.shape == (3, 2, 16) and seen.present.sum(1).tolist() == [2, 0, 2]
        state = torch.tensor(scaling.normalise(truth, TIMES)).view(1, 3, -1)
        np.testing.assert_allclose(seen.forward(state)[0], seen.value * seen.present, atol=2e-5)
        for frame in (0, 2):
            whole = seen.rows(frame, state.shape[-1])
            torch.testing.assert_close(whole @ state[0, frame], seen.forward(state)[0, frame])
        assert seen.on_values(state.shape[-1]) is None


def test_a_footprint_that_is_not_on_the_grid_is_refused():
    wanted = table([(0, "z500", 1.0, 1.0, 0.0, 1.0)]).assign(footprint="mean 2x2")
    with pytest.raises(UserError, match="an observation at 1.0 is not at the middle of 2 grid points"):
        observation_tensors.from_table(wanted, TIMES, ["z500"], GRID, SCALING)


def test_the_largest_departure_of_each_channel_is_in_its_standard_deviations():
    level = SCALING.climatology(TIMES[:1])[0]
    rows = [(0, "z500", 1.0, 1.0, level[0, 1, 1] - 6.0, 0.1), (0, "z500", 2.0, 1.0, level[0, 2, 1] + 4.0, 0.1)]
    rows += [(0, "msl", 3.0, 4.0, level[1, 3, 4] + 5.0, 0.1)]
    seen = observation_tensors.from_table(table(rows), TIMES, ["z500", "msl"], GRID, SCALING)
    assert observation_tensors.largest_departures(seen, 2, 40) == pytest.approx([3.0, 0.5], abs=1e-5)
    nothing = observation_tensors.from_table(table([]), TIMES, ["z500", "msl"], GRID, SCALING)
    assert observation_tensors.largest_departures(nothing, 2, 40) == [0.0, 0.0]
