"""Progress."""

import time

from hindsight import progress
from hindsight.progress import Progress


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    tell = Progress("work", 100, quiet_seconds=30)
    tell(0)
    for done in range(1, 101):
        now[0] += 1.0
        tell(done, f"loss {done}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and "\r" not in "".join(lines)
    assert lines[0].startswith("work  30/100  0:30, 1:10 to go") and lines[-1].startswith("work  100/100")


def test_a_resumed_job_counts_its_pace_from_where_it_began(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    tell = Progress("work", 100, quiet_seconds=1)
    tell(50)
    now[0] = 10.0
    tell(60)
    assert "60/100  0:10, 0:40 to go" in capsys.readouterr().err


def test_a_follower_is_told_every_few_seconds_whatever_the_log_gets(capsys, monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    tell = Progress("work", 100, quiet_seconds=1000)
    for done in range(1, 13):
        now[0] += 1.0
        tell(done)
    assert (tmp_path / "progress").read_text().splitlines() == [
        "work  5/100  0:05, 1:35 to go",
        "work  10/100  0:10, 1:30 to go",
    ]
    assert capsys.readouterr().err == ""


def test_who_waits_hears_of_work_that_tells_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setattr(progress, "FOLLOWED_SECONDS", 0.2)
    with progress.alive("train.prior"):
        time.sleep(1.2)
        progress.doing("compiling the network")
        time.sleep(1.2)
    lines = (tmp_path / "progress").read_text().splitlines()
    assert lines[0] == "train.prior  0:00  at work" and lines[-1].endswith("compiling the network")
    assert 3 <= len(lines) <= 5 and capsys.readouterr().err == ""  # a log is left alone


def test_work_that_tells_of_itself_is_not_talked_over(tmp_path, monkeypatch):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    with progress.alive("work"):
        tell = Progress("work", 100)
        tell.followed -= 10
        tell(1)
        time.sleep(1.2)
    assert (tmp_path / "progress").read_text().splitlines() == ["work  1/100  0:00, 0:00 to go"]
