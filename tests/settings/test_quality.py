"""Denials from a file."""

import pytest

from hindsight.errors import UserError
from hindsight.settings.quality import read_denials


def test_rows_of_a_file_are_denials_and_comments_are_not(tmp_path):
    path = tmp_path / "denied.csv"
    path.write_text(
        "# looked through\nstation,channel,start,end,reason,size\n"
        'S1,msl,2009-01-03,2009-01-05,drift,3.5\n"S,2",,,,moved,\n'
    )
    first, second = read_denials(path)
    assert (first.station, first.channel, first.reason) == ("S1", "msl", "drift") and first.end > first.start
    assert second.station == "S,2" and second.start is second.end is second.channel is None


def test_a_list_of_denials_without_reasons_is_refused(tmp_path):
    path = tmp_path / "denied.csv"
    path.write_text("station,start\nS001,2009-01-03\n")
    with pytest.raises(UserError, match="station, channel, start, end, reason"):
        read_denials(path)
