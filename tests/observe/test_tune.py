"""Observation errors estimated from reports with known errors of a field with a known covariance."""

import numpy as np
import pandas as pd
import pytest
import yaml

from hindsight.observe import tune
from hindsight.observe.neighbours import Neighbours
from hindsight.operators.rows import normalise
from hindsight.settings.quality import Measurement, Quality
from tests.observe.test_screen import ERROR, GRID, SCALING, SIZE, prior, reports, screened


def table(assumed, seed=0):
    """Reports of two kinds: `good` with the error `ERROR`, `poor` with twice that, both assumed to have another."""
    rows = reports(seed)
    number = rows["station"].str[1:].astype(int)
    more = np.random.default_rng([seed, 1]).standard_normal(len(rows)) * ERROR * np.sqrt(3)
    poor = (number % 3 == 0).to_numpy()
    rows = rows.assign(value=rows["value"] + np.where(poor, more, 0.0), kind=np.where(poor, "poor", "good"))
    return rows.assign(error=assumed)


def estimated(rows, **settings):
    quality = Quality(**{"modes": SIZE, "correlated_share": 0.0} | settings)
    judge = Neighbours(prior(), quality, rows, normalise(rows, ["msl"], GRID, SCALING, 24), 24)
    rows = rows.assign(from_others=0.0, from_others_spread=1.0) if "from_others" not in rows else rows
    return tune.estimate(rows, judge).set_index("kind")


@pytest.mark.parametrize("assumed", [0.15, 0.45, 1.0])
def test_known_errors_are_found_whatever_was_assumed(assumed):
    found = estimated(table(assumed))
    assert found["used_error"].tolist() == pytest.approx([assumed] * 2) and found["reports"].sum() == 120 * SIZE
    assert found.loc["good", "error"] == pytest.approx(ERROR, rel=0.03)
    assert found.loc["poor", "error"] == pytest.approx(2 * ERROR, rel=0.03)


def test_one_frame_by_hand():
    """d_a d of three reports with dense algebra, the errors of the second group doubled."""
    rows = reports().query("time == time.min()").iloc[[3, 11, 20]].reset_index(drop=True).assign(kind=["a", "b", "b"])
    judge = Neighbours(
        prior(), Quality(modes=SIZE, correlated_share=0.0), rows, normalise(rows, ["msl"], GRID, SCALING, 24), 24
    )
    sample = tune.sample_frames(judge, np.array([0, 1, 1]))
    product, assumed = sample.sums(np.array([1.0, 2.0]))
    process = prior()
    functions = (process.modes.matrix * process.variance.sqrt()).numpy()[[3, 11, 20]]
    errors, value = np.diag(np.array([1, 4, 4]) * ERROR**2), rows["value"].to_numpy()
    analysed = functions @ functions.T @ np.linalg.solve(functions @ functions.T + errors, value)
    by_hand = (value - analysed) * value
    np.testing.assert_allclose(product, [[by_hand[0], by_hand[1:].sum()]], rtol=1e-4)
    np.testing.assert_allclose(assumed, [[ERROR**2, 8 * ERROR**2]])


def test_intervals_hold_the_truth_about_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr(tune, "FRAMES", 40)
    inside, width = [], []
    for seed in range(8):
        found = estimated(table(0.5, seed))
        truth = found.index.map({"good": ERROR, "poor": 2 * ERROR}).to_numpy()
        inside += ((found["low"] <= truth) & (truth <= found["high"])).tolist()
        width += ((found["high"] - found["low"]) / truth).tolist()
    assert sum(inside) >= 13 and np.max(width) < 0.3  # of 16 at 95 %: 15.2; 12 or fewer by a chance of 0.1 %


def test_departures_from_other_stations_give_the_error_too():
    """From the columns that `observe.screen` writes, with the right error assumed."""
    rows = screened(reports(), neighbours=100.0).assign(kind="all")
    assert estimated(rows).loc["all", "error_by_other_stations"] == pytest.approx(ERROR, rel=0.1)


def test_few_reports_give_no_estimate():
    rows = table(0.3).assign(kind=lambda rows: np.where(rows.index == 5, "rare", rows["kind"]))
    found = estimated(rows)
    assert found.loc["rare", ["error", "low", "high"]].isna().all() and found.loc["good", "error"] > 0


def test_the_settings_keep_everything_but_the_error():
    found = pd.DataFrame(
        {
            "kind": ["mean", "air_temperature", "air_temperature", "rare"],
            "channel": ["sp", "t850", "t500", "msl"],
            "platform": ["land", "sonde", "sonde", "land"],
            "reports": [100, 100, 300, 3],
            "error": [71.234, 2.0, 1.0, np.nan],
        }
    )
    given = [Measurement(kind="mean", error=100, representativeness=50, weights={-1: 0.1, 0: 0.8, 1: 0.1})]
    given += [Measurement(quantity="air_temperature", error=1.0, time="nearest_frame", error_per_hour=0.3)]
    written = yaml.safe_load(tune.as_settings(found, given))["measurements"]
    read = [Measurement.model_validate(entry) for entry in written]
    assert read[0] == given[0].model_copy(update={"platform": "land", "error": 71.2, "representativeness": 0.0})
    assert read[1].error == pytest.approx(np.sqrt((100 * 4 + 300) / 400), rel=0.01) and read[1].time == "nearest_frame"
    assert read[1].error_per_hour == 0  # the estimate contains it
    assert len(read) == 2
