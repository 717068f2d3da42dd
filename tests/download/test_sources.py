"""The list of a source's files."""

import json
import os

import pytest

from hindsight.download import sources
from hindsight.errors import UserError
from hindsight.settings import Download


def listed(folder, kind="local", **more):
    chosen = {"local": {"files": ["*.nc"]}, "grib": {"grib": {"files": ["*.grib"]}}}[kind] | more
    sources.run(Download(source=kind, **chosen), data=str(folder), sources=folder / "out/sources.json")
    return json.loads((folder / "out/sources.json").read_text())


@pytest.mark.parametrize(("kind", "ending"), [("local", "nc"), ("grib", "grib")])
def test_files_are_listed_in_order_with_size_and_time(tmp_path, kind, ending):
    for name, content in (("b", "123"), ("a {x}", ""), ("c", "1")):
        (tmp_path / f"{name}.{ending}").write_text(content)
    (tmp_path / "other.txt").touch()
    os.utime(tmp_path / f"b.{ending}", ns=(1, 12345678901))
    found = listed(tmp_path, kind)
    assert list(found) == [str(tmp_path / f"{name}.{ending}") for name in ("a {x}", "b", "c")]
    assert found[str(tmp_path / f"b.{ending}")] == [3, 12345678901]


def test_fetched_files_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resources/d/files").mkdir(parents=True)
    (tmp_path / "resources/d/files/z.nc").write_text("1234")
    (tmp_path / "a.nc").touch()
    found = listed(tmp_path, dataset="d", files=["a.nc", "https://x.org/z.nc"])
    assert list(found) == ["resources/d/files/z.nc", str(tmp_path / "a.nc")] and found["resources/d/files/z.nc"][0] == 4


def test_a_broken_link_is_refused(tmp_path):
    (tmp_path / "a.nc").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match="cannot access .*a.nc"):
        listed(tmp_path)
