"""What a part is made of, out of a catalogue."""

from datetime import timedelta

import pytest

from hindsight.download.grib import catalogue
from hindsight.download.grib.part_messages import select
from hindsight.errors import UserError
from hindsight.fields import intervals
from hindsight.settings import Download
from hindsight.settings.lexicon import source_channels
from tests.download.grib import grib_files
from tests.download.grib.grib_files import DAY


@pytest.fixture
def place(tmp_path):
    """The catalogue of two days: temperature six-hourly but for one time, rain hourly since each forecast's start."""
    hours = [timedelta(hours=k) for k in range(0, 48, 6) if k != 18]
    content = [grib_files.message(grib_files.field(1), time=DAY + hour) for hour in hours]
    rain = {"parameter": 228, "level": None, "accumulated": True, "kind": "fc"}
    rains = [grib_files.message(grib_files.field(2), time=DAY, steps=(0, k), **rain) for k in range(1, 25)]
    still = [grib_files.message(grib_files.field(k), parameter=k, level=None) for k in (129, 172)]
    path = grib_files.file(tmp_path / "a.grib", *content, *rains, *still)
    settings = Download.model_validate({"source": "grib", "grib": {"files": ["a.grib"]}})
    catalogue.run(settings, files=[path], catalogue=tmp_path / "c.parquet")
    return tmp_path / "c.parquet"


def selected(place, part, *channels, step=6):
    return select(source_channels(list(channels)), intervals.parse(part, step), None, place)


def test_each_frame_has_its_messages_and_static_fields_are_included(place):
    found = selected(place, "20200101T00_6", "t500", "tp6")
    assert [len(one) for one in found.sums["t500"]] == [1, 1, 1, 0, 1, 1]
    assert [len(one) for one in found.sums["tp6"]] == [0, 1, 2, 2, 2, 0]
    times = intervals.parse("20200101T00_6", 6).times
    for time, one in zip(times, found.sums["t500"]):
        assert all(found.table["valid"][row] == time for row, _ in one)
    assert {name: found.table["paramId"][row] for name, row in found.static.items()} == {
        "geopotential_at_surface": 129,
        "land_sea_mask": 172,
    }
    assert len(found.table) < 40 and len(found.used_rows) == 5 + 4


def test_the_hours_before_a_part_belong_to_it(place):
    assert len(selected(place, "20200102T00_1", "tp24").sums["tp24"][0]) == 1
    assert len(selected(place, "20200101T23_1", "tp3").sums["tp3"][0]) == 2


def test_a_part_without_messages_has_the_grid_of_the_others(place):
    found = selected(place, "20200101T18_1", "t500")
    assert found.sums["t500"] == [[]] and found.used_rows == []
    assert found.table["paramId"][found.grid_row] == 130


def test_the_digest_is_that_of_the_messages_and_no_others(place):
    one = selected(place, "20200101T00_4", "t500").digest
    assert one == selected(place, "20200101T00_4", "t500").digest
    assert one != selected(place, "20200101T06_4", "t500").digest
    assert one != selected(place, "20200101T00_4", "t500", "tp6").digest


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("20200110T00_4", "have t500 from 2020-01-01 00:00:00 to 2020-01-02 18:00:00, but part .* 2020-01-10T00:00"),
        ("20191201T00_4", "have t500 from .*; add files to download.grib.files, or change the periods"),
    ],
)
def test_a_time_that_is_not_there_is_refused_with_the_times_that_are(place, part, says):
    with pytest.raises(UserError, match=says):
        selected(place, part, "t500")
