"""The map of stations: places on the map, colours of uses, the bounded size of series; seen in test_page.py."""

import json

import numpy as np
import pandas as pd
import pytest

from hindsight.verify import station_map
from hindsight.verify.station_map import Projection
from tests.verify import worlds


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    found = worlds.summarised(folder, worlds.make(folder, worlds.BOX))
    return {name: pd.read_csv(path) for name, path in found.items()}


def part(summary, grid=worlds.BOX, coast=()):
    made = station_map.page_part(summary["stations"], summary["series"], grid, list(coast), {"msl": "msl (Pa)"})
    return made | {"data": json.loads(made["data"])}


def test_stations_have_the_numbers_of_the_tables(summary):
    found = {(one["station"], one["channel"]): one for one in part(summary)["data"]["stations"]}
    rows = summary["stations"].query("analysis == 'diffusion'")
    assert len(found) == len(rows) == 24
    for row in rows.itertuples():
        one = found[(row.station, row.channel)]
        assert one["rmse"] == pytest.approx(row.rmse, rel=5e-3) and one["uses"] == {row.use: row.rows}
        assert one["ratio"] == pytest.approx(1 / row.spread_skill, rel=5e-3)
        series = summary["series"].query(f"station == '{row.station}' and channel == '{row.channel}'")
        assert [point[1] for point in one["series"]] == pytest.approx(series["bias"].tolist(), rel=5e-3)
        assert sum(point[4] for point in one["series"]) == row.rows


def test_a_station_is_where_the_coast_is():
    """A coastline through a place passes its mark, on a box over the date line and on the globe."""
    for grid, east in ((worlds.BOX, -3.5), (worlds.GLOBE, -170.0), (worlds.GLOBE, 190.0)):
        projection = Projection(grid)
        x, y = projection.place(np.array([47.0]), np.array([east]))
        path = projection.path([np.array([[(east + 180) % 360 - 180, 47.0], [0.0, 44.0]])])
        width, height = map(float, projection.box.split()[2:])
        assert [float(word) for word in path[1:].split("L")[0].split()] == pytest.approx([x[0], y[0]], abs=width / 2000)
        assert 0 <= x[0] <= width and 0 <= y[0] <= height


def test_a_box_is_as_wide_as_it_is_on_the_sphere():
    """33 degrees of longitude at 47.5 degrees north, by 18 of latitude."""
    width, height = map(float, Projection(worlds.BOX).box.split()[2:])
    assert width == pytest.approx(33 * np.cos(np.deg2rad(47.5)), abs=0.01) and height == 18


def test_series_of_the_stations_that_depart_least_are_left_out_and_counted(summary, monkeypatch):
    monkeypatch.setattr(station_map, "POINTS", 5 * 64)
    made = part(summary)
    have = ["series" in one for one in made["data"]["stations"]]
    ratios = [one["ratio"] for one in made["data"]["stations"]]
    assert have == sorted(have, reverse=True) and ratios == sorted(ratios, reverse=True)
    assert made["left_out"] == 24 - sum(have) > 0
    assert sum(len(one.get("series", [])) for one in made["data"]["stations"]) <= 5 * 64


def test_a_station_that_is_not_used_has_its_code_and_no_score(summary):
    rows = summary["stations"].query("analysis == 'diffusion'").head(1)
    denied = rows.assign(station="d", use="station denied", rmse=np.nan, bias=np.nan, spread_skill=np.nan)
    made = part(summary | {"stations": pd.concat([summary["stations"], denied])})["data"]
    one = next(one for one in made["stations"] if one["station"] == "d")
    assert one["main"] == "station denied" and one["rmse"] is None and "series" not in one
    assert list(made["uses"]) == ["used", "withheld", "station denied"] and len(set(made["uses"].values())) == 3


def test_no_name_of_a_station_ends_the_script(summary):
    rows = summary["stations"].assign(station="</script>")
    text = station_map.page_part(rows, summary["series"], worlds.BOX, [], {})["data"]
    assert "</script>" not in text and json.loads(text)["stations"][0]["station"] == "</script>"


def test_without_stations_there_is_no_map(summary):
    assert station_map.page_part(summary["stations"].iloc[:0], summary["series"], worlds.BOX, [], {}) is None
