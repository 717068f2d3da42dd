"""Proposals for denial: planted drifts, steps, dead sensors and unreliable months, and no good station among them."""

import numpy as np
import pandas as pd

from hindsight.fields.usage import CODES, NEIGHBOURS
from hindsight.observe import choice, denials
from hindsight.settings.quality import Quality, read_denials

DAYS, ERROR = 900, 80.0


def screened(seed=0, stations=12):
    """Screened reports of good stations, each with a constant bias and departures that last a few days."""
    generator, parts = np.random.default_rng(seed), []
    for number in range(stations):
        noise = generator.standard_normal(DAYS + 2)
        departure = ERROR * (noise[2:] + noise[1:-1] + noise[:-2]) / 3.5
        bias = generator.normal(0, 100)
        part = {"time": pd.date_range("2000-01-01T12", periods=DAYS), "station": f"S{number:02d}", "channel": "msl"}
        part |= {"value": 101000 + 900 * generator.standard_normal(DAYS), "error": ERROR, "bias": bias, "quality": 0}
        part |= {"from_others": departure, "from_others_spread": 70.0, "departure": departure}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def spoilt(station, change):
    """The reports with a function of the day added to the departures of one station."""
    table = screened()
    of = table["station"] == station
    table.loc[of, "from_others"] += change(np.arange(DAYS))
    return table


def test_good_stations_are_not_proposed():
    assert denials.propose(screened(), Quality()).empty


def test_a_drift_of_two_errors_a_year_is_found_within_the_year():
    found = denials.propose(spoilt("S03", lambda day: 2 * ERROR * np.maximum(day - 365, 0) / 365), Quality())
    assert set(found["station"]) == {"S03"} and found["reason"].iloc[0].startswith("drift")
    assert pd.Timestamp("2001-01-01") < found["start"].iloc[0] < pd.Timestamp("2001-12-31")


def test_a_step_is_found_with_its_time_and_size_and_only_while_it_lasts():
    found = denials.propose(spoilt("S05", lambda day: np.where((day > 300) & (day < 600), -400.0, 0.0)), Quality())
    assert found["station"].tolist() == ["S05"] and found["reason"].iloc[0].startswith("step")
    assert abs((found["start"].iloc[0] - pd.Timestamp("2000-10-27")).days) < 31
    assert abs((found["end"].iloc[0] - pd.Timestamp("2001-08-23")).days) < 31
    assert abs(found["size"].iloc[0] + 400) < 100


def test_a_step_within_the_uncertainty_of_the_neighbours_is_not_proposed():
    table = spoilt("S05", lambda day: np.where(day > 450, 200.0, 0.0)).assign(from_others_spread=400.0)
    assert denials.propose(table, Quality()).empty


def test_months_of_rejected_reports_and_a_value_that_stands_still_are_found():
    table = screened()
    day = (table["time"] - table["time"].min()).dt.days
    table.loc[(table["station"] == "S01") & day.between(400, 500), "quality"] = CODES[NEIGHBOURS]
    table.loc[(table["station"] == "S02") & day.between(200, 215), "value"] = 101325.0
    found = denials.propose(table, Quality()).set_index("station")
    assert found.loc["S01", "reason"].startswith("unreliable") and found.loc["S02", "reason"].startswith("dead")
    assert len(found) == 2 and found.loc["S02", "reports"] == 16


def test_the_usual_level_is_where_most_months_are():
    months = np.concatenate([np.linspace(-5, 5, 12), np.linspace(20, 300, 17)])
    assert abs(denials.usual_level(months)) < 3
    assert denials.usual_level(np.array([4.0, 5.0])) == 4.5


def test_the_file_of_proposals_can_be_given_as_a_list_of_denials(tmp_path):
    found = denials.propose(spoilt("S03", lambda day: 2 * ERROR * np.maximum(day - 365, 0) / 365), Quality())
    found.to_csv(tmp_path / "list.csv", index=False)
    read = read_denials(tmp_path / "list.csv")
    assert [(one.station, one.channel) for one in read] == [(row.station, row.channel) for row in found.itertuples()]
    denied = screened()[choice.is_denied(screened(), read)]
    assert set(denied["station"]) == {"S03"} and len(denied) == found["reports"].sum()
