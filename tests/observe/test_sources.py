"""Files of every format through one door: wrong files cost themselves alone, and notes say what was lost."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hindsight.errors import UserError
from hindsight.observe import reports, sources
from hindsight.settings.reports import Reports, TableFormat
from tests.observe.sources import samples

MUTATIONS = {"few": range(12), "many": range(12, 100)}
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x01" + bytes(range(256)) * 4
VALUES = {"values": [{"column": "p", "quantity": "surface_air_pressure", "units": "hPa"}]}


@pytest.fixture(params=samples.EVERY, ids=lambda make: make.__name__)
def sample(request, tmp_path):
    return request.param(tmp_path)


def read(sample, tmp_path, *contents, between=None):
    """Reports and notes of files with these contents."""
    paths = []
    for number, content in enumerate(contents):
        (tmp_path / f"{number}").mkdir(exist_ok=True)
        paths.append(tmp_path / f"{number}" / sample.name)
        paths[-1].write_bytes(content)
    stations = Path(sample.stations) if sample.stations else None
    return sources.read(sample.source, paths, sample.table, stations, between)


def mutated(content: bytes, number: int) -> bytes:
    """A damaged copy: cut, or with bits flipped, a stretch overwritten, or its head changed."""
    random, damaged = np.random.default_rng([19, number]), bytearray(content)
    if number % 4 == 0:
        return content[: random.integers(1, len(content))]
    if number % 4 == 1:
        for place in random.integers(len(content), size=random.integers(1, 20)):
            damaged[place] ^= 1 << random.integers(8)
    elif number % 4 == 2:
        first, count = random.integers(len(content)), random.integers(1, 200)
        damaged[first : first + count] = random.bytes(len(damaged[first : first + count]))
    else:
        for place in random.integers(min(len(content), 600), size=random.integers(1, 6)):
            damaged[place] = random.integers(256)
    return bytes(damaged)


@pytest.mark.parametrize("content", [b"", np.random.default_rng(0).bytes(5000), JPEG], ids=["empty", "random", "jpeg"])
def test_what_is_no_such_file_is_refused_alone_and_noted_beside_others(sample, tmp_path, content):
    with pytest.raises(UserError, match="none of the 1 file"):
        read(sample, tmp_path, content)
    found, notes = read(sample, tmp_path, content, sample.content)
    alone, _ = read(sample, tmp_path, sample.content)
    pd.testing.assert_frame_equal(found, alone)
    assert any(str(tmp_path / "0") in note.file and sample.name in note.sentence for note in notes)


def test_half_a_file_gives_half_of_its_rows_with_a_note_or_none(sample, tmp_path):
    whole, _ = read(sample, tmp_path, sample.content)
    try:
        found, notes = read(sample, tmp_path, sample.content[: len(sample.content) // 2 + 7])  # in a line
    except UserError:
        assert sample.name.endswith((".parquet", ".zip")), "Parquet and zip have their tables of contents at the end"
        return
    assert 0.2 < len(found) / len(whole) < 0.8 and notes
    pd.testing.assert_frame_equal(
        found.groupby("quantity").head(1).reset_index(drop=True),
        whole.groupby("quantity").head(1).reset_index(drop=True),
    )


@pytest.mark.parametrize("numbers", ["few", pytest.param("many", marks=pytest.mark.slow)])
def test_a_damaged_file_raises_nothing_but_a_sentence(sample, tmp_path, numbers):
    for number in MUTATIONS[numbers]:
        try:
            found, _ = read(sample, tmp_path, mutated(sample.content, number))
        except UserError as error:
            assert sample.name in str(error)
        else:
            assert set(reports.COLUMNS) <= set(found) and found["time"].notna().all()


def test_reports_within_the_times_are_kept_both_ends_included(sample, tmp_path):
    whole, _ = read(sample, tmp_path, sample.content)
    times = np.sort(whole["time"].unique())
    first, last = times[len(times) // 3], times[len(times) // 2]
    found, notes = read(sample, tmp_path, sample.content, between=(first, last))
    assert len(found) == whole["time"].between(first, last).sum() > 0
    assert found["time"].min() == first and found["time"].max() == last
    assert not [note for note in notes if "time" in note.sentence]


def test_rows_that_two_files_repeat_are_kept(sample, tmp_path):
    once, _ = read(sample, tmp_path, sample.content)
    twice, _ = read(sample, tmp_path, sample.content, sample.content)
    assert len(twice) == 2 * len(once)


def test_a_report_without_a_time_is_left_out_and_counted(tmp_path):
    (tmp_path / "t.csv").write_text("time,latitude,longitude,station,p\n,1,2,a,1000\n2000-01-01,1,2,a,1000\n")
    found, notes = sources.read("table", [tmp_path / "t.csv"], TableFormat.model_validate(VALUES))
    assert len(found) == 1 and "1 values have no time" in notes[0].sentence


def test_a_table_without_a_column_of_the_map_costs_itself(tmp_path):
    (tmp_path / "a.csv").write_text("time,latitude,longitude,station,q\n2000-01-01,1,2,a,1000\n")
    (tmp_path / "b.csv").write_text("time,latitude,longitude,station,p\n2000-01-01,1,2,a,1000\n")
    settings = {"source": "table", "files": ["?.csv"], "table": VALUES}
    between = np.datetime64("2000-01-01"), np.datetime64("2000-01-02")
    found, notes = sources.collect(Reports.model_validate(settings), tmp_path, between)
    assert len(found) == 1 and [note.file for note in notes] == [str(tmp_path / "a.csv")]
    assert "lacks the column(s) p" in notes[0].sentence


def test_isd_lite_without_a_list_of_stations_says_so(tmp_path):
    line = "2008 01 01 12   -57   -89 10234   270    51     8 -9999 -9999\n"
    (tmp_path / "037720-99999-2008").write_text(line)
    between = np.datetime64("2008-01-01"), np.datetime64("2008-01-02")
    with pytest.raises(UserError, match="does not say where its station is.*need `stations`"):
        sources.collect(Reports(source="isd", files=["*-2008"]), tmp_path, between)
