"""Which series of messages belong to a channel."""

import pandas as pd
import pytest

from hindsight.download.grib import series as grib_series
from hindsight.errors import UserError
from hindsight.settings.lexicon import CHANNELS


def inventory(*series: tuple) -> pd.DataFrame:
    names = ["paramId", "shortName", "cfVarName", "typeOfLevel", "level", "member"]
    return pd.DataFrame(series, columns=names)


LEVELS = [(130, "t", "t", "isobaricInhPa", level, -1) for level in (500.0, 850.0)]
TWO_METRES = [(167, "2t", "t2m", "heightAboveGround", 2.0, -1)]
MEMBERS = [(130, "t", "t", "isobaricInhPa", 500.0, member) for member in range(3)]


def test_a_channel_is_found_by_parameter_and_level_or_by_a_name():
    held = inventory(*LEVELS, *TWO_METRES, (228228, "tp", "tp", "surface", 0.0, -1), (131, "u", "u", "hybrid", 1.0, -1))
    found = grib_series.of_channels(held, [CHANNELS[name] for name in ("t850", "t2m", "tp6")], None)
    assert {name: rows.index.tolist() for name, rows in found.items()} == {"t850": [1], "t2m": [2], "tp6": [3]}


@pytest.mark.parametrize(
    ("setting", "series", "member"), [(None, MEMBERS, 0), (2, MEMBERS, 2), (None, MEMBERS + LEVELS, -1)]
)
def test_the_member_is_the_one_asked_for_or_deterministic_or_the_control(setting, series, member):
    found = grib_series.of_channels(inventory(*series), [CHANNELS["t500"]], setting)
    assert found["t500"]["member"].tolist() == [member]


@pytest.mark.parametrize(
    ("series", "channels", "member", "says"),
    [
        (
            TWO_METRES,
            ["d2m"],
            None,
            r"no variable for channel d2m \(parameter 168, 2d or tdps or d2m.*did you mean.*2t.*\?\); add",
        ),
        (LEVELS, ["msl"], None, r"no variable for channel msl .*they have t\)"),
        (
            LEVELS,
            ["t300"],
            None,
            "'t', but not at level 300 hPa, for channel t300 .*InhPa 500, isobaricInhPa 850",
        ),
        ([(134, "sp", "sp", "hybrid", 1.0, -1)], ["sp"], None, "'sp', but not at the surface or near it"),
        (MEMBERS, ["t500"], 7, r"no member 7 \(they have members 0, 1, 2\); set download.grib.member"),
        (MEMBERS[1:], ["t500"], None, "no deterministic fields and no control .*members 1, 2"),
        (LEVELS, ["t500"], 3, "no member 3 .*deterministic ones.*set download.grib.member: null"),
        (MEMBERS + TWO_METRES, ["t500", "t2m"], 1, "no member 1 of channel t2m .*deterministic ones"),
        (MEMBERS + TWO_METRES, ["t500", "t2m"], None, "no deterministic field of channel t500 .*members 0, 1, 2"),
    ],
)
def test_a_missing_variable_level_or_member_is_refused_with_those_of_the_files(series, channels, member, says):
    with pytest.raises(UserError, match=says):
        grib_series.of_channels(inventory(*series), [CHANNELS[name] for name in channels], member)
