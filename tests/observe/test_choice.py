"""Names, withholding by hash, blocks, regions and turns, denials: each against what it is defined to be."""

import json

import numpy as np
import pandas as pd
import pytest

from hindsight.errors import UserError
from hindsight.observe import choice
from hindsight.settings.networks import Stations, Withholding
from hindsight.settings.quality import Denial, read_denials


def table(count=400, days=1, seed=0):
    """Reports of stations all over the globe, one a day."""
    generator = np.random.default_rng(seed)
    latitude, longitude = generator.uniform(-80, 80, count), generator.uniform(-180, 180, count)
    part = pd.DataFrame({"station": [f"S{n:03d}" for n in range(count)], "latitude": latitude, "longitude": longitude})
    times = pd.date_range("2009-01-01T12", periods=days)
    return pd.concat([part.assign(time=time, channel="msl") for time in times], ignore_index=True)


def test_a_share_is_drawn_and_a_station_more_or_less_changes_no_other():
    whole = table()
    withheld = choice.is_withheld(whole, 0.2, Withholding(), 1, [])
    assert abs(withheld.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / len(whole))
    fewer = whole.drop(index=range(0, 400, 7))
    assert (choice.is_withheld(fewer, 0.2, Withholding(), 1, []) == withheld[fewer.index]).all()
    assert (choice.is_withheld(whole, 0.2, Withholding(), 2, []) != withheld).any()


def test_in_turns_every_station_is_withheld_once_in_the_inverse_of_the_share():
    whole = table(count=60, days=50)
    withheld = choice.is_withheld(whole, 0.2, Withholding(rotate_days=10), 3, [])
    days = whole.assign(withheld=withheld).groupby("station")["withheld"].sum()
    assert days.between(9, 11).all()  # a turn may begin within the period


def test_blocks_are_withheld_whole():
    whole = table(count=2000)
    withheld = choice.is_withheld(whole, 0.3, Withholding(block_degrees=10), 1, [])
    block = np.floor(whole["latitude"] / 10).astype(str) + np.floor(whole["longitude"] / 10).astype(str)
    assert pd.Series(withheld).groupby(block).nunique().max() == 1 and 0.2 < withheld.mean() < 0.4


def test_regions_and_names_are_withheld_besides_the_share(tmp_path):
    whole = table()
    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"mine": ["S001", "S002"]}))
    spec = Withholding(
        stations=Stations(file="lists.json", list="mine"),
        regions={"pacific": {"south": -20, "north": 20, "west": 170, "east": -150}},
    )
    withheld = choice.is_withheld(whole, 0.0, spec, 1, [lists])
    inside = whole["latitude"].between(-20, 20) & ((whole["longitude"] >= 170) | (whole["longitude"] <= -150))
    assert (withheld == (inside | whole["station"].isin(["S001", "S002"]))).all()


def test_a_choice_is_a_list_patterns_or_both(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("station,other\nES_1,x\nIE_2,y\n")
    names = ["ES_1", "ES_2", "IE_2", "DE_1"]
    assert choice.chosen(names, Stations(), []).all()
    assert choice.chosen(names, Stations(names=["ES_*", "DE_1"]), []).tolist() == [True, True, False, True]
    both = Stations(file="names.csv", names=["ES_*"])
    assert choice.chosen(names, both, [path]).tolist() == [True, False, False, False]


def test_a_list_that_is_not_there_is_told_with_those_that_are(tmp_path):
    path = tmp_path / "lists.json"
    path.write_text(json.dumps({"a": [], "b": []}))
    with pytest.raises(UserError, match="no list 'c'; it has a, b"):
        choice.names_of(path, "c")
    path.write_text("not json")
    with pytest.raises(UserError, match="cannot read names of stations"):
        choice.names_of(path, "a")


def test_denials_apply_to_a_station_a_channel_and_a_period(tmp_path):
    whole = table(count=5, days=10)
    path = tmp_path / "denied.csv"
    path.write_text(
        "station,channel,start,end,reason,size\nS001,msl,2009-01-03,2009-01-05,drift,3.5\nS00[34],t2m,,,moved,\n"
    )
    denials = read_denials(path)
    assert denials[1].start is None and denials[0].reason == "drift"
    denied = choice.is_denied(whole, denials)
    assert whole[denied].groupby("station").size().to_dict() == {"S001": 3}
    everywhere = choice.is_denied(whole, [Denial(station="*", end="2009-01-02", reason="test")])
    assert everywhere.sum() == 10


def test_folds_share_out_all_stations_and_blocks_stay_together():
    whole = table()
    for block in (None, 10.0):
        parts = np.array([choice.in_fold(whole, (k, 4), block, 1) for k in range(4)])
        assert (parts.sum(0) == 1).all() and (parts.sum(1) > 0).all()
    blocks = whole.assign(block=whole["latitude"] // 10 * 100 + whole["longitude"] // 10, fold=parts.argmax(0))
    assert (blocks.groupby("block")["fold"].nunique() == 1).all() and blocks["block"].nunique() > 4
    fewer = whole[whole["station"] != whole["station"].iloc[0]]
    assert (choice.in_fold(fewer, (0, 4), 10.0, 1) == parts[0][fewer.index]).all()
