"""Screening of reports: estimates by others against brute force, planted gross errors, biases, correlated errors."""

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Empirical
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.fields.usage import CODES, NEIGHBOURS
from hindsight.observe import neighbours, screen
from hindsight.observe.neighbours import Neighbours
from hindsight.operators.rows import normalise
from hindsight.settings.quality import Bias, Quality

GRID = Grid(np.linspace(40.0, 50.0, 6), np.linspace(0.0, 15.0, 7))
SIZE, FRAMES, ERROR = 42, 120, 0.3
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(FRAMES) * np.timedelta64(24, "h")
SCALING = Scaling(np.zeros((1, 1, *GRID.shape)), np.ones(1), 0, 0)


def prior():
    """Smooth fields of unit variance that persist from day to day."""
    north, east = (axis.ravel() for axis in np.meshgrid(GRID.latitude, GRID.longitude, indexing="ij"))
    distance = np.hypot(north[:, None] - north, (east[:, None] - east) * 0.7)
    variance, vectors = np.linalg.eigh(np.exp(-0.5 * (distance / 4) ** 2) + 1e-6 * np.eye(SIZE))
    order = np.argsort(variance)[::-1].copy()
    tensors = (torch.tensor(a[..., order].copy(), dtype=torch.float32) for a in (vectors, variance))
    return GaussMarkov(Empirical(next(tensors)), next(tensors), torch.zeros(0, 0, 0), torch.full((SIZE,), 0.6))


def reports(seed=0, every=1):
    """Reports of a draw from the prior at all points, one in each frame, with Gaussian errors."""
    process, generator = prior(), np.random.default_rng(seed)
    coefficients = generator.standard_normal((FRAMES, SIZE))
    for t in range(1, FRAMES):
        coefficients[t] = 0.6 * coefficients[t - 1] + 0.8 * coefficients[t]
    truth = process.modes.expand(torch.tensor(coefficients, dtype=torch.float32) * process.variance.sqrt()).numpy()
    places = np.arange(0, SIZE, every)
    t, n = (a.ravel() for a in np.meshgrid(np.arange(FRAMES), places, indexing="ij"))
    north, east = (axis.ravel() for axis in np.meshgrid(GRID.latitude, GRID.longitude, indexing="ij"))
    return pd.DataFrame(
        {
            "time": TIMES[t],
            "latitude": north[n],
            "longitude": east[n],
            "level": np.nan,
            "channel": "msl",
            "value": truth[t, n] + ERROR * generator.standard_normal(len(t)),
            "error": ERROR,
            "platform": "land",
            "station": [f"S{k:02d}" for k in n],
            "quality": 0,
            "withheld": False,
            "source": "test",
            "footprint": "",
            "bias": 0.0,
            "reasons": 0,
        }
    )


def screened(table, **settings):
    quality = Quality(**{"modes": SIZE, "correlated_share": 0.0, "bias": Bias(days=None)} | settings)
    rows = normalise(table, ["msl"], GRID, SCALING, 24)
    judge = Neighbours(prior(), quality, table, rows, 24)
    return screen.screen(judge, table, rows, np.ones(len(table), bool), quality, "test").sort_index()


def test_estimates_are_regressions_on_the_others_by_brute_force():
    """One day of twelve stations: from all others, and from other stations, of the days before and after."""
    table = reports(every=4).query("time <= @TIMES[2]").reset_index(drop=True)
    found = screened(table, neighbours=100.0)
    process = prior()
    functions = (process.modes.matrix * process.variance.sqrt()).numpy()[::4]
    day = ((table["time"] - TIMES[0]) / pd.Timedelta("1D")).to_numpy(int)
    covariance = (functions @ functions.T)[np.ix_(*[np.tile(np.arange(11), 3)] * 2)] * 0.6 ** np.abs(day[:, None] - day)
    covariance += ERROR**2 * np.eye(33)
    value = table["value"].to_numpy()
    for number in (11 + 2, 11 + 7):
        for name, others in (
            ("departure", np.delete(np.arange(33), number)),
            ("from_others", np.flatnonzero(table["station"] != table["station"][number])),
        ):
            gain = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, number])
            variance = covariance[number, number] - gain @ covariance[others, number]
            assert found[name][number] == pytest.approx(value[number] - gain @ value[others], abs=2e-3)
            assert found[f"{name}_spread"][number] == pytest.approx(np.sqrt(variance), abs=1e-3)


