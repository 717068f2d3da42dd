"""Records of the Integrated Surface Database, written by hand as the format document lays them out."""

import gzip

import numpy as np
import pytest

from hindsight.errors import UserError
from hindsight.observe.sources import isd
from tests.observe.sources import real

LIST = "stations/isd-history.csv.gz"


def record(temperature="-0057", code="1", more="ADDMA1099991098765"):
    """The example of the format document: control section, mandatory section, additional data."""
    head = f"{len(more):04d}037720999992008010112004+51470-000450FM-12+0025EGLL V020"
    assert len(head) == 60
    wind, sky, seen = "2701N00515", "2200019N", "0100001N9"
    return head + wind + sky + seen + temperature + code + "-00891" + "102345" + more


def read(tmp_path, *lines, name="x", **given):
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    return isd.read(tmp_path / name, **given).set_index("quantity")


def test_a_full_record_by_hand(tmp_path):
    line = record()
    assert line[87:92] == "-0057" and line[99:104] == "10234"
    found = read(tmp_path, line)
    assert set(found["station"]) == {"037720-99999"} and set(found["time"]) == {np.datetime64("2008-01-01T12:00")}
    assert set(found["latitude"]) == {51.47} and set(found["longitude"]) == {-0.45} and set(found["elevation"]) == {25}
    assert found.loc["air_temperature", "value"] == pytest.approx(267.45)
    assert found.loc["air_pressure_at_mean_sea_level", "value"] == 102340
    assert found.loc["surface_air_pressure", "value"] == 98760 and found.loc["surface_air_pressure", "flag"] == "good"
    assert found.loc["eastward_wind", "value"] == pytest.approx(5.1)


@pytest.mark.parametrize(("code", "flag"), [("1", "good"), ("2", "suspect"), ("3", "rejected"), ("9", "unchecked")])
def test_quality_codes(tmp_path, code, flag):
    assert read(tmp_path, record(code=code)).loc["air_temperature", "flag"] == flag


def test_missing_values_give_no_row(tmp_path):
    found = read(tmp_path, record("+9999", more=""))
    assert "air_temperature" not in found.index and "surface_air_pressure" not in found.index


def test_lite_has_its_place_from_the_list(tmp_path):
    line = "2008 01 01 12   -57   -89 10234   270    51     8 -9999 -9999"
    stations = tmp_path / "isd-history.csv"
    stations.write_bytes(gzip.decompress(real.file(LIST).read_bytes()))
    found = read(tmp_path, line, name="037720-99999-2008", stations=stations)
    assert found.loc["air_temperature", "value"] == pytest.approx(267.45)
    assert found.loc["air_pressure_at_mean_sea_level", "value"] == 102340
    assert abs(found["latitude"].iloc[0] - 51.48) < 0.05 and abs(found["longitude"].iloc[0] + 0.45) < 0.05  # Heathrow


def test_what_does_not_say_where_it_is_is_refused(tmp_path):
    line = "2008 01 01 12   -57   -89 10234   270    51     8 -9999 -9999"
    with pytest.raises(UserError, match="does not say where its station is"):
        read(tmp_path, line)
    with pytest.raises(UserError, match="neither full ISD records nor ISD-Lite"):
        read(tmp_path, "time,value")
