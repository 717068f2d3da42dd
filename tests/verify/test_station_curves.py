"""Curves at stations: which stations, which rows, and an interval that holds nine tenths of what it should."""

import numpy as np
import pandas as pd
import pytest

from hindsight.verify import station_curves, style
from tests.verify import worlds


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    found = worlds.summarised(folder, worlds.make(folder, worlds.BOX, shard=16))
    return pd.read_csv(found["stations"]), sorted((folder / "feedback").rglob("*.parquet"))


def test_withheld_stations_with_small_median_and_large_errors_are_chosen(world):
    stations, _ = world
    found = station_curves.choose(stations, "sparse")
    assert set(found["use"]) == {"withheld"} and found.groupby("channel").size().tolist() == [3, 3]
    assert all(np.all(np.diff(part["rmse"]) > 0) for _, part in found.groupby("channel"))
    used = station_curves.choose(stations[stations["use"] == "used"], "sparse")
    assert set(used["use"]) == {"used"} and len(used) == 6
    assert station_curves.choose(stations, "another").empty


def test_rows_are_those_of_the_stations_between_two_times(world):
    stations, feedback = world
    chosen = station_curves.choose(stations, "sparse")
    ends = np.array(["2009-01-10", "2009-01-29T12"], "datetime64[ns]")
    found = station_curves.read(feedback, chosen, ends)
    whole = pd.concat(map(pd.read_parquet, feedback))
    mine = whole[whole["station"].isin(chosen["station"]) & whole["time"].between(*map(pd.Timestamp, ends))]
    assert len(found) == len(mine) == 3 * 2 * 20 * len(worlds.KINDS)
    assert station_curves.read(feedback, chosen.iloc[:0], ends).empty


def test_curves_are_observed_values_less_departures(world):
    stations, feedback = world
    chosen = station_curves.choose(stations, "sparse")
    found = station_curves.read(feedback, chosen, np.array(["2009-01-01", "2009-02-10"], "datetime64[ns]"))
    figure = station_curves.draw(found, chosen, "truth")
    first = chosen.iloc[0]
    rows = found[(found["station"] == first["station"]) & (found["channel"] == first["channel"])]
    ours = rows[rows["analysis"] == "diffusion"].sort_values("time")
    curves = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert set(curves) == {"diffusion", "observed", "truth", "optimal interpolation"}
    np.testing.assert_allclose(curves["diffusion"], ours["obsvalue"] - ours["an_depar"])
    np.testing.assert_allclose(curves["truth"], ours["obsvalue"] - ours["reference_depar"])
    assert figure.axes[0].get_title(loc="left").startswith(f"{first['station']}, withheld, ")
    style.plt.close(figure)


def test_the_band_holds_nine_tenths_of_calibrated_observations():
    departures = 5 * np.random.default_rng(0).standard_normal(4000)
    rows = pd.DataFrame(
        {
            "analysis": "diffusion", "time": pd.date_range("2009-01-01", periods=4000, freq="h"), "station": "a",
            "channel": "msl", "biascorr": 2.0, "obs_error": 3.0, "an_spread": 4.0, "reference_depar": np.nan,
            "an_depar": departures, "obsvalue": 100_007 + departures,
        }
    )  # fmt: skip
    chosen = pd.DataFrame({"station": ["a"], "channel": "msl", "use": "used", "latitude": 50.0, "longitude": 1.0})
    figure = station_curves.draw(rows, chosen, "")
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    low, high = band.min() - 100_005, band.max() - 100_005
    assert np.mean((departures > low) & (departures < high)) == pytest.approx(0.9, abs=0.015)
    style.plt.close(figure)


def test_the_band_of_rain_does_not_reach_below_none():
    times = pd.date_range("2010-08-26", periods=4, freq="h")
    rows = pd.DataFrame(
        {
            "analysis": "diffusion", "time": times, "level": np.nan, "channel": "rain", "station": "a", "code": 0,
            "biascorr": 0.0, "obs_error": 0.0, "an_spread": 2.0, "reference_depar": np.nan, "an_depar": 0.0,
            "obsvalue": [0.0, 1.0, 2.0, 10.0],
        }
    )  # fmt: skip
    chosen = pd.DataFrame(
        {"channel": ["rain"], "station": ["a"], "use": ["used"], "latitude": [0.0], "longitude": [0.0]}
    )
    figure = station_curves.draw(rows, chosen, "truth")
    (band,) = figure.axes[0].collections
    ends = band.get_paths()[0].vertices[:, 1]
    assert ends.min() == 0 and np.isclose(ends.max(), 10 + 2 * station_curves.NORMAL)
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert 2 <= len(labels) <= 6
    style.plt.close(figure)
