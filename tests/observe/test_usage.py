"""Usage of a network's observations: all its shards, and its list of stations."""

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import store
from hindsight.observe import usage
from hindsight.settings import DomainWithoutPeriods
from tests.fields.test_usage import table


def test_the_rows_of_all_shards_and_of_the_list_are_counted(tmp_path, capsys):
    start = np.datetime64("2009-01-01T06", "ns")
    table([{}, {"time": start + np.timedelta64(7, "m")}, {"value": -9999.0}]).to_parquet(tmp_path / "a.parquet")
    table([{"time": start + np.timedelta64(12, "h")}, {"time": start - np.timedelta64(6, "h")}]).to_parquet(
        tmp_path / "b.parquet"
    )
    times = start + np.arange(4) * np.timedelta64(6, "h")
    axes = {"time": times, "latitude": np.arange(40.0, 50), "longitude": np.arange(-3.0, 3)}
    store.write(xr.Dataset({"fields": (tuple(axes), np.zeros((4, 10, 6)))}, axes), tmp_path / "fields.zarr")
    (tmp_path / "list.csv").write_text("station,lat,lon\nA,45,1\nA,45,1\nB,45,9\nC,-9999,1\nD,,\nE,0,0\n")
    usage.run(
        DomainWithoutPeriods(channels=["msl"], step_hours=6),
        network="net",
        fields=tmp_path / "fields.zarr",
        observations=[tmp_path / "a.parquet", tmp_path / "b.parquet"],
        station_list=[tmp_path / "list.csv"],
        usage=tmp_path / "usage.csv",
    )
    found = pd.read_csv(tmp_path / "usage.csv").fillna("")
    assert found.drop(columns="code").values.tolist() == [
        ["station list", "", "used", 1],
        ["synop", "msl", "used", 2],
        ["station list", "", "outside the domain", 1],
        ["station list", "", "duplicate", 1],
        ["synop", "msl", "not at a frame's time", 2],
        ["synop", "msl", "missing value", 1],
        ["station list", "", "invalid position", 3],
    ]
    assert "network net: 3 of 11 rows are used; not used: 1 outside the domain, " in capsys.readouterr().err
