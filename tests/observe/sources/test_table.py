"""Tables with a column map: ten years of European stations, and tables written by hand."""

import numpy as np
import pandas as pd
import pytest

from hindsight.errors import UserError
from hindsight.observe.sources import table
from hindsight.settings.reports import TableFormat
from tests.observe.sources import real

EUROPE = TableFormat.model_validate(
    {
        "columns": {"time": "date", "latitude": "lat", "longitude": "lon", "elevation": "elev_m", "station": "station"},
        "hour_of_dates": 12,
        "values": [
            {"column": "p", "quantity": "air_pressure_at_mean_sea_level", "units": "hPa", "name": "mean_at_sea_level",
             "where": {"quantity": ["mslp_daymean"]}},
            {"column": "p", "quantity": "surface_air_pressure", "units": "hPa",
             "where": {"quantity": ["ps_daymean", "ps_daymidrange"]}},
            {"column": "t_mean", "quantity": "air_temperature", "units": "degC"},
        ],
    }
)  # fmt: skip
FORMAT = {"values": [{"column": "p", "quantity": "surface_air_pressure", "units": "hPa"}]}


def written(tmp_path, text, **changes):
    (tmp_path / "t.csv").write_text(text)
    return table.read(tmp_path / "t.csv", TableFormat.model_validate(FORMAT | changes))


def test_european_stations_by_number():
    file, stations = (real.file(f"obs_europe_daily/{name}") for name in ("obs_daily.parquet", "stations.csv"))
    found = table.read(file, EUROPE, stations)
    raw = pd.read_parquet(file).merge(pd.read_csv(stations), on="station")
    assert found["kind"].value_counts().to_dict() == {
        "mean_at_sea_level": int(raw.loc[raw["quantity"] == "mslp_daymean", "p"].notna().sum()),
        "p": int(raw.loc[raw["quantity"].isin(["ps_daymean", "ps_daymidrange"]), "p"].notna().sum()),
        "t_mean": int(raw["t_mean"].notna().sum()),
    }
    assert set(found["time"].dt.hour) == {12} and found[["latitude", "longitude", "elevation"]].notna().all().all()
    basel = found[(found["station"] == "ECA_BASEL") & (found["time"] == np.datetime64("2000-01-02T12"))]
    assert basel["value"].tolist() == [pytest.approx(103180)]


def test_times_with_a_zone_are_utc_and_units_are_converted(tmp_path):
    found = written(
        tmp_path, "time,latitude,longitude,station,p\n2000-01-01T12:00+02:00,50,10,a,1013.25\n2000-01-02,50,10,a,\n"
    )
    assert found["time"].tolist() == [pd.Timestamp("2000-01-01T10:00")] and found["value"].tolist() == [101325.0]
    assert found["platform"].tolist() == ["land"] and found["flag"].tolist() == ["unchecked"]


def test_codes_of_the_provider_become_flags(tmp_path):
    columns = {"time": "t", "latitude": "y", "longitude": "x", "station": "s", "flag": "q"}
    text = "t,y,x,s,q,p\n2000-01-01,5,6,a,0,1000\n2000-01-01,5,6,b,9,1000\n2000-01-01,5,6,c,,1000\n"
    found = written(tmp_path, text, columns=columns, flags={"0": "good", "9": "rejected"})
    assert found["flag"].tolist() == ["good", "rejected", "unchecked"]


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("time,latitude,station,p\n", {}, r"lacks the column\(s\) longitude .* it has time, latitude, station, p"),
        (
            "time,latitude,longitude,station,p\n",
            {"values": [FORMAT["values"][0] | {"units": "K"}]},
            "cannot be converted to Pa",
        ),
        ("", {}, "cannot be read as a table"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tmp_path, text, changes, message):
    with pytest.raises(UserError, match=message):
        written(tmp_path, text, **changes)


def test_a_station_listed_twice_is_refused(tmp_path):
    (tmp_path / "stations.csv").write_text("station,latitude,longitude\na,1,2\na,1,3\n")
    (tmp_path / "t.csv").write_text("time,station,p\n2000-01-01,a,1000\n")
    with pytest.raises(UserError, match="lists 'a' more than once"):
        table.read(tmp_path / "t.csv", TableFormat.model_validate(FORMAT), tmp_path / "stations.csv")
