"""The command line."""

import contextlib
import errno
import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from hindsight import cli, settings, system_errors
from hindsight.errors import UserError
from hindsight.settings import Settings
from hindsight.signals import Stopped


def test_help_lists_every_step_with_its_sentence(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for step in (
        "download.local",
        "preprocess.regrid",
        "observe.simulate",
        "train.prior",
        "reanalyse.shard",
        "baselines.optimal_interpolation",
        "verify.score",
        "archive.check",
    ):
        assert step in text
    assert all(step.sentence for step in cli.steps().values())


def test_every_option_of_a_step_has_help():
    used = {
        parameter.name
        for module, _ in cli.steps().values()
        for parameter in inspect.signature(import_module(module).run).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert used == set(cli.OPTIONS)


def test_an_option_that_has_its_own_help_in_a_step_exists():
    for name in cli.OPTIONS_OF_STEPS:
        step, option = name.split(" --")
        assert option in inspect.signature(import_module(cli.steps()[step].module).run).parameters, name


@pytest.mark.parametrize("step", ["", "verify.table"])
def test_help_may_be_piped_to_a_reader_that_stops_early(step):
    command = f"{sys.executable} -m hindsight {step} --help | true"
    done = subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["verify.nonsense", "verify", "verify.style", "nonsense.score", ".score", "verify.*"])
def test_an_unknown_step_is_one_line_and_exit_2(capsys, name):
    assert cli.main([name]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "there is no step" in err and "verify.score" in err


def test_a_step_gets_its_sections_and_paths(tmp_path):
    file = tmp_path / "verify.json"
    file.write_text(settings.stage_settings(Settings(), "verify"))
    run = cli._step("verify.score")
    sections, paths = cli._parse(
        "verify.score",
        run,
        ["--settings", str(file), "--statistics", "a.nc", "b.nc", "--normalisation", "n.nc", "--scores", "s.nc"],
    )
    assert [type(s).__name__ for s in sections] == ["Domain", "Verify"]
    assert [p.name for p in paths["statistics"]] == ["a.nc", "b.nc"]


def parsed(tmp_path, *files):
    """The list that `--files` gives to a step that asks for one."""
    (tmp_path / "download.json").write_text(settings.stage_settings(Settings(), "download"))
    words = ["--settings", str(tmp_path / "download.json"), "--files", *map(str, files), "--catalogue", "c"]
    return cli._parse("download.catalogue", cli._step("download.catalogue"), words)[1]["files"]


@pytest.mark.parametrize("listed", [["a b.nc", "c{d}.nc"], {"e'f\n.nc": [1, 2], "@g.json": [3, 4]}, []])
def test_a_list_of_paths_may_come_from_a_file(tmp_path, listed):
    file = tmp_path / "a list.json"
    file.write_text(json.dumps(listed))
    assert parsed(tmp_path, f"@{file}") == [Path(name) for name in listed]


def test_what_only_looks_like_a_list_is_a_path(tmp_path):
    assert parsed(tmp_path, "@a.nc") == [Path("@a.nc")] and parsed(tmp_path, "@a.json", "b") == [
        Path("@a.json"),
        Path("b"),
    ]


@pytest.mark.parametrize("text", [None, "{", "3", "[1]"])
def test_a_wrong_list_of_files_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "list.json").write_text(text)
    with pytest.raises(UserError, match="cannot read the list of files .*list.json"):
        parsed(tmp_path, f"@{tmp_path / 'list.json'}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot read the settings file"),
        ("{", "cannot read the settings file"),
        (json.dumps({"domain": {}}), "no section 'verify'"),
        (json.dumps({"domain": {"x": 1}, "verify": {}}), "mistakes"),
    ],
)
def test_a_wrong_settings_file_is_refused(tmp_path, capsys, text, says):
    file = tmp_path / "s.json"
    if text is not None:
        file.write_text(text)
    assert (
        cli.main(
            ["verify.score", "--settings", str(file), "--statistics", "a", "--normalisation", "n", "--scores", "s"]
        )
        == 2
    )
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (UserError("mend this"), "hindsight verify.table: mend this"),
        (ValueError("odd"), "failed (ValueError: odd); see its log for the traceback"),
    ],
)
def test_the_progress_file_gets_the_error(monkeypatch, tmp_path, fault, says):
    def run(*, scores: Path, report: Path) -> None:
        raise fault

    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setattr("hindsight.verify.table.run", run)
    with contextlib.suppress(ValueError):
        cli.main(["verify.table", "--scores", "a", "--report", "b"])
    assert says in (tmp_path / "progress").read_text()


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device", "/a/b"), OSError(errno.EDQUOT, "Quota")]
)
def test_a_full_disk_is_a_sentence(monkeypatch, capsys, tmp_path, fault):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))

    def run(*, scores: Path, report: Path) -> None:
        raise fault

    monkeypatch.setattr("hindsight.verify.table.run", run)
    assert cli.main(["verify.table", "--scores", "a", "--report", "b"]) == 2
    said = capsys.readouterr().err
    assert (
        "the disk is full" in said
        and "free some space and run again" in said
        and said in (tmp_path / "progress").read_text()
    )
    assert ("/a/b" in said) == (fault.filename is not None)


