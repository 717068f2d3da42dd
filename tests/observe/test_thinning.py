"""Thinning, superobservations and inflation: spacing by brute force, averages by hand, errors by their formulas."""

import numpy as np
import pandas as pd

from hindsight.fields.grid import great_circle
from hindsight.fields.usage import CODES, THINNED
from hindsight.observe import thinning
from hindsight.settings.networks import Thinning


def table(count=80, seed=0):
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2009-01-01T12"),
            "channel": "msl",
            "station": [f"S{n:02d}" for n in range(count)],
            "latitude": generator.uniform(45, 50, count),
            "longitude": generator.uniform(0, 8, count),
            "value": generator.normal(101000, 500, count),
            "error": generator.choice([80.0, 100.0], count),
            "innovation": generator.normal(0, 300, count),
            "quality": 0,
            "reasons": 0,
            "withheld": False,
        }
    )


def test_no_two_used_stations_are_nearer_than_the_spacing_and_none_that_fits_is_left_out():
    whole = table()
    thinned = thinning.thin(whole, Thinning(spacing_km=100))
    used = thinned[thinned["quality"] == 0]
    assert (thinned.loc[thinned["quality"] != 0, "quality"] == CODES[THINNED]).all()
    assert (thinned["reasons"] == np.where(thinned["quality"] == 0, 0, 1 << CODES[THINNED])).all()
    at = lambda rows: (rows["latitude"].to_numpy(), rows["longitude"].to_numpy())
    among = great_circle(at(used)[0][:, None], at(used)[1][:, None], *at(used))
    assert among[~np.eye(len(used), dtype=bool)].min() >= 100
    left = thinned[thinned["quality"] != 0]
    assert great_circle(at(left)[0][:, None], at(left)[1][:, None], *at(used)).min(1).max() < 100


def test_withheld_and_rejected_rows_neither_thin_nor_are_thinned():
    whole = table(6).assign(latitude=45.0, longitude=1.0)
    whole.loc[0, "withheld"], whole.loc[1, "quality"] = True, CODES["duplicate"]
    thinned = thinning.thin(whole, Thinning(spacing_km=10))
    assert thinned["quality"].tolist().count(0) == 2 and thinned.loc[0, "quality"] == 0


def test_a_superobservation_has_the_mean_innovation_and_the_error_of_the_mean():
    whole = table(4).assign(latitude=[45.1, 45.11, 45.12, 49.0], longitude=1.0)
    averaged = thinning.thin(whole, Thinning(average_km=50))
    assert averaged["quality"].tolist() == [CODES[THINNED], 0, CODES[THINNED], 0]
    change = averaged.loc[1, "value"] - whole.loc[1, "value"]
    assert np.isclose(whole.loc[1, "innovation"] + change, whole.loc[:2, "innovation"].mean())
    assert np.isclose(averaged.loc[1, "error"], np.sqrt((whole.loc[:2, "error"] ** 2).sum()) / 3)
    assert averaged.loc[3, ["value", "error"]].equals(whole.loc[3, ["value", "error"]])


def test_across_the_date_line_the_same_report_stands_for_a_superobservation_however_longitudes_are_written():
    whole = table(3).assign(latitude=45.0)
    for east in (np.array([179.95, -179.96, -179.99]), np.array([179.95, 180.04, 180.01])):
        averaged = thinning.thin(whole.assign(longitude=east), Thinning(average_km=100))
        assert averaged["quality"].tolist() == [CODES[THINNED], CODES[THINNED], 0]


def test_errors_grow_with_the_number_of_stations_within_reach():
    whole = table(4).assign(latitude=[45.0, 45.5, 46.0, 60.0], longitude=1.0, error=80.0)
    inflated = thinning.thin(whole, Thinning(correlation=0.5, reach_km=60))
    np.testing.assert_allclose(inflated["error"], 80 * np.sqrt(1 + np.array([1, 2, 1, 0]) * 0.5))


def test_without_settings_nothing_changes():
    pd.testing.assert_frame_equal(thinning.thin(table(), Thinning()), table())


def test_soundings_are_thinned_level_by_level():
    whole = pd.concat([table(4).assign(channel="t", level=level) for level in (850.0, 500.0)], ignore_index=True)
    whole = whole.assign(latitude=45.0, longitude=1.0, error=1.0)
    used = thinning.thin(whole, Thinning(spacing_km=10)).query("quality == 0")
    assert used[["station", "level"]].values.tolist() == [["S00", 850.0], ["S00", 500.0]]
