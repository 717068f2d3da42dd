"""PREPBUFR of five cycles from 1 January 1989."""

import numpy as np
import pandas as pd
import pytest

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.sources import prepbufr
from tests.observe.sources import real

FILE = "obs_prepbufr_19890101/prepbufr_19890101.parquet"


@pytest.fixture(scope="module")
def found():
    return prepbufr.read(real.file(FILE))


def test_what_the_file_holds_by_number(found):
    table = pd.read_parquet(real.file(FILE))
    assert len(table) == 234389 and len(found) > 601710
    assert real.counts(found)["air_temperature"] == table["TOB"].notna().sum() == 104440
    assert real.counts(found)["eastward_wind"] == table["UOB"].notna().sum() == 128010
    assert found["flag"].value_counts()["rejected"] == 12542 and set(found["flag"]) == {
        "good",
        "unchecked",
        "rejected",
        "suspect",
    }


def test_marks_of_four_and_more_are_rejected(found):
    table = pd.read_parquet(real.file(FILE))
    there = table[table["TOB"].notna()]
    marks = there[["TQM", "PQM"]].max(axis=1)
    flags = found.loc[found["quantity"] == "air_temperature", "flag"].to_numpy()
    np.testing.assert_array_equal(flags == "rejected", (marks >= 4).to_numpy())


def test_surface_levels_have_no_level_and_others_have(found):
    assert found.loc[found["quantity"] == "surface_air_pressure", "pressure"].isna().all()
    aloft = found[found["platform"].isin(["aircraft", "satellite"])]
    assert aloft["pressure"].notna().all()
    height = found[(found["quantity"] == "geopotential") & (found["flag"] != "rejected")]
    median = height.groupby("pressure")["value"].median() / 9.80665
    assert 5000 < median[500] < 5950


def test_missing_columns_are_named(tmp_path):
    pd.DataFrame({"time": [0]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="lacks the column.*msgtype"):
        prepbufr.read(tmp_path / "a.parquet")


def test_other_message_types_are_counted_and_levels_without_a_pressure_are_not_the_surface(tmp_path):
    row = {"time": pd.Timestamp("2000-01-01"), "station": "A", "lat": 1.0, "lon": 2.0, "elev": 0.0, "CAT": 1}
    values = {"POB": np.nan, "PQM": 2.0, "TOB": 3.0, "TQM": 2.0, "QQM": 2.0, "ZQM": 2.0, "WQM": 2.0}
    row |= values | dict.fromkeys(("QOB", "ZOB", "UOB", "VOB"), np.nan)
    pd.DataFrame([row | {"msgtype": kind} for kind in ("ADPUPA", "GOESND", "GOESND")]).to_parquet(
        tmp_path / "a.parquet"
    )
    said = []
    found = prepbufr.read(tmp_path / "a.parquet", said.append)
    assert found["pressure"].tolist() == [reports.UNKNOWN] and found["value"].tolist() == [276.15]
    assert len(said) == 1 and "left out: 2 GOESND" in said[0]
