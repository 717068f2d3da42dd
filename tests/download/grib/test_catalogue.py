"""The catalogue of GRIB files: every message as it was written, read once."""

import os
import time
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hindsight.download.grib import catalogue, messages
from hindsight.errors import UserError
from hindsight.settings import Download
from tests.download.grib import grib_files
from tests.download.grib.grib_files import DAY


def settings(**grib) -> Download:
    return Download.model_validate({"source": "grib", "grib": {"files": ["*.grib"], **grib}})


def listed(folder, **grib) -> pd.DataFrame:
    """The catalogue of all files in a folder."""
    place = folder / "catalogue.parquet"
    catalogue.run(settings(**grib), files=sorted(folder.glob("*.grib")), catalogue=place)
    return pd.read_parquet(place)


@pytest.fixture
def read(monkeypatch):
    """The files whose headers are read."""
    seen, walk = [], messages.walk
    monkeypatch.setattr(messages, "walk", lambda path: seen.append(path.name) or walk(path))
    return seen


WRITTEN = {  # what is written, and what the catalogue says of it
    "analysis": ({"level": 850}, {"shortName": "t", "level": 850, "member": -1, "dataType": "an", "valid": DAY}),
    "control": ({"kind": "cf", "member": 0}, {"member": 0, "dataType": "cf"}),
    "member": ({"kind": "pf", "member": 7}, {"member": 7, "dataType": "pf"}),
    "member's analysis": ({"member": 7}, {"member": 7, "dataType": "an"}),
    "surface": ({"parameter": 134, "level": None}, {"cfVarName": "sp", "typeOfLevel": "surface", "units": "Pa"}),
    "forecast": ({"kind": "fc", "steps": (0, 30)}, {"base": DAY, "valid": DAY + timedelta(hours=30)}),
    "amount": (
        {"kind": "fc", "parameter": 228, "level": None, "steps": (2, 5), "accumulated": True},
        {"begin": DAY + timedelta(hours=2), "valid": DAY + timedelta(hours=5), "stepType": "accum", "paramId": 228},
    ),
    "afternoon": ({"time": datetime(1959, 12, 31, 13, 30)}, {"valid": datetime(1959, 12, 31, 13, 30)}),
    "preliminary": ({"expver": "0005"}, {"expver": "0005"}),
}


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("what", WRITTEN)
def test_a_message_is_listed_as_it_was_written(what, edition, tmp_path):
    keys, expected = WRITTEN[what]
    content = grib_files.message(grib_files.field(1), edition=edition, **keys)
    path = grib_files.file(tmp_path / "a.grib", b"\0" * 7, content)
    found = listed(tmp_path).iloc[0]
    about = {"file": str(path), "offset": 7, "length": len(content), "edition": edition, "gridType": "regular_ll"}
    assert {name: found[name] for name in about | expected} == about | expected


def test_levels_are_hpa_and_steps_may_be_minutes(tmp_path):
    in_pascal = {"edition": 2, "typeOfLevel": "isobaricInPa", "level": 50}
    in_minutes = {"edition": 2, "indicatorOfUnitOfTimeRange": 0, "forecastTime": 90}
    grib_files.file(
        tmp_path / "a.grib", *(grib_files.message(grib_files.field(1), **k) for k in (in_pascal, in_minutes))
    )
    found = listed(tmp_path).sort_values("offset")
    assert found["level"].tolist() == [0.5, 500] and found["valid"].iloc[1] == DAY + timedelta(minutes=90)


def test_files_are_read_once_and_again_when_they_change(tmp_path, read):
    for day in range(4):
        content = grib_files.message(grib_files.field(day), time=DAY + timedelta(days=day))
        grib_files.file(tmp_path / f"{day}.grib", content)
    first = listed(tmp_path)
    assert read == ["0.grib", "1.grib", "2.grib", "3.grib"]
    (tmp_path / "catalogue.parquet").unlink()  # as snakemake does
    pd.testing.assert_frame_equal(listed(tmp_path), first)
    assert len(read) == 4
    other = grib_files.message(grib_files.field(9), time=DAY + timedelta(days=2), level=300)
    grib_files.file(tmp_path / "2.grib", other)
    grib_files.file(tmp_path / "4.grib", other)
    assert listed(tmp_path)["level"].tolist() == [500, 500, 300, 300, 500] and read[4:] == ["2.grib", "4.grib"]
    old = (tmp_path / "1.grib").stat()
    os.utime(tmp_path / "1.grib", ns=(old.st_atime_ns, old.st_mtime_ns - 1))  # replaced by an older one
    (tmp_path / "0.grib").unlink()
    assert len(listed(tmp_path)) == 4 and read[6:] == ["1.grib"]


