"""Files that a configuration names: patterns, odd names, URLs."""

import numpy as np
import pandas as pd
import pytest

from hindsight import settings
from hindsight.errors import UserError
from hindsight.settings import input_files

ODD = "run [2] {a} $b 100% it's ä"


def touched(folder, *names):
    """Empty files below a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder, *files):
    """What a source's patterns match, below its folder."""
    chosen = settings.read({"data": str(folder), "download": {"files": files}})
    settings.check_files(chosen)
    return [path.removeprefix(f"{folder}/") for path in settings.source_files(chosen.download, chosen.data)]


def test_the_name_of_the_data_folder_is_no_pattern(tmp_path):
    touched(tmp_path / ODD, "a.nc", "b.nc")
    touched(tmp_path / "run 2 {a} $b 100% it's ä", "c.nc")
    assert found(tmp_path / ODD, "*.nc") == ["a.nc", "b.nc"]


def test_two_stars_are_any_folders(tmp_path):
    touched(tmp_path, "a.nc", "2022/b.nc", "2023/01/c.nc", "2023/01/d.grib")
    assert found(tmp_path, "**/*.nc") == ["2022/b.nc", "2023/01/c.nc", "a.nc"]
    assert found(tmp_path, "2023/**/*.nc") == ["2023/01/c.nc"]


def test_a_file_is_named_by_its_name_even_if_that_looks_like_a_pattern(tmp_path):
    touched(tmp_path, "b [old].nc", "b o.nc")
    assert found(tmp_path, "b [old].nc") == ["b [old].nc"]


def test_a_tilde_and_a_variable_are_what_a_shell_makes_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ARCHIVE", str(tmp_path / "deep"))
    touched(tmp_path, "data/a.nc", "deep/b.nc", "deep/$ARCHIVE/c.nc")
    assert settings.read({"data": "~/data"}).data == str(tmp_path / "data")
    assert settings.read({"data": "${ARCHIVE}"}).data == str(tmp_path / "deep")
    assert settings.read({"data": f"{tmp_path}/deep/$ARCHIVE"}).data == f"{tmp_path}/deep/$ARCHIVE"  # it is there
    assert found(tmp_path / "data", "*.nc", "$ARCHIVE/*.nc") == ["a.nc", str(tmp_path / "deep/b.nc")]


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(UserError, match=r"The data folder is \$NOWHERE/data, and no variable \$NOWHERE is set"):
        settings.check_files(settings.read({"data": "$NOWHERE/data"}))


def test_files_of_one_name_at_two_urls_lie_apart_and_others_keep_their_names():
    urls = ["https://h/2022/era5.nc", "https://h/2023/era5.nc", "https://h/other.nc", "https://h/2022/era5.nc"]
    there = settings.remote_files(settings.Download(dataset="d", files=urls))
    assert sorted(there.values()) == sorted(set(urls)) and there["resources/d/files/other.nc"] == "https://h/other.nc"
    turned = settings.remote_files(settings.Download(dataset="d", files=urls[::-1]))
    assert turned == there
    assert all(path.endswith("era5.nc") for path, url in there.items() if "era5" in url)


QUERIES = {  # URL: what the file is called here; None for a name with a digest
    "https://zenodo.org/records/1/files/era5.nc?download=1": "era5.nc",
    "https://h/my%20era5.nc": "my%20era5.nc",
    "https://h/api?file=a.nc": "api",
    "https://h/b.nc?path=/data/c.nc": "b.nc",
    "gs://bucket/folder/d.nc": "d.nc",
    "https://h/?file=a.nc": None,
    "https://h/e.nc?of=1": None,
    "https://h/e.nc?of=2": None,
    f"https://h/{300 * 'x'}.nc": None,
    f"https://h/signed.nc?signature={1000 * 'x'}": "signed.nc",
}


def test_a_query_is_no_part_of_a_name_but_tells_files_apart():
    there = settings.remote_files(settings.Download(dataset="d", files=list(QUERIES)))
    assert list(there.values()) == list(QUERIES)
    for path, url in there.items():
        name = path.removeprefix("resources/d/files/")
        assert "/" not in name and "?" not in name and len(name) < 200 and (QUERIES[url] in (name, None)), url


def test_a_url_that_names_no_file_is_refused():
    chosen = settings.read({"download": {"files": ["https://h/2022/"]}})
    with pytest.raises(UserError, match="download.files: https://h/2022/ names no file"):
        settings.check_files(chosen)


