"""Reports become observations of frames: times, weights, errors, codes; a damaged file costs itself."""

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import intervals, perturbations
from hindsight.fields import observations as tables
from hindsight.fields.usage import CODES
from hindsight.observe import collect
from hindsight.settings import DomainWithoutPeriods
from hindsight.settings.observe import RealReports

SPAN = intervals.parse("20090101T00_9", 6)
FORMAT = {
    "columns": {"time": "time", "latitude": "lat", "longitude": "lon", "station": "id", "elevation": "height"},
    "values": [
        {"column": "p", "quantity": "air_pressure_at_mean_sea_level", "units": "hPa", "name": "pressure"},
        {"column": "t", "quantity": "air_temperature", "units": "degC", "name": "temperature"},
    ],
}
MEASUREMENTS = [{"kind": "pressure", "error": 100.0}, {"kind": "temperature", "error": 1.5}]


def run(folder, rows, measurements=MEASUREMENTS, spec=None):
    """Collect CSV files of reports on a small grid with a mountain."""
    (folder / "r.csv").write_text("time,id,lat,lon,height,p,t\n" + "\n".join(rows) + "\n")
    axes = {"latitude": [40.0, 45.0, 50.0], "longitude": [0.0, 5.0, 10.0]}
    height = xr.DataArray(np.full((3, 3), 600.0), dims=("latitude", "longitude"))
    xr.Dataset({"orography": height}, axes).to_netcdf(folder / "static.nc")
    spec = spec or {"source": "table", "files": ["*.csv"], "table": FORMAT}
    settings = RealReports(reports={"mine": spec}, measurements=measurements)
    names = {"reports": "mine", "interval": SPAN.name, "data": folder, "static": folder / "static.nc"}
    domain = DomainWithoutPeriods(channels=["msl", "t2m"], step_hours=6)
    collect.run(domain, settings, observations=folder / "out.parquet", **names)
    return tables.read([folder / "out.parquet"])


def test_a_report_between_two_frames_is_interpolated_between_them(tmp_path):
    table = run(tmp_path, ["2009-01-01T06:00Z,A,45,5,10,1010.0,", "2009-01-01T07:30+00:00,A,45,5,10,1011.0,"])
    assert table["time"].tolist() == [pd.Timestamp("2009-01-01T06")] * 2 and table["value"].tolist() == [101000, 101100]
    assert table["time_weights"].tolist() == ["", "0:0.75 1:0.25"] and (table["error"] == 100).all()
    assert (table["source"] == "table:mine").all() and (table["elevation"] == 10).all()


def test_the_nearest_frame_gets_an_error_that_grows_with_the_time_to_it(tmp_path):
    nearest = [{"kind": "pressure", "error": 100.0, "time": "nearest_frame", "error_per_hour": 50.0}]
    table = run(tmp_path, ["2009-01-01T10:30Z,A,45,5,10,1011.0,"], nearest)
    assert table["time"].iloc[0] == pd.Timestamp("2009-01-01T12") and "time_weights" not in table
    assert np.isclose(table["error"].iloc[0], np.hypot(100, 75))


def test_zones_and_times_outside_of_the_interval(tmp_path):
    rows = ["2009-01-01T07:00+01:00,A,45,5,10,1010.0,", "2008-12-31T18:00Z,B,45,5,10,1010.0,"]
    table = run(tmp_path, [*rows, "2009-01-03T06:00Z,C,45,5,10,1010.0,"])
    assert table["station"].tolist() == ["A"] and table["time"].iloc[0] == pd.Timestamp("2009-01-01T06")


def test_reports_that_cannot_be_used_are_kept_with_all_their_codes(tmp_path):
    rows = [
        "2009-01-01T06:00Z,A,45,50,10,1010.0,",
        "2009-01-01T06:00Z,B,45,50,10,10.0,",
        "2009-01-01T06:00Z,C,45,5,10,,7.0",
    ]
    rows += [
        "2009-01-01T06:00Z,D,45,5,610,,7.0",
        "2009-01-01T06:00Z,E,45,5,10,1010.0,",
        "2009-01-01T06:00Z,E,45,5,10,1010.0,",
    ]
    table = run(tmp_path, rows).sort_values("station").set_index("station")
    expected = {"A": ["outside the domain"], "B": ["outside the domain", "unphysical value"]}
    expected |= {"C": ["height far from the model's"], "D": []}
    for station, reasons in expected.items():
        codes = [CODES[reason] for reason in reasons]
        assert table.loc[station, "quality"] == (codes[0] if codes else 0)
        assert table.loc[station, "reasons"] == sum(1 << code for code in codes)
    assert sorted(table.loc["E", "quality"]) == [0, CODES["duplicate"]]


def test_a_damaged_file_costs_itself_and_is_told(tmp_path, capsys):
    (tmp_path / "photo.csv").write_bytes(bytes(range(256)) * 40)
    table = run(tmp_path, ["2009-01-01T06:00Z,A,45,5,10,1010.0,"])
    assert len(table) == 1 and "photo.csv" in capsys.readouterr().err


def test_of_several_reports_for_a_frame_the_nearest_is_used(tmp_path):
    nearest = [{"kind": "pressure", "error": 100.0, "time": "nearest_frame"}]
    rows = [f"2009-01-01T{clock}Z,A,45,5,10,{value}," for clock, value in (("04:00", 1001), ("06:30", 1002))]
    table = run(tmp_path, [*rows, "2009-01-01T08:00Z,A,45,5,10,1003.0,"], nearest)
    assert table["value"].tolist() == [100200, 100300, 100100]
    assert table["quality"].tolist() == [0, CODES["duplicate"], CODES["duplicate"]]


def test_reports_of_a_station_between_the_same_frames_are_all_used(tmp_path):
    table = run(tmp_path, [f"2009-01-01T0{hour}:00Z,A,45,5,10,1010.0," for hour in range(6)])
    assert (table["quality"] == 0).all() and table["time_weights"].nunique() == 6
    assert len(np.unique(perturbations.keys(table))) == 6


def test_a_rejected_report_hides_no_good_one_of_its_station(tmp_path):
    columns = FORMAT["columns"] | {"flag": "flag"}
    spec = {"source": "table", "files": ["f.csv"], "table": FORMAT | {"columns": columns, "flags": {"9": "rejected"}}}
    lines = [f"2009-01-01T06:00Z,A,45,5,10,{value},,{flag}" for value, flag in ((1010, 9), (1011, 0))]
    (tmp_path / "f.csv").write_text("\n".join(["time,id,lat,lon,height,p,t,flag", *lines]))
    table = run(tmp_path, [], spec=spec)
    assert table["quality"].tolist() == [CODES["quality flag"], 0] and table["value"].tolist() == [101000, 101100]


def test_an_interval_without_files_has_no_reports_and_is_told(tmp_path, capsys):
    spec = {"source": "table", "files": ["r_%Y.csv"], "table": FORMAT}
    assert run(tmp_path, [], spec=spec).empty
    assert "no file of r_%Y.csv" in capsys.readouterr().err
