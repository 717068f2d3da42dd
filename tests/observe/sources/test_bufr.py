"""WMO BUFR: European SYNOP reports of 2018-11-20, 12 UTC, and aircraft reports of 2009-01-23."""

import pytest

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.sources import bufr
from tests.observe.sources import real

SYNOP, AIRCRAFT = "obs_synop_bufr/synop_europe_20181120_12z.bufr", "obs_synop_bufr/perf_aircraft.bufr"


def beginning(tmp_path, name, messages):
    """The first messages of a file."""
    content = real.file(name).read_bytes()
    ends = [k for k in range(len(content)) if content[k : k + 4] == b"7777"][:messages] if messages else []
    (tmp_path / "some.bufr").write_bytes(content[: ends[-1] + 4])
    return tmp_path / "some.bufr"


def test_surface_reports_by_number():
    found = bufr.read(real.file(SYNOP))
    assert real.counts(found) == {
        "air_pressure_at_mean_sea_level": 1201,
        "air_temperature": 1471,
        "dew_point_temperature": 1460,
        "eastward_wind": 1471,
        "northward_wind": 1471,
        "surface_air_pressure": 1348,
    }
    assert found["station"].str.fullmatch(r"\d{5}").all()
    amman = found[found["station"] == "40270"].set_index("quantity")
    assert amman.loc["surface_air_pressure", "value"] == 93200 and amman.loc["air_temperature", "elevation"] == 779


@pytest.mark.slow
def test_all_aircraft_by_number():
    found = bufr.read(real.file(AIRCRAFT))
    assert real.counts(found) == {"air_temperature": 6693, "eastward_wind": 6637, "northward_wind": 6637}
    assert (found["pressure"] == reports.UNKNOWN).sum() == 851  # without an altitude


def test_aircraft_report_at_the_pressure_of_their_flight_level(tmp_path):
    found = bufr.read(beginning(tmp_path, AIRCRAFT, 1))
    assert set(found["platform"]) == {"aircraft"} and set(found["station"]) == {"EU6349"}
    assert found["pressure"].unique() == pytest.approx(376.0, abs=0.2)  # flight level 250


def test_a_damaged_message_costs_its_own_reports(tmp_path, capsys):
    path = beginning(tmp_path, SYNOP, 3)
    content = bytearray(path.read_bytes())
    second = content.index(b"7777", content.index(b"BUFR", 4))
    content[second : second + 4] = b"\0" * 4
    whole = bufr.read(path)
    path.write_bytes(bytes(content))
    found = bufr.read(path)
    assert 0 < found["station"].nunique() < whole["station"].nunique()
    assert "1 message(s) without their end" in capsys.readouterr().out


def test_another_file_is_refused_in_words(tmp_path):
    (tmp_path / "x").write_text("no message")
    with pytest.raises(UserError, match="no BUFR message"):
        bufr.read(tmp_path / "x")
