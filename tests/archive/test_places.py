"""Observations of a page: the right rows at the right frames, and an account of the others."""

import numpy as np
import pandas as pd
import pytest

from hindsight.archive import places
from hindsight.archive.places import Frames, Tally, at_places
from hindsight.errors import UserError
from hindsight.verify import feedback
from tests.archive import pages

START = np.datetime64("2009-01-01T12", "ns")
CHANNELS = ["z500", "msl"]


@pytest.fixture
def table(small):
    return pages.rows(small)


def written(folder, *parts):
    paths = [folder / f"part{number}.parquet" for number in range(len(parts))]
    for path, part in zip(paths, parts):
        feedback.write(part, path)
    return paths


def unpacked(found, frames):
    """Code, value and departure of each series, (S, T), in units."""
    code = pages.unpacked(found["code"])
    there, filled = ~np.isnan(code), {}
    steps = np.array([found["channels"][channel]["step"] for _, channel in found["series"]])[:, None]
    for name in ("value", "departure"):
        filled[name] = np.full(code.shape, np.nan)
        filled[name][there] = pages.unpacked(found[name])[:, 0]
        filled[name] *= steps
    assert code.shape == (len(found["series"]), len(frames))
    return code, filled["value"], filled["departure"]


@pytest.mark.parametrize("stride", [1, 3])
def test_rows_are_at_their_station_and_frame(table, tmp_path, stride):
    """A table that is read in two parts, its rows in disorder."""
    frames = Frames(START, 24, 25, stride)
    mixed = table.sample(frac=1, random_state=0)
    found = at_places(written(tmp_path, mixed[:30], mixed[30:]), CHANNELS, frames, 10_000)
    code, value, departure = unpacked(found, frames)
    number = np.arange(0, 25, stride)
    order = [name for name, *_ in found["places"]]
    for row, (place, channel) in enumerate(found["series"]):
        station = "ABC".index(order[place])
        assert found["channels"][channel]["name"] == "z500" and (code[row] == [0, 1, 9][station]).all()
        np.testing.assert_allclose(value[row], 54_000 + 10 * number + station - 5, atol=1)
        np.testing.assert_allclose(departure[row], number - 7.0, atol=1)
    assert found["channels"][0]["step"] == 2.0  # a tenth of the observation error, of which half is the rounding
    assert found["rows"] == {"all": 75, "shown": 3 * len(number), "places": 3}
    assert found["channels"][0]["codes"] == {"0": 25, "1": 25, "9": 25}
    assert found["reasons"] == {0: "used", 1: "withheld", 9: "far from its neighbours"}


def test_the_best_of_several_rows_at_a_time_is_shown(table, tmp_path):
    worse = table[table["station"] == "A"].assign(code=3, obsvalue=0.0)
    frames = Frames(START, 24, 25, 1)
    found = at_places(written(tmp_path, pd.concat([worse, table])), CHANNELS, frames, 10_000)
    code, value, _ = unpacked(found, frames)
    assert (code[[place for place, _ in found["series"]].index(0)] == 0).all() and value.min() > 50_000
    assert found["rows"] == {"all": 100, "shown": 75, "places": 3}


def test_rows_between_frames_and_outside_are_counted_but_not_shown(table, tmp_path):
    late = table.assign(time=table["time"] + np.timedelta64(1, "h"))
    before = table.assign(time=table["time"] - np.timedelta64(24 * 40, "h"))
    found = at_places(written(tmp_path, late, before), CHANNELS, Frames(START, 24, 25, 1), 10_000)
    assert found["rows"] == {"all": 150, "shown": 0, "places": 3}


def test_of_too_many_places_those_with_most_rows_are_shown(table, tmp_path):
    """A mobile platform is at as many places as it has rows."""
    ship = table[table["station"] == "A"].assign(station="ship", longitude=np.linspace(-3, 2, 25))
    found = at_places(written(tmp_path, ship, table), CHANNELS, Frames(START, 24, 25, 1), 75)
    assert sorted(name for name, *_ in found["places"]) == ["A", "B", "C"]
    assert found["rows"] == {"all": 100, "shown": 75, "places": 28}


def test_equal_places_are_chosen_all_over_the_map(tmp_path, table):
    """A network of 400 stations with a row each, named from south to north."""
    many = pd.concat([table[:1]] * 400, ignore_index=True)
    many = many.assign(station=[f"{n:04d}" for n in range(400)], latitude=np.linspace(40, 44, 400))
    keys = Tally.of(written(tmp_path, many)).chosen(100)
    chosen = np.array([north for _, north, _, _ in keys])
    assert len(keys) == 100 and abs(np.histogram(chosen, 4, (40, 44))[0] - 25).max() < 13


def test_memory_of_the_count_is_bounded(table, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MOST", 20)
    many = pd.concat([table[:1]] * 100, ignore_index=True).assign(longitude=np.linspace(-3, 2, 100))
    tally = Tally.of(written(tmp_path, table, many, many.assign(latitude=41.0)))
    assert len(tally.series) <= 20 and tally.rows == 275
    assert {key[0] for key in tally.chosen(3)} == {"A", "B", "C"}


def test_what_is_observed_knows_the_channels_that_it_depends_on(table, tmp_path):
    parts = [table, table.assign(channel="sp", obs_error=100.0), table.assign(channel="ozone")]
    found = at_places(written(tmp_path, *parts), ["t850", "msl", "z500"], Frames(START, 24, 25, 1), 10_000)
    about = {one["name"]: one for one in found["channels"]}
    assert about["sp"]["of"] == ["msl", "t850"] and about["sp"]["units"] == "Pa" and about["sp"]["step"] == 10.0
    assert about["ozone"]["of"] == [] and about["z500"]["of"] == ["z500"] and about["z500"]["units"] == "m² s⁻²"


def test_no_observations_are_none(table, tmp_path):
    found = at_places(written(tmp_path, table[:0]), CHANNELS, Frames(START, 24, 25, 1), 100)
    assert found["series"] == found["places"] == found["channels"] == []
    assert found["rows"] == {"all": 0, "shown": 0, "places": 0}


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"x\.parquet"):
        Tally.of([tmp_path / "x.parquet"])
