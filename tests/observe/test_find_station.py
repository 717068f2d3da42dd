"""The shards that used a station, by hand: used, withheld and denied reports of two networks."""

import numpy as np
import pandas as pd
import pytest

from hindsight.errors import UserError
from hindsight.fields import observations as tables
from hindsight.fields.usage import CODES, DENIED
from hindsight.observe import find_station


def shard(folder, network, name, stations, quality=0, withheld=False):
    count = len(stations)
    table = pd.DataFrame(
        {
            "time": pd.date_range("2009-01-01", periods=count),
            "latitude": 45.0,
            "longitude": np.arange(count) * 1.0,
            "level": np.nan,
            "channel": "msl",
            "value": 101000.0,
            "error": 100.0,
            "platform": "land",
            "station": stations,
            "quality": quality,
            "withheld": withheld,
            "source": "test",
            "footprint": "",
        }
    )
    path = folder / network / f"{name}.parquet"
    tables.write(table, path, coded=True)
    return path


def test_shards_that_used_a_station(tmp_path, capsys):
    paths = [
        shard(tmp_path, "thin", "20090101T00", ["A", "B", "A"]),
        shard(tmp_path, "thin", "20090401T00", ["A"], quality=CODES[DENIED]),
        shard(tmp_path, "other", "20090101T00", ["A"], withheld=True),
        shard(tmp_path, "other", "20090401T00", ["B"]),
    ]
    found = pd.concat([find_station.of_shard(path, "A") for path in paths], ignore_index=True)
    assert found["network"].tolist() == ["thin", "thin", "other"]
    assert found["shard"].tolist() == ["20090101T00", "20090401T00", "20090101T00"]
    assert found["reason"].tolist() == ["used", DENIED, "withheld"] and found["reports"].tolist() == [2, 1, 1]
    assert found["last"].iloc[0] == pd.Timestamp("2009-01-03")
    find_station.run(station="A", observations=paths)
    printed = capsys.readouterr()
    assert "used in 1 of 4 shards" in printed.err and "station denied" in printed.out
    assert set(find_station.of_shard(paths[0], "*")["station"]) == {"A", "B"}


def test_an_unknown_station_is_said_to_be_one(tmp_path):
    path = shard(tmp_path, "thin", "20090101T00", ["A"])
    with pytest.raises(UserError, match="none of the 1 tables holds a station 'C'"):
        find_station.run(station="C", observations=[path])