def test_two_processes_list_what_one_does(tmp_path, monkeypatch):
    for day in range(3):
        grib_files.file(
            tmp_path / f"{day}.grib", grib_files.message(grib_files.field(day), time=DAY - day * timedelta(1))
        )
    one = listed(tmp_path, processes=1)
    for index in (tmp_path / "catalogue.parquet.index").rglob("*.arrow"):
        index.unlink()
    monkeypatch.setattr(catalogue, "PARALLEL_BYTES", 0)
    pd.testing.assert_frame_equal(listed(tmp_path, processes=2), one)
    assert one["valid"].is_monotonic_increasing


def test_thousands_of_small_messages_in_many_files_take_seconds(tmp_path):
    hours = [DAY + timedelta(hours=k) for k in range(2000)]
    content = [grib_files.message(np.full((2, 2), 280.0), time=hour) for hour in hours[:24]]
    for number in range(100):
        grib_files.file(tmp_path / f"{number:03}.grib", *(content[k % 24] for k in range(20)))
    began = time.monotonic()
    assert len(listed(tmp_path)) == 2000
    read_at = time.monotonic()
    listed(tmp_path)
    assert read_at - began < 20 and time.monotonic() - read_at < 3  # 1.0 and 0.2 s where nothing else runs


def test_the_inventory_lists_series_with_first_and_last_time(tmp_path):
    days = [DAY + timedelta(days=k) for k in range(3)]
    content = [grib_files.message(grib_files.field(1), time=day, level=lev) for day in days for lev in (500, 850)]
    grib_files.file(tmp_path / "a.grib", *content, grib_files.message(grib_files.field(1), parameter=131, time=days[1]))
    listed(tmp_path)
    found = catalogue.inventory(tmp_path / "catalogue.parquet")
    assert found[["shortName", "level"]].values.tolist() == [["t", 500], ["t", 850], ["u", 500]]
    assert found["first"].tolist() == [days[0], days[0], days[1]]
    assert found["last"].tolist() == [days[2], days[2], days[1]]


def test_damaged_files_are_named_together_and_leave_no_catalogue(tmp_path, read):
    content = grib_files.message(grib_files.field(1))
    for name, length in (("a", None), ("b", -100), ("c", None), ("d", 200)):
        grib_files.file(tmp_path / f"{name}.grib", content, content[:length])
    with pytest.raises(UserError, match=r"(?s)b.grib is cut short or damaged at byte \d+.*\n.*d.grib is cut short"):
        listed(tmp_path)
    assert not (tmp_path / "catalogue.parquet").exists()
    for name in "bd":
        grib_files.file(tmp_path / f"{name}.grib", content)
    assert len(listed(tmp_path)) == 6 and read[4:] == ["b.grib", "d.grib"]  # good ones are not read again
    with pytest.raises(UserError, match="there is no .*x.grib; correct the setting data or download.grib.files"):
        catalogue.run(settings(), files=[tmp_path / "x.grib"], catalogue=tmp_path / "c.parquet")


def test_an_invalid_header_is_damage_and_no_library_prints_it(tmp_path, capfd):
    content = grib_files.message(grib_files.field(1))
    flags = 8 + 52 + 32 + 3  # after sections 0 to 2, octet 4 of section 4 says how values are packed
    grib_files.file(tmp_path / "a.grib", content[:flags] + b"\x50" + content[flags + 1 :])
    with pytest.raises(UserError, match="a.grib is cut short or damaged at byte 0 .a message without a grid"):
        listed(tmp_path)
    assert "ECCODES" not in capfd.readouterr().err


def test_real_files_are_listed_message_by_message(data, tmp_path):
    files = sorted(data.glob("era5_*_grib/*.grib"))
    catalogue.run(settings(), files=files, catalogue=tmp_path / "c.parquet")
    found = pq.read_table(tmp_path / "c.parquet").to_pandas()
    assert found.groupby("file", observed=True).size().tolist() == [72, 160, 744]
    assert found["length"].sum() <= sum(file.stat().st_size for file in files)
    hourly = found[found["paramId"] == 167]
    assert (hourly["valid"].diff().dropna() == pd.Timedelta(hours=1)).all() and set(hourly["member"]) == {-1}
    assert set(found[found["paramId"] == 129]["member"]) == set(range(10))
