"""NNJA-AI's layout in a bucket on loopback: what is fetched, what it says, and what happens when the server fails."""

import numpy as np
import pandas as pd
import pytest

import tests.servers  # noqa: F401 before gcsfs
from hindsight.errors import UserError
from hindsight.observe import sources
from hindsight.observe.sources import nnja
from hindsight.settings.reports import Reports
from tests.servers.gcs import Server

BETWEEN = np.datetime64("2021-01-01T06"), np.datetime64("2021-01-02T12")
SYNOP, BUFR, METAR, SOUNDINGS = (f"conv/{name}" for name in (
    "adpsfc/NC000001", "adpsfc/NC000101", "adpsfc/NC000007", "adpupa/NC002001"))  # fmt: skip
HOURS = 24  # reports of a station a day, one row group each


def synop(day: str) -> pd.DataFrame:
    times = pd.date_range(day, periods=HOURS, freq="h", tz="UTC")
    count = np.arange(HOURS)
    return pd.DataFrame(
        {
            "OBS_TIMESTAMP": times, "LAT": 45.42, "LON": 12.38, "SELV": 6.0, "RPID": "16101",
            "PRSSQ1.PRES": 1e5 + count, "PRSSQ1.QMPR": [2.0] * 12 + [-9999.0] * 12, "PRSSQ1.PMSL": 101000.0 + count,
            "TMPSQ1.TMDB": 270.0 + count, "TMPSQ1.QMAT": [14.0, 3.0, np.nan, 1.0] * 6, "TMPSQ1.TMDP": 265.0 + count,
            "WNDSQ1.WSPD": 5.0, "WNDSQ1.WDIR": 270.0,
        }
    ).assign(**{"UNUSED": np.random.default_rng(0).standard_normal((HOURS, 4000)).tolist()})  # fmt: skip


def synop_as_bufr(day: str) -> pd.DataFrame:
    """Every third hour of the same station, and another one."""
    again = synop(day).iloc[::3]
    common = again[["OBS_TIMESTAMP", "LAT", "LON", "SELV", "RPID"]]
    values = common.assign(**{"TEMHUMDA.TMDB": again["TMPSQ1.TMDB"], "QMAT": 2.0, "BSYWND1.WSPD": np.nan})
    return pd.concat([values, values.assign(RPID="16105", LON=12.33)])


def metar(day: str) -> pd.DataFrame:
    return synop(day)[["OBS_TIMESTAMP", "LAT", "LON", "SELV"]].assign(
        RPID="LIPZ", **{"MTRTMP.TMDB": 280.0, "MTRPRS.ALSE": 101325.0}
    )


def soundings(day: str) -> pd.DataFrame:
    row = {"OBS_TIMESTAMP": pd.Timestamp(f"{day}T12", tz="UTC"), "LAT": 50.0, "LON": 350.0, "WMOB": 3.0, "WMOS": 808.0}
    levels = {"TMDB_PRLC50000": 250.0, "QMAT_PRLC50000": 1.0, "GP10_PRLC50000": 54000.0, "TMDB_PRLC85000": 275.0}
    return pd.DataFrame([row | levels | {"TMDP_PRLC85000": 270.0, "WSPD_PRLC85000": 10.0, "WDIR_PRLC85000": 180.0}])


@pytest.fixture
def bucket(tmp_path):
    """Three days of four message types, as the archive lays them out."""
    types = {SYNOP: synop, BUFR: synop_as_bufr, METAR: metar, SOUNDINGS: soundings}
    for folder, make in types.items():
        for day in ("2021-01-01", "2021-01-02", "2021-01-03"):
            path = tmp_path / "gcp-nnja-ai/data/v1" / folder / f"OBS_DATE={day}" / "part-0.parquet"
            path.parent.mkdir(parents=True)
            make(day).to_parquet(path, index=False, row_group_size=1 if make is synop else 1000)
    with Server(tmp_path) as server:
        yield server


def settings(server, *folders, **more) -> Reports:
    options = {"endpoint_url": server.url}
    return Reports.model_validate(
        {"source": "nnja", "files": list(folders), "options": options, "timeout_seconds": 5, **more}
    )


def test_reports_of_the_times_are_read_with_their_units_flags_and_places(bucket):
    found, notes = sources.collect(settings(bucket, SYNOP), None, BETWEEN)
    expected = pd.concat([synop("2021-01-01"), synop("2021-01-02")]).reset_index(drop=True)
    times = expected["OBS_TIMESTAMP"].dt.tz_localize(None)
    expected = expected[(times >= BETWEEN[0]) & (times <= BETWEEN[1])]
    by = found.set_index("quantity")
    assert not notes and found["quantity"].value_counts().unique().tolist() == [len(expected)] == [31]
    assert by.loc["air_temperature", "value"].tolist() == expected["TMPSQ1.TMDB"].tolist()
    flag = {14.0: "rejected", 3.0: "suspect", 1.0: "good"}
    assert by.loc["air_temperature", "flag"].tolist() == [flag.get(m, "unchecked") for m in expected["TMPSQ1.QMAT"]]
    assert set(by.loc["surface_air_pressure", "flag"]) == {"unchecked"}
    assert by.loc["air_pressure_at_mean_sea_level", "value"].min() == 101000
    np.testing.assert_allclose(by.loc["eastward_wind", "value"], 5.0)
    assert (
        set(found["station"]) == {"16101"} and set(found["elevation"]) == {6.0} and set(found["platform"]) == {"land"}
    )
    assert found["time"].min() == BETWEEN[0] and found["time"].max() == BETWEEN[1]


