"""Distances to stations, and bins of them, against brute force."""

import numpy as np

from hindsight.fields.grid import great_circle
from hindsight.scores import distance

generator = np.random.default_rng(0)


def test_the_nearest_station_is_found_by_brute_force_too():
    """Over the whole globe, poles and date line included, longitudes given in any turn."""
    latitude, longitude = generator.uniform(-90, 90, 300), generator.uniform(0, 360, 300)
    stations = generator.uniform(-90, 90, 25), generator.uniform(-180, 180, 25)
    every = great_circle(latitude[:, None], longitude[:, None], *stations)
    np.testing.assert_allclose(distance.distance_to_nearest(latitude, longitude, *stations), every.min(1), atol=1e-6)


def test_without_stations_there_is_no_distance():
    none = np.empty(0)
    assert np.isnan(distance.distance_to_nearest(np.zeros(3), np.zeros(3), none, none)).all()
    assert np.isnan(distance.bin_weights(np.full(3, np.nan), distance.bin_edges(np.full(3, np.nan)), np.ones(3))).all()


def test_bins_are_round_and_hold_every_point():
    for largest in (0.0, 3.0, 790.0, 800.0, 20015.0):
        limits = distance.bin_edges(np.array([0.0, largest]))
        assert limits[0] == 0 and limits[-1] > largest and len(limits) == distance.BINS + 1
    assert distance.bin_edges(np.array([790.0]))[1] == 100 and distance.bin_edges(np.array([800.0]))[1] == 200


def test_means_by_distance_are_those_of_a_loop():
    away, area, values = generator.uniform(0, 500, 200), generator.uniform(0.1, 1, 200), generator.random(200)
    limits = np.array([0.0, 100, 250, 500, 700])
    found = distance.bin_weights(away, limits, area) @ values
    for k in range(3):
        chosen = [n for n in range(200) if limits[k] <= away[n] < limits[k + 1]]
        assert np.isclose(found[k], sum(area[n] * values[n] for n in chosen) / sum(area[n] for n in chosen))
    assert np.isnan(found[3])
