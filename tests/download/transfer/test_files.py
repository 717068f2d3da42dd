"""One file from a URL, in blocks, from a web server and from a bucket."""

import subprocess
import sys
import time

import numpy as np
import pytest

from hindsight.download.transfer import files
from hindsight.errors import UserError
from hindsight.settings import Download
from tests.servers.gcs import Server

BLOCK = 10_000
NAME = "b/sub/a.nc"


@pytest.fixture
def content(tmp_path, monkeypatch):
    """A file of ten blocks and a bit."""
    monkeypatch.setattr(files, "BLOCK", BLOCK)
    path = tmp_path / "served" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(np.random.default_rng(0).bytes(10 * BLOCK + 123))
    return path.read_bytes()


def settings(server, **limits):
    limits = {"connections": 2, "retries": 2, "patience_seconds": 5.0, "timeout_seconds": 5.0} | limits
    options = {"endpoint_url": server.url} if limits.pop("google", False) else {}
    return Download.model_validate({"minimum_free_gb": 0.0, "bucket": {"options": options, **limits}})


def fetched(server, tmp_path, **limits):
    url = f"gs://{NAME}" if limits.get("google") else f"{server.url}/{NAME}"
    file = tmp_path / "files/a.nc"
    files.run(settings(server, **limits), url=url, file=file)
    assert [path.name for path in file.parent.iterdir()] == ["a.nc"], "something was left behind"
    return file.read_bytes()


@pytest.mark.parametrize("google", [False, True])
def test_a_file_arrives_whole_from_a_web_server_and_from_a_bucket(content, tmp_path, google, capsys):
    with Server(tmp_path / "served") as server:
        assert fetched(server, tmp_path, google=google) == content
        blocks = [served for served in server.log if served.kind == "media" and served.bytes > 1]
        assert len(blocks) == 11 and sum(served.bytes for served in blocks) == len(content)
    assert "download.files  11/11" in (log := capsys.readouterr().err) and "MB/s" in log


def test_a_server_without_ranges_sends_the_file_in_one_piece(content, tmp_path):
    with Server(tmp_path / "served", ranges=False) as server:
        assert fetched(server, tmp_path) == content
        assert {served.status for served in server.log if served.kind == "media"} == {200}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 3},
        {"truncate": 0.3, "times": 3},
        {"short": 0.3, "times": 2},
        {"reset": True, "times": 3},
        {"stall": 3.0, "times": 1},
    ],
)
def test_faults_that_pass_leave_no_trace(content, tmp_path, fault):
    with Server(tmp_path / "served") as server:
        server.fault(NAME, **fault)
        assert fetched(server, tmp_path, timeout_seconds=1.0) == content
        assert sum(s.bytes for s in server.log if s.whole and s.kind == "media") <= len(content) + 1


def test_a_failed_job_resumes(content, tmp_path):
    with Server(tmp_path / "served") as server:
        fault = server.fault(NAME, status=403, times=0)
        begun = len(server.log)

        def after_five(name, own=server.struck):
            fault.times = -1 if len(server.log) > begun + 7 else 0
            return own(name)

        server.struck = after_five
        with pytest.raises(UserError, match="refuses"):
            fetched(server, tmp_path)
        assert not (tmp_path / "files/a.nc").exists()
        there = len(list((tmp_path / "files/a.nc.blocks").glob("0*")))
        del server.struck
        server.faults.clear()
        server.log.clear()
        assert fetched(server, tmp_path) == content
        assert there >= 5 and len([s for s in server.log if s.kind == "media" and s.bytes > 1]) == 11 - there


def test_a_killed_job_resumes(content, tmp_path):
    code = "import sys; from hindsight.download.transfer import files; files.BLOCK = 10_000; "
    code += "from hindsight.cli import main; "
    (tmp_path / "files").mkdir()
    with Server(tmp_path / "served", latency=0.3) as server:
        text = '{"download": ' + settings(server, connections=1).model_dump_json() + "}"
        (tmp_path / "download.json").write_text(text)
        words = [
            "download.files",
            "--settings",
            "download.json",
            "--url",
            f"{server.url}/{NAME}",
            "--file",
            "files/a.nc",
        ]
        command = [sys.executable, "-c", code + "sys.exit(main(sys.argv[1:]))", *words]
        running = subprocess.Popen(command, cwd=tmp_path)
        while len([s for s in server.log if s.kind == "media"]) < 6:
            time.sleep(0.01)
        running.kill()
        running.wait()
        assert not (tmp_path / "files/a.nc").exists()
        assert subprocess.run(command, cwd=tmp_path).returncode == 0
        whole = [s for s in server.log if s.kind == "media" and s.bytes > 1]
    assert (tmp_path / "files/a.nc").read_bytes() == content and len(whole) <= 12


def test_blocks_of_a_file_that_has_changed_are_not_mixed(content, tmp_path):
    blocks = tmp_path / "files/a.nc.blocks"
    blocks.mkdir(parents=True)
    (blocks / "00000003").write_bytes(b"x" * BLOCK)
    (blocks / "file.json").write_text('{"url": "another"}')
    with Server(tmp_path / "served") as server:
        assert fetched(server, tmp_path) == content


def test_an_empty_file_is_a_file(tmp_path):
    (tmp_path / "served/b/sub").mkdir(parents=True)
    (tmp_path / "served" / NAME).touch()
    with Server(tmp_path / "served") as server:
        assert fetched(server, tmp_path) == fetched(server, tmp_path, google=True) == b""


@pytest.mark.parametrize("google", [False, True])
def test_a_missing_file_is_reported(content, tmp_path, google):
    with Server(tmp_path / "served") as server:
        url = "gs://b/sub/b.nc" if google else f"{server.url}/b/sub/b.nc"
        says = "there is no file .*b.nc.*" + ("did you mean a.nc" if google else "") + ".*check download.files"
        with pytest.raises(UserError, match=says):
            files.run(settings(server, google=google), url=url, file=tmp_path / "files/b.nc")
    assert not (tmp_path / "files/b.nc").exists()
