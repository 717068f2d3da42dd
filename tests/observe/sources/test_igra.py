"""A sounding file of the Integrated Global Radiosonde Archive, and lines of its format written by hand."""

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.sources import igra
from tests.observe.sources import real

FILE = "stations/igra2_NIM00065201-data.txt.zip"


def header(hour="12", release="1130", levels=2):
    return f"#NIM00065201 1953 09 01 {hour} {release} {levels:4d} ncar-ccd          {65830:7d} {33330:8d}"


def level(pressure, height, temperature, depression, direction, speed, flag="A"):
    return (
        f"10 -9999 {pressure:6d}A{height:5d}{flag}{temperature:5d}{flag}-9999 {depression:5d} {direction:5d} {speed:5d}"
    )


def written(tmp_path, *lines):
    (tmp_path / "x.txt").write_text("\n".join(lines) + "\n")
    return igra.read(tmp_path / "x.txt").set_index("quantity")


def test_a_level_by_hand(tmp_path):
    found = written(tmp_path, header(), level(50000, 5880, -57, 100, 90, 200))
    assert found["time"].unique() == [np.datetime64("1953-09-01T12")]
    assert found.loc["geopotential", "value"] == 5880 * 9.80665 and found.loc[
        "air_temperature", "value"
    ] == pytest.approx(267.45)
    assert found.loc["eastward_wind", "value"] == pytest.approx(-20) and set(found["pressure"]) == {500.0}
    assert set(found["latitude"]) == {6.583} and set(found["longitude"]) == {3.333}
    assert found.loc["air_temperature", "flag"] == "good" and found.loc["eastward_wind", "flag"] == "unchecked"
    vapour = 611.2 * np.exp(17.67 * -15.7 / (-15.7 + 243.5))
    assert found.loc["specific_humidity", "value"] == pytest.approx(0.62198 * vapour / (5e4 - 0.37802 * vapour))


def test_what_is_missing_or_removed_gives_no_value(tmp_path):
    assert written(tmp_path, header(), level(50000, -9999, -8888, -9999, 90, -9999)).empty


def test_values_without_a_pressure_are_kept_at_no_level(tmp_path):
    """Not as NaN, which is the surface; humidity cannot be computed without a pressure."""
    found = written(tmp_path, header(), level(-9999, 10, 5, 1, 1, 1))
    assert set(found["pressure"]) == {reports.UNKNOWN}
    assert sorted(found.index) == ["air_temperature", "eastward_wind", "geopotential", "northward_wind"]


@pytest.mark.parametrize(("hour", "release", "expected"), [("99", "1130", 11), ("99", "9999", None), ("00", "2330", 0)])
def test_the_hour_is_nominal_else_that_of_release(tmp_path, hour, release, expected):
    found = written(tmp_path, header(hour, release), level(50000, 5880, -57, 100, 90, 200))
    assert set(found["time"].dropna().dt.hour) == {expected} - {None} and found["time"].isna().any() == (
        expected is None
    )


def test_a_whole_file_by_number():
    found = igra.read(real.file(FILE))
    assert set(found["station"]) == {"NIM00065201"} and found["time"].min() == np.datetime64("1953-09-01T08")
    assert real.counts(found)["air_temperature"] == 54617 and real.counts(found)["geopotential"] == 31197
    assert (found["pressure"] == reports.UNKNOWN).sum() == 1629  # wind at heights
    height = found[found["quantity"] == "geopotential"].groupby("pressure")["value"].median() / 9.80665
    assert 5800 < height[500] < 5920 and 3100 < height[700] < 3200


def test_another_file_is_refused_in_words(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK no zip")
    with pytest.raises(UserError, match="cannot be read"):
        igra.read(tmp_path / "x.zip")
    with pytest.raises(UserError, match="holds no IGRA sounding"):
        written(tmp_path, "station,latitude")
