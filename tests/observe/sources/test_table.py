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
FORMAT_COLUMNS = {name: name for name in ("time", "latitude", "longitude", "station")}
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
        ("", {}, "is empty"),
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


def test_times_with_and_without_a_zone_may_be_mixed(tmp_path):
    times = ["2000-01-01T12:00+01:00", "2000-01-01T12:00", "2000-01-01 12:00:00Z", "20000102"]
    text = "time,latitude,longitude,station,p\n" + "".join(f"{time},50,10,a,1000\n" for time in times)
    hours = written(tmp_path, text)["time"].tolist()
    assert hours == [pd.Timestamp(f"2000-01-01T{hour}:00") for hour in (11, 12, 12)] + [pd.Timestamp("2000-01-02")]


def test_dates_that_are_whole_numbers_are_dates(tmp_path):
    found = written(tmp_path, "time,latitude,longitude,station,p\n20000131,50,10,a,1000\n", hour_of_dates=6)
    assert found["time"].tolist() == [pd.Timestamp("2000-01-31T06")]


def test_what_is_no_time_and_no_number_is_counted(tmp_path, capsys):
    text = "time,latitude,longitude,station,p\n01/02/2000,50,10,a,1000\n2000-01-02,50,10,a,much\n2000-01-03,50,10,a,1\n"
    found = written(tmp_path, text)
    assert found["value"].tolist() == [1e5, 100.0] and found["time"].isna().tolist() == [True, False]
    said = capsys.readouterr().out
    assert "1 of 3 times in 'time' are not ISO 8601" in said and "1 values of 'p' are no numbers ('much'" in said


def test_rows_without_an_elevation_are_kept(tmp_path):
    columns = FORMAT_COLUMNS | {"elevation": "h"}
    found = written(tmp_path, "time,latitude,longitude,station,h,p\n2000-01-01,5,6,a,,1000\n", columns=columns)
    assert found["elevation"].isna().all() and found["value"].tolist() == [1e5]
    assert written(tmp_path, "time,latitude,longitude,station,p\n2000-01-01,5,6,a,1\n")["elevation"].isna().all()


def test_codes_in_a_column_of_numbers_are_chosen_by_their_words(tmp_path):
    values = [FORMAT["values"][0] | {"where": {"code": ["7"]}}]
    text = "time,latitude,longitude,station,code,p\n2000-01-01,5,6,a,7,1000\n2000-01-01,5,6,b,8,1000\n"
    assert written(tmp_path, text, values=values)["station"].tolist() == ["a"]


PRESSURE = [{"column": "p", "quantity": "surface_air_pressure", "units": "hPa"}]


def test_names_of_stations_are_texts_and_keep_their_zeros(tmp_path):
    """Also beside a row without a name, and in a list in another format."""
    (tmp_path / "a.csv").write_text(
        "time,latitude,longitude,station,p\n2000-01-31T12:00,50,10,03772,1000\n2000-01-31T18:00,50,10,,1001\n"
    )
    found = table.read(tmp_path / "a.csv", TableFormat(values=PRESSURE))
    assert found["station"].iloc[0] == "03772"
    (tmp_path / "list.csv").write_text("station,latitude,longitude\n03772,51,0\n")
    pd.DataFrame({"time": ["2000-01-31T12:00"], "station": ["03772"], "p": [1000.0]}).to_parquet(tmp_path / "b.parquet")
    joined = table.read(tmp_path / "b.parquet", TableFormat(values=PRESSURE), tmp_path / "list.csv")
    assert (joined["station"].item(), joined["latitude"].item()) == ("03772", 51.0)


def test_the_hour_of_dates_is_of_dates_alone(tmp_path):
    (tmp_path / "a.csv").write_text(
        "time,latitude,longitude,station,p\n2000-01-31,50,10,a,1000\n2000-01-31T18:00,50,10,a,1001\n"
    )
    found = table.read(tmp_path / "a.csv", TableFormat(values=PRESSURE, hour_of_dates=12))
    assert list(found["time"].dt.hour) == [12, 18]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"time": "time", "lat": "lat", "latitude": "lat", "longitude": "lon"}, "unknown: lat; columns are named by"),
        ({"latitude": "lat", "longitude": "lon"}, "lacks time"),
    ],
)
def test_a_map_of_columns_that_cannot_be_meant_is_refused(columns, says):
    with pytest.raises(ValueError, match=says):
        TableFormat(columns=columns, values=PRESSURE)