def test_an_opendap_address_is_refused_with_that_of_the_file():
    chosen = settings.read({"download": {"files": ["https://h/thredds/dodsC/a/era5.nc"]}})
    with pytest.raises(UserError, match="OPeNDAP address.*https://h/thredds/fileServer/a/era5.nc"):
        settings.check_files(chosen)


@pytest.fixture
def tree(tmp_path):
    touched(
        tmp_path, *(day.strftime("pre/%Y/%m/p_%Y%m%d.parquet") for day in pd.date_range("1989-12-28", "1990-01-06"))
    )
    return tmp_path


def reports_of(tree, pattern, first="1989-12-31T06", last="1990-01-02T18"):
    """What a pattern of reports matches for a period."""
    paths = input_files.report_paths([pattern], str(tree), np.datetime64(first), np.datetime64(last))
    return [path.removeprefix(f"{tree}/") for path in paths]


def test_dates_in_patterns_choose_files_of_the_period_and_one_before(tree):
    days = reports_of(tree, "pre/%Y/%m/p_%Y%m%d.parquet")
    assert [name[-12:-8] for name in days] == ["1230", "1231", "0101", "0102"]
    january = reports_of(tree, "pre/%Y/%m/*.parquet", "1990-01-05", "1990-01-06")
    assert january == reports_of(tree, "pre/**/*.parquet")
    assert len(reports_of(tree, "pre/%Y/*/*.parquet", "1991-01-01", "1991-02-01")) == 6
    assert reports_of(tree, "pre/%Y/%m/p_%Y%m%d.parquet", "1995-01-01", "1995-02-01") == []


def test_hours_in_patterns_start_a_day_before(tmp_path):
    touched(tmp_path, "gdas.1999123118", "gdas.2000010100", "gdas.2000010112")
    found = reports_of(tmp_path, "gdas.%Y%m%d%H", "2000-01-01T12", "2000-01-01T13")
    assert found == ["gdas.1999123118", "gdas.2000010100", "gdas.2000010112"]


def test_all_patterns_of_reports_without_files_are_named_before_the_run(tree):
    files = ["pre/*.nc", "pre/%Y/%m/p_%Y%m%d.nc", "pre/100%.nc", "pre/%Y/%m/p_%Y%m%d.parquet"]
    table = {"values": [{"column": "p", "quantity": "surface_air_pressure", "units": "hPa"}]}
    mine = {"source": "table", "files": files, "stations": "list.csv", "table": table}
    archive = {"source": "nnja", "files": ["conv/adpsfc"]}
    given = settings.read({"data": str(tree), "observe": {"reports": {"mine": mine, "archive": archive}}})
    with pytest.raises(UserError) as caught:
        settings.check_files(given)
    said = str(caught.value)
    assert said.count("observe.reports.mine") == 4 and "archive" not in said
    assert r"nothing matches" in said and "% without a code" in said and "p_%Y%m%d.parquet" not in said


def test_the_list_of_stations_belongs_to_the_files_of_reports(tree):
    table = {"values": [{"column": "p", "quantity": "surface_air_pressure", "units": "hPa"}]}
    mine = {"source": "table", "files": ["pre/%Y/%m/p_%Y%m%d.parquet"], "stations": "list.csv", "table": table}
    given = settings.read({"data": str(tree), "observe": {"reports": {"mine": mine}}})
    found = input_files.report_files(given, "mine", np.datetime64("1990-01-02T00"), np.datetime64("1990-01-02T18"))
    assert [path[-12:] for path in found] == [str(tree / "list.csv")[-12:], "0101.parquet", "0102.parquet"]


def test_of_files_with_one_name_the_nearest_to_the_data_folder_is_meant(tmp_path):
    paths = [tmp_path / "old" / "land.nc", tmp_path / "land.nc"]
    assert input_files.matching("land.nc", paths) == paths[1] and input_files.matching(str(paths[0]), paths) == paths[0]


def test_denials_of_a_file_are_added_to_those_of_the_network(tmp_path):
    (tmp_path / "denied.csv").write_text("station,start,reason\nS3,2009-01-05,moved\n")
    denied = [{"station": "S2", "reason": "drift"}]
    networks = {"a": {"kind": "reports", "denied": denied, "denied_file": "denied.csv"}, "b": {"kind": "reports"}}
    observe = {"networks": networks, "reports": {"mine": {"source": "madis", "files": ["*.nc"]}}}
    chosen = settings.Settings(data=str(tmp_path), observe=observe, verify={"against": "none"})
    found = input_files.with_all_denials(chosen).observe.networks
    assert [one.station for one in found["a"].denied] == ["S2", "S3"]
    assert found["a"].denied_file is None and found["b"].denied == []