@pytest.mark.parametrize(
    ("stop", "says"),
    [
        (
            "at step 3 of 9; saved",
            "hindsight verify.table: stopped by SIGTERM at step 3 of 9; saved; run snakemake again",
        ),
        ("", ""),  # of a team, one says it for all
    ],
)
def test_a_step_stopped_by_sigterm_says_where_it_stopped(monkeypatch, capsys, stop, says):
    def run(*, scores: Path, report: Path) -> None:
        raise Stopped(stop)

    monkeypatch.setattr("hindsight.verify.table.run", run)
    assert cli.main(["verify.table", "--scores", "a", "--report", "b"]) == 143
    said = capsys.readouterr().err
    assert said.startswith(says) and said.count("\n") == bool(says)


def test_a_file_without_the_right_to_read_is_not_called_damaged(monkeypatch, capsys):
    """A reader that advises to delete what it cannot read would have the user delete what is whole."""

    def run(*, scores: Path, report: Path) -> None:
        try:
            raise PermissionError(errno.EACCES, "Permission denied", "/nowhere/a")
        except OSError as error:
            raise UserError(f"cannot read it ({error}); delete it") from None

    monkeypatch.setattr("hindsight.verify.table.run", run)
    monkeypatch.setattr(system_errors, "_may", lambda path, what: False)
    assert cli.main(["verify.table", "--scores", "a", "--report", "b"]) == 2
    assert "delete" not in (said := capsys.readouterr().err) and "you may not" in said


@pytest.mark.parametrize(
    ("command", "job"),
    [
        (
            "reanalyse.shard --shard 2004T00_4 --analysis results/demo/reanalyse/stations/diffusion/2004T00_4-1.nc",
            "reanalyse.shard stations 2004T00_4-1",
        ),
        ("reanalyse.plan --observations a b --plan results/demo/reanalyse/sparse/plan.json", "reanalyse.plan sparse"),
        ("preprocess.moments --piece pieces/2004T00_4.zarr/zarr.json --moments m.nc", "preprocess.moments 2004T00_4"),
        ("download.grib --part 2004T00_4 --marker m", "download.grib 2004T00_4"),
        ("verify.table --scores a --report", "verify.table"),
    ],
)
def test_a_job_is_named_by_the_network_and_shard_or_piece_that_it_works_on(command, job):
    name, *options = command.split()
    assert cli._job(name, options) == job


def test_a_progress_file_that_cannot_be_written_is_ignored(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "gone/progress"))
    assert cli.main(["verify.nonsense"]) == 2 and "there is no step" in capsys.readouterr().err
