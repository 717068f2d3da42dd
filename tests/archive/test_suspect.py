"""The check of the archive finds suspect values, with variable, member, time and place."""

import json

import numpy as np
import pytest

from hindsight.archive import suspect
from hindsight.errors import UserError
from tests.archive.conftest import Small


def spoilt(folder, change, member=3, **settings):
    """An archive one member of which is changed in its second shard, of ten frames."""
    made = Small(folder, "2009-02-05T12:00", archive_settings={"title": "Small", "chunk_frames": 5} | settings)
    values, number = made.values, made.cuts[1].name

    def changed(shard, of):
        found = values(shard, of)
        if shard.name == number and of == member:
            change(found[:, 0])
        return found

    made.values = changed
    return made


def frozen(z500):
    z500[3:6] = z500[2]


def constant(z500):
    z500[3:6] = 54000


@pytest.mark.parametrize(("change", "says"), [(frozen, "repeats the frame before"), (constant, "is one number, 54000")])
def test_suspect_values_are_refused_with_member_and_time_unless_accepted(tmp_path, monkeypatch, change, says):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    made = spoilt(tmp_path / "a", change)
    with pytest.raises(UserError) as error:
        made.make()
    lines = [line for line in str(error.value).split("\n") if line.startswith("  ")]
    assert len(lines) == 1 and f"'z500' at member 3 {says}" in lines[0] and "archive.accepted" in str(error.value)
    assert lines[0].endswith("3 frames, 2009-01-14T12:00:00 to 2009-01-16T12:00:00")
    made.archive_settings["accepted"] = [{"start": "2009-01-14", "end": "2009-01-16"}]
    made.check()
    [found] = json.loads(made.result.read_text())["suspect"]
    assert (found["variable"], found["level"], found["frames"]) == ("z500", "member 3", 3)
    made.archive_settings["accepted"] = [{"start": "2009-01-15", "end": "2009-01-16"}]
    with pytest.raises(UserError, match="has suspect values"):
        made.check()


def test_a_suspect_mean_is_found(tmp_path):
    def jumps(z500):
        z500[5, :, :2] += 40 * np.ptp(z500)

    made = spoilt(tmp_path, jumps)
    with pytest.raises(UserError, match="'mean/z500' (departs|jumps).*, within 40 N to 44 N, 3 W to 2 W: "):
        made.make()


def test_a_jump_at_the_beginning_of_a_shard_is_not_suspect(tmp_path, monkeypatch):
    def another(z500):
        z500 += 40 * np.ptp(z500)

    spoilt(tmp_path / "a", another).make()
    monkeypatch.setattr(suspect.scan, "_begins", lambda seen, joints: np.arange(len(seen.times)) == 0)
    with pytest.raises(UserError, match="at member 3 jumps"):
        spoilt(tmp_path / "b", another).make()
