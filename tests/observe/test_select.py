"""The observations of a network: its own stations, withheld and denied ones with their codes, nothing else."""

import json

import numpy as np
import pandas as pd
import pytest

from hindsight.fields import observations as tables
from hindsight.fields.usage import CODES
from hindsight.observe import select
from hindsight.settings import DomainWithoutPeriods, Observe
from hindsight.settings.observe import Network
from hindsight.settings.reports import Reports

TIMES = pd.date_range("2009-01-01T12", periods=6)


def screened():
    """Reports of five stations at six times; one is repeated and one has failed a check."""
    rows = [
        {"time": time, "latitude": 45.0 + n, "longitude": 3.0, "level": np.nan, "channel": "msl", "value": 101000.0 + n}
        | {"error": 80.0, "platform": "land", "station": f"S{n}", "quality": 0, "withheld": False, "source": "t:a"}
        | {"footprint": "", "elevation": 5.0, "time_weights": "-1:0.1 0:0.9", "bias": 20.0, "reasons": 0}
        | {"innovation": 100.0}
        for time in TIMES
        for n in range(5)
    ]
    table = pd.DataFrame(rows)
    table.loc[(table["station"] == "S1") & (table["time"] == TIMES[2]), ["quality", "reasons"]] = [9, 1 << 9]
    return pd.concat([table, table[(table["station"] == "S0") & (table["time"] == TIMES[3])]], ignore_index=True)


def observe(**network):
    reports = {"a": Reports(source="madis", files=["*.nc"])}
    return Observe(networks={"n": {"kind": "reports", "withheld": 0, **network}}, reports=reports)


def run(folder, capsys, lists=(), **network):
    screened().to_parquet(folder / "part.parquet", index=False)
    names = {"network": "n", "shard": "20090102T12_4", "screened": [folder / "part.parquet"], "lists": list(lists)}
    out = folder / "out.parquet"
    select.run(DomainWithoutPeriods(channels=["msl"], step_hours=24), observe(**network), **names, observations=out)
    return tables.read([out]), capsys.readouterr().err


def test_the_frames_and_stations_of_the_network_with_their_codes(tmp_path, capsys):
    (tmp_path / "l.json").write_text(json.dumps({"mine": ["S0", "S1", "S2"]}))
    denied = [{"station": "S2", "start": "2009-01-04", "reason": "drift"}]
    table, said = run(
        tmp_path,
        capsys,
        [tmp_path / "l.json"],
        use={"file": "l.json", "list": "mine"},
        withhold={"stations": ["S4"]},
        denied=denied,
    )
    assert sorted(table["station"].unique()) == ["S0", "S1", "S2", "S4"]  # S3 is neither used nor withheld
    assert table["time"].min() == TIMES[1] and table["time"].max() == TIMES[4]
    assert (table["withheld"] == (table["station"] == "S4")).all()
    codes = table.groupby(["station", "quality"]).size().to_dict()
    assert codes == {("S0", 0): 4, ("S0", 5): 1, ("S1", 0): 3, ("S1", 9): 1, ("S2", 0): 2, ("S2", 10): 2, ("S4", 0): 4}
    assert (table.loc[table["quality"] == 10, "reasons"] == 1 << CODES["station denied"]).all()
    assert "9 of 17 rows are used" in said and "1 far from its neighbours" in said and "2 station denied" in said
    assert (table["time_weights"] == "-1:0.1 0:0.9").all() and (table["bias"] == 20).all()


def test_frames_without_an_observation_are_told(tmp_path, capsys):
    table, said = run(tmp_path, capsys, use=["S9"], withhold={"stations": ["S4"]})
    assert table["withheld"].all() and "4 of 4 frames have no observation, the first 2009-01-02T12" in said


def test_a_network_trusts_all_its_reports_by_its_factor(tmp_path, capsys):
    """Used and withheld ones; what neighbours have in common is counted on top."""
    table, _ = run(tmp_path, capsys, error_factor=0.5, withhold={"stations": ["S4"]})
    assert (table["error"] == 40.0).all() and table["withheld"].any()
    alike, _ = run(tmp_path, capsys, error_factor=0.5, thinning={"correlation": 0.25, "reach_km": 1000})
    assert alike["error"][alike["quality"] == 0].max() == 40.0 * np.sqrt(1 + 4 * 0.25)


def test_a_simulated_network_has_no_factor():
    with pytest.raises(ValueError, match="error_factor is for networks of kind 'reports'"):
        Network(kind="random", error_factor=0.5)


@pytest.mark.parametrize("given", [{"error": 50.0}, {"noise": 0.1}])
def test_reports_have_no_noise_or_error_of_a_simulated_network(given):
    with pytest.raises(ValueError, match="noise and error are of simulated networks"):
        Network(kind="reports", **given)


@pytest.mark.parametrize("hours", [7, 36, 48])
def test_reports_come_at_the_same_hours_of_every_day(hours):
    with pytest.raises(ValueError, match="must divide the 24 hours of a day"):
        Network(kind="random", every_hours=hours)
