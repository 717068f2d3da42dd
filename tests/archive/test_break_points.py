"""Break points of a small archive: each kind where it was planted, and the table of changes at seams."""

import json

import numpy as np
import pandas as pd
import pytest

from hindsight.archive import break_points
from hindsight.settings import Archive, Reanalyse
from tests.archive.conftest import Small


def published(made, counts=lambda day: 20):
    """The break points of an archive whose days have some number of observations of a land station."""
    folder = made.folder / "archive/feedback"
    folder.mkdir(exist_ok=True)
    for cut in made.cuts:
        times = np.repeat(cut.times(24), [counts(day) for day in cut.times(24).astype("datetime64[D]")])
        rows = {"time": times, "code": 0, "platform": "land station", "channel": "msl"}
        pd.DataFrame(rows).to_parquet(folder / f"{cut.name}.parquet")
    tables, result = made.folder / "archive/observations.json", made.folder / "archive/break_points.json"
    tables.write_text(json.dumps({"folder": "feedback"}))
    settings = Archive(**made.archive_settings)
    break_points.run(made.domain, made.product, made.reanalyse, settings, markers=made.markers, tables=[tables],
                     revisions=made.folder / "archive/revisions", archive=made.archive, result=result)  # fmt: skip
    return json.loads(result.read_text())


def kinds(found):
    return [(one["time"][:10], one["kind"]) for one in found["break_points"]]


def rewrite(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def halo(small):
    """The small archive, whose jobs knew two frames before and after their shards, as far as there are any."""
    small.reanalyse = Reanalyse(halo=2)
    for cut, path in zip(small.cuts, small.markers):
        rewrite(path, stretch=cut.with_halo(2, 2, small.domain).name)
    return small


def test_the_first_frame_is_a_stream_and_the_others_are_seams(halo):
    found = published(halo)
    assert kinds(found) == [("2009-01-01", "stream"), ("2009-01-11", "seam"), ("2009-01-21", "seam")]


def test_a_shard_without_halo_is_a_stream_and_one_after_a_former_end_is_growth(halo):
    rewrite(halo.markers[1], stretch="20090109T12_12")  # two frames before, none after
    assert kinds(published(halo))[1:] == [("2009-01-11", "seam"), ("2009-01-21", "growth")]
    rewrite(halo.markers[1], stretch="20090111T12_12")
    assert kinds(published(halo))[1:] == [("2009-01-11", "stream"), ("2009-01-21", "seam")]


def test_another_prior_and_another_version_are_named_with_both(halo):
    blocks = [block | {"prior": "cd" * 32} for block in json.loads(halo.markers[2].read_text())["blocks"]]
    rewrite(halo.markers[2], blocks=blocks, hindsight="9.9")
    *_, prior, version = published(halo)["break_points"]
    assert (prior["kind"], prior["time"]) == ("prior", "2009-01-21T12:00:00")
    assert prior["what"] == "prior cdcdcdcdcdcd after abababababab"
    assert version["kind"] == "version" and version["what"].startswith("written by hindsight 9.9 after ")


def test_a_shard_that_was_made_again_is_a_revision(halo):
    path = halo.folder / "archive/revisions" / halo.markers[1].name
    first = json.loads(path.read_text())["versions"][0]
    name = next(iter(first["objects"]))
    again = first | {"when": "2026-01-01T00:00:00+00:00", "objects": first["objects"] | {name: "other"}}
    path.write_text(json.dumps({"versions": [first, again]}))
    [found] = [one for one in published(halo)["break_points"] if one["kind"] == "revision"]
    assert found["time"] == "2009-01-11T12:00:00"
    assert found["what"] == "made again, to 2009-01-20T12:00: made again from other analyses"


def test_a_lasting_change_of_the_network_is_listed(halo):
    halo.archive_settings["network_change"] = {"share": 0.3, "days": 5}
    found = published(halo, lambda day: 40 if day < np.datetime64("2009-01-14") else 10)["break_points"]
    [change] = [one for one in found if one["kind"] == "network"]
    assert change["what"] == "msl from land station: 40 a day, then 10"
    assert change["time"] == "2009-01-14T00:00:00" and (change["before"], change["after"]) == (40, 10)


def test_a_jump_at_seams_has_a_ratio_and_independent_frames_have_none(tmp_path):
    for jump in (False, True):
        made = Small(tmp_path / str(jump), "2009-04-10T12:00")
        values = made.values

        def jumping(shard, member, values=values, jump=jump, made=made):
            number = [cut.name for cut in made.cuts].index(shard.name)
            return values(shard, member) + jump * (number % 2) * 200

        made.values = jumping
        made.lay_out()
        for number in range(len(made.cuts)):
            made.write(number)
        rows = {row["channel"]: row for row in published(made)["changes"]}
        assert {row["hour"] for row in rows.values()} == {12} and rows["msl"]["seams"] == 9
        assert (rows["msl"]["lower"] > 2) if jump else (0.8 < rows["msl"]["ratio"] < 1.25)


def test_the_same_archive_has_the_same_bytes(halo):
    published(halo)
    path = halo.folder / "archive/break_points.json"
    before = path.read_bytes()
    published(halo)
    assert path.read_bytes() == before