def test_gross_errors_are_found_and_good_reports_stay():
    table, generator = reports(), np.random.default_rng(5)
    planted = generator.random(len(table)) < 0.01
    spoilt = table.assign(value=table["value"] + planted * 8 * ERROR * generator.choice([-1, 1], len(table)))
    found = screened(spoilt, neighbours=3.5)
    rejected = (found["quality"] == CODES[NEIGHBOURS]).to_numpy()
    assert rejected[planted].mean() > 0.95 and rejected[~planted].mean() < 0.002
    assert (found["reasons"][rejected] == 1 << CODES[NEIGHBOURS]).all() and len(found) == len(table)


def test_departures_have_the_spread_that_is_claimed():
    found = screened(reports(), neighbours=100.0)
    for name in ("departure", "from_others", "innovation"):
        assert (found[name] / found[f"{name}_spread"]).std() == pytest.approx(
            1, abs=0.08
        )  # modes of long waves have few independent days


def test_the_bias_of_a_station_is_found_and_subtracted():
    table = reports()
    wrong = np.where(table["station"] == "S17", 0.6, 0.0)
    found = screened(table.assign(value=table["value"] + wrong), bias=Bias(days=90))
    of = found.groupby("station")["bias"].mean()
    assert of["S17"] == pytest.approx(0.6, abs=0.15) and of.drop("S17").abs().max() < 0.2
    np.testing.assert_allclose(found["value"] + found["bias"], table["value"] + wrong, atol=1e-9)


def test_platforms_that_anchor_the_others_are_not_corrected():
    found = screened(reports().assign(platform="sonde"), bias=Bias(days=90))
    assert (found["bias"] == 0).all()


def test_many_rows_are_judged_in_groups_of_neighbours_with_almost_the_same_result(monkeypatch):
    table = reports().query("time < @TIMES[6]").reset_index(drop=True)
    whole = screened(table, neighbours=100.0)
    monkeypatch.setattr(neighbours, "LARGEST", 80)
    monkeypatch.setattr(neighbours, "TOGETHER", 12)
    parts = screened(table, neighbours=100.0)
    assert np.abs(parts["departure"] - whole["departure"]).std() < 0.1 * ERROR
    assert np.corrcoef(parts["departure"], whole["departure"])[0, 1] > 0.995


def test_common_errors_make_neighbours_less_trusted():
    table = reports()
    alone, alike = (screened(table, correlated_share=share, neighbours=100.0) for share in (0.0, 0.7))
    assert (alike["departure_spread"] < alone["departure_spread"]).all()  # a common error cancels in a difference


def test_calibrated_reports_have_bias_and_error_of_their_station(tmp_path):
    table = reports().iloc[:60].assign(error=1.0)
    path = tmp_path / "c.csv"
    path.write_text("station,channel,reports,bias,error\nS00,msl,300,0.5,0.8\nS01,msl,300,-0.2,0.1\n")
    found = screen.calibrated(table, [path])
    of = found.groupby("station")[["bias", "error"]].first()
    assert of.loc["S00"].tolist() == [0.5, 0.8] and of.loc["S01"].tolist() == [
        -0.2,
        0.5,
    ]  # half of that of the settings
    assert of.loc["S02"].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(found["value"], table["value"] - found["bias"])
    assert screen.calibrated(table, []) is table


def test_an_interval_without_reports_is_screened_to_an_empty_table():
    found = screened(reports().iloc[:0])
    assert found.empty and {"innovation", "departure", "from_others", "bias"} <= set(found)