def test_only_days_row_groups_and_columns_that_are_needed_are_fetched(bucket):
    sources.collect(settings(bucket, SYNOP), None, (np.datetime64("2021-01-02T03"), np.datetime64("2021-01-02T03")))
    media = [served for served in bucket.log if served.kind == "media"]
    size = (bucket.root / "gcp-nnja-ai/data/v1" / SYNOP / "OBS_DATE=2021-01-02/part-0.parquet").stat().st_size
    assert {served.name.split("OBS_DATE=")[1] for served in media} == {"2021-01-02/part-0.parquet"}
    footer = max(served.bytes for served in media)
    assert footer == nnja.FOOTER and size > 5 * footer
    assert sum(served.bytes for served in media) - footer < 0.02 * size and len(media) < 8


def test_synop_that_arrives_twice_is_counted_and_the_first_message_type_wins(bucket):
    found, notes = sources.collect(settings(bucket, BUFR, SYNOP), None, BETWEEN)
    temperature = found[(found["quantity"] == "air_temperature") & (found["station"] == "16101")]
    assert not temperature.duplicated(["time"]).any() and len(temperature) == 31
    threes = temperature["time"].dt.hour % 3 == 0
    assert set(temperature.loc[threes, "flag"]) == {"unchecked"} and threes.sum() == 11  # of BUFR: mark 2
    assert len(notes) == 1 and notes[0].file.endswith(SYNOP)
    assert "11 of 186 values arrived in two message types" in notes[0].sentence
    assert (found["station"] == "16105").sum() == 11


def test_metar_and_soundings(bucket):
    found, _ = sources.collect(settings(bucket, METAR, SOUNDINGS), None, BETWEEN)
    surface, aloft = found[found["platform"] == "land"], found[found["platform"] == "sonde"]
    pressure = surface.loc[surface["quantity"] == "surface_air_pressure", "value"]
    np.testing.assert_allclose(pressure, 101325 * (1 - 0.0065 * 6 / 288.15) ** 5.2559, rtol=1e-5)  # of the altimeter
    assert set(aloft["station"]) == {"03808"} and set(aloft["longitude"]) == {-10.0}
    by = aloft.set_index(["quantity", "pressure"])["value"]
    assert by["geopotential", 500.0].tolist() == [54000.0] * 2 and by["air_temperature", 850.0].tolist() == [275.0] * 2
    np.testing.assert_allclose(by["northward_wind", 850.0], 10.0)
    vapour = 611.2 * np.exp(17.67 * -3.15 / (-3.15 + 243.5))
    np.testing.assert_allclose(by["specific_humidity", 850.0], 0.62198 * vapour / (85000 - 0.37802 * vapour))
    assert ("specific_humidity", 500.0) not in by.index


def test_a_server_that_is_busy_is_asked_again_and_one_that_stays_so_ends_the_job(bucket, monkeypatch):
    monkeypatch.setattr(nnja, "FIRST_PAUSE", 0.01)
    bucket.fault("NC000007", status=503, times=2)
    found, notes = sources.collect(settings(bucket, METAR), None, BETWEEN)
    assert len(found) == 62 and not notes
    bucket.fault("NC000007", status=503, times=-1)
    with pytest.raises(UserError, match="cannot be read after 3 attempt"):
        sources.collect(settings(bucket, METAR, retries=2), None, BETWEEN)


def test_days_without_reports_are_counted_and_no_reports_at_all_are_an_error(bucket):
    between = np.datetime64("2020-12-30"), np.datetime64("2021-01-01T05")
    found, notes = sources.collect(settings(bucket, METAR), None, between)
    assert len(found) == 12 and "no reports of 2 of 3 days (2020-12-30 first" in notes[0].sentence
    with pytest.raises(UserError, match="no reports from 2020-12-30.*there is no NC000099"):
        sources.collect(settings(bucket, "conv/adpsfc/NC000099"), None, between)


def test_a_damaged_file_costs_itself(bucket):
    path = bucket.root / "gcp-nnja-ai/data/v1" / METAR / "OBS_DATE=2021-01-01/part-0.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    found, notes = sources.collect(settings(bucket, METAR), None, BETWEEN)
    assert len(found) == 26 and "2021-01-01/part-0.parquet is damaged" in notes[0].sentence


def test_a_file_without_times_costs_itself(bucket):
    path = bucket.root / "gcp-nnja-ai/data/v1" / METAR / "OBS_DATE=2021-01-01/part-0.parquet"
    metar("2021-01-01").drop(columns="OBS_TIMESTAMP").to_parquet(path)
    found, notes = sources.collect(settings(bucket, METAR), None, BETWEEN)
    assert len(found) == 26 and "lacks the column 'OBS_TIMESTAMP'" in notes[0].sentence


def test_a_folder_on_this_disk_is_read_like_the_bucket(bucket):
    here = settings(bucket, SYNOP, BUFR, METAR, SOUNDINGS)
    there = here.model_copy(update={"url": str(bucket.root / "gcp-nnja-ai/data/v1"), "options": {}})
    pd.testing.assert_frame_equal(sources.collect(here, None, BETWEEN)[0], sources.collect(there, None, BETWEEN)[0])


def test_a_message_type_of_other_columns_is_refused_in_words(bucket):
    path = bucket.root / "gcp-nnja-ai/data/v1/conv/other/OBS_DATE=2021-01-01/part-0.parquet"
    path.parent.mkdir(parents=True)
    synop("2021-01-01")[["OBS_TIMESTAMP", "LAT", "LON"]].to_parquet(path)
    with pytest.raises(UserError, match="none of the columns of temperature"):
        sources.collect(settings(bucket, "conv/other"), None, BETWEEN)
