"""Progress."""

import time

from hindsight import progress
from hindsight.progress import Progress


def test_a_log_gets_few_lines_and_one_at_the_end(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    report = Progress("work", 100, quiet_seconds=30)
    report(0)
    for done in range(1, 101):
        now[0] += 1.0
        report(done, f"loss {done}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and "\r" not in "".join(lines)
    assert lines[0].startswith("work  30/100  0:30, 1:10 to go") and lines[-1].startswith("work  100/100")


def test_the_eta_of_a_resumed_job_is_based_on_its_own_steps(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    report = Progress("work", 100, quiet_seconds=1)
    report(50)
    now[0] = 10.0
    report(60)
    assert "60/100  0:10, 0:40 to go" in capsys.readouterr().err


def test_an_attempt_with_twice_the_steps_has_its_own_total(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    report = Progress("work", 4, quiet_seconds=3)
    for done in (1, 2, 1, 2, 3, 4, 5, 6, 7, 8):  # the first attempt diverges
        now[0] += 1.0
        report(done)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("work  8/8") and not any("-" in line for line in lines)


def test_the_progress_file_gets_a_line_every_few_seconds_whatever_the_log_gets(capsys, monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    report = Progress("work", 100, quiet_seconds=1000)
    for done in range(1, 13):
        now[0] += 1.0
        report(done)
    assert (tmp_path / "progress").read_text().splitlines() == [
        "work  5/100  0:05, 1:35 to go",
        "work  10/100  0:10, 1:30 to go",
    ]
    assert capsys.readouterr().err == ""


def test_the_heartbeat_reports_work_without_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.2)
    with progress.heartbeat("train.prior"):
        time.sleep(1.2)
        progress.announce("compiling the network")
        time.sleep(1.2)
    lines = (tmp_path / "progress").read_text().splitlines()
    assert lines[0] == "train.prior  0:00  at work" and lines[-1].endswith("compiling the network")
    assert 3 <= len(lines) <= 5 and capsys.readouterr().err == ""  # a log is left alone


def test_phases_of_a_step_share_its_clock_and_name_their_unit(tmp_path, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.heartbeat("work"):
        for phase in ("first", "second"):
            report = Progress(f"work, {phase}", 4, "days", quiet_seconds=1000)
            now[0] += 10.0
            report(1)
    lines = (tmp_path / "progress").read_text().splitlines()
    assert lines == ["work, first  1/4 days  0:10, 0:30 to go", "work, second  1/4 days  0:20, 0:30 to go"]


def test_every_line_of_a_job_begins_with_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.2)
    with progress.heartbeat("reanalyse.shard stations 20041201T00_184-0"):
        time.sleep(1.2)
        report = Progress("reanalyse.shard, rows", 4)
        time.sleep(0.3)
        report(4)
    lines = [*(tmp_path / "progress").read_text().splitlines(), *capsys.readouterr().err.splitlines()]
    assert all(line.startswith("reanalyse.shard stations 20041201T00_184-0") for line in lines)
    assert lines[-1].endswith("-0, rows  4/4  0:01, 0:00 to go")


def test_the_heartbeat_is_silent_during_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    with progress.heartbeat("work"):
        report = Progress("work", 100)
        report.reported -= 10
        report(1)
        time.sleep(1.2)
    assert (tmp_path / "progress").read_text().splitlines() == ["work  1/100  0:00, 0:00 to go"]
