"""Copies of many objects: when to retry, when to give up, and that no object is fetched twice."""

import asyncio
import os
import shutil

import pytest

from hindsight import partials
from hindsight.download.transfer import fetch
from hindsight.download.transfer.fetch import Fetcher, FetchProgress
from hindsight.errors import UserError
from hindsight.progress import Progress
from hindsight.settings.download import Bucket
from hindsight.transfer_errors import TransferError

KEYS = [f"a/{k}" for k in range(8)]


class Scripted:
    """A source with given answers: for each key the errors before the object arrives."""

    def __init__(self, troubles=None, pause=0.0):
        self.troubles, self.requests, self.pause, self.at_once, self.most = troubles or {}, [], pause, 0, 0

    async def copy(self, key, path):
        self.requests.append(key)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(self.pause)
            if self.troubles.get(key):
                raise self.troubles[key].pop(0)
            path.write_text(key)
        finally:
            self.at_once -= 1


def limits(**more):
    return Bucket.model_validate({"connections": 3, "retries": 2, "patience_seconds": 5.0} | more)


def ignore(key, path):
    pass


def busy():
    return TransferError("busy", "503")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.01)


def test_objects_arrive_and_those_in_place_are_not_fetched(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/3").write_text("there")
    source, looked = Scripted(), []
    found = Fetcher("here", limits()).fetch(source, KEYS, tmp_path, lambda key, path: looked.append(key), ignore_size)
    assert (found.objects, found.bytes, found.missing) == (7, 21, [])
    assert sorted(source.requests) == sorted(set(KEYS) - {"a/3"}) and sorted(looked) == KEYS
    assert (tmp_path / "a/3").read_text() == "there" and (tmp_path / "a/4").read_text() == "a/4"


def ignore_size(size):
    pass


def test_parallel_copies_are_limited(tmp_path):
    source = Scripted(pause=0.01)
    Fetcher("here", limits()).fetch(source, KEYS, tmp_path, ignore, ignore_size)
    assert source.most == 3


def test_an_object_that_fails_for_a_while_is_retried(tmp_path):
    source = Scripted({"a/1": [busy(), TransferError("silent", "reset"), busy()]})
    found = Fetcher("here", limits()).fetch(source, KEYS, tmp_path, ignore, ignore_size)
    assert source.requests.count("a/1") == 4 and found.objects == 8


def test_an_object_that_fails_while_others_arrive_is_given_up_after_its_retries(tmp_path):
    source, keys = Scripted({"a/1": [busy() for _ in range(100)]}, pause=0.002), [f"a/{k}" for k in range(500)]
    with pytest.raises(UserError, match=r"here: a/1 has failed 3 times \(503\) while others arrived; what has been"):
        Fetcher("here", limits()).fetch(source, keys, tmp_path, ignore, ignore_size)
    assert 3 <= source.requests.count("a/1") <= 4


def test_while_nothing_arrives_patience_is_the_limit_and_not_retries(tmp_path, monkeypatch):
    """Every object fails twenty times, far more often than `retries`; then all arrive."""
    monkeypatch.setattr(fetch, "LONGEST_PAUSE", 0.02)
    source = Scripted({key: [busy() for _ in range(20)] for key in KEYS[:3]})
    found = Fetcher("here", limits()).fetch(source, KEYS, tmp_path, ignore, ignore_size)
    assert found.objects == 8


def test_a_silent_server_is_given_up_when_patience_ends(tmp_path):
    source = Scripted({key: [TransferError("silent", "nobody") for _ in range(1000)] for key in KEYS})
    with pytest.raises(UserError, match=r"here has sent nothing for \d+ s \(a/\d: nobody\)"):
        Fetcher("here", limits(patience_seconds=0.3)).fetch(source, KEYS, tmp_path, ignore, ignore_size)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_refusal_is_final(tmp_path):
    source = Scripted({"a/0": [TransferError("refused", "403")]})
    with pytest.raises(UserError, match="here refuses a/0 .403.*download.bucket.options"):
        Fetcher("here", limits()).fetch(source, KEYS, tmp_path, ignore, ignore_size)
    assert source.requests.count("a/0") == 1


def test_missing_objects_are_listed_and_no_error(tmp_path):
    source = Scripted({key: [FileNotFoundError(key)] for key in ("a/5", "a/2")})
    found = Fetcher("here", limits()).fetch(source, KEYS, tmp_path, ignore, ignore_size)
    assert found.missing == ["a/2", "a/5"] and found.objects == 6 and source.requests.count("a/2") == 1


def test_an_object_that_fails_its_check_is_fetched_again(tmp_path):
    seen = []

    def keep(key, path):
        seen.append(key)
        if key == "a/2" and seen.count(key) < 3:
            path.unlink()
            raise busy()

    source = Scripted()
    found = Fetcher("here", limits()).fetch(source, KEYS, tmp_path, keep, ignore_size)
    assert source.requests.count("a/2") == 3 and found.objects == 10


def test_a_bug_keeps_its_traceback(tmp_path):
    def keep(key, path):
        raise KeyError(key)

    with pytest.raises(KeyError):
        Fetcher("here", limits()).fetch(Scripted(), KEYS, tmp_path, keep, ignore_size)


def test_a_partial_object_is_not_put_in_its_place(tmp_path):
    class Half(Scripted):
        async def copy(self, key, path):
            path.write_text("half")
            raise TransferError("refused", "cut")

    with pytest.raises(UserError):
        Fetcher("here", limits()).fetch(Half(), KEYS, tmp_path, ignore, ignore_size)
    assert {path.suffix for path in (tmp_path / "a").iterdir()} == {".partial"}


def test_two_jobs_that_fetch_the_same_do_not_spoil_each_others_files(tmp_path, monkeypatch):
    """The first is half-way in every object when the second comes and goes; each writes whole files of its own."""
    places = []

    class Slow(Scripted):
        async def copy(self, key, path):
            path.write_bytes(b"x" * 10)
            places.append(path)
            if len(places) == 1:
                with monkeypatch.context() as patch:
                    patch.setattr(partials.os, "getpid", lambda: os.getppid())
                    await Fetcher("here", limits())._copy(Slow(), key, tmp_path / key)
            assert path.read_bytes() == b"x" * 10
            path.write_bytes(b"x" * 100)

    Fetcher("here", limits(connections=1)).fetch(Slow(), ["a/0"], tmp_path, ignore, ignore_size)
    assert len(set(places)) == 2 and [path.name for path in (tmp_path / "a").iterdir()] == ["0"]
    assert (tmp_path / "a/0").read_bytes() == b"x" * 100


def test_a_folder_removed_by_another_job_is_not_taken_for_a_missing_object(tmp_path):
    class Robbed(Scripted):
        async def copy(self, key, path):
            shutil.rmtree(tmp_path / "a")
            path.write_text("x")

    with pytest.raises(UserError, match="a was removed while objects were copied to it.*run snakemake again"):
        Fetcher("here", limits()).fetch(Robbed(), ["a/0"], tmp_path, ignore, ignore_size)


def test_pauses_double_with_jitter_and_end_with_patience():
    asking = Fetcher("here", limits(patience_seconds=1000.0))
    for number in range(1, 12):
        whole = min(fetch.FIRST_PAUSE * 2 ** (number - 1), fetch.LONGEST_PAUSE)
        assert whole / 2 <= asking._pause(number) <= whole
    assert Fetcher("here", limits(patience_seconds=0.0))._pause(10) <= 0.05


def test_progress_shows_objects_and_rate(capsys):
    progress = FetchProgress(Progress("fetch", 3), 1)
    progress.began -= 2.0
    progress(30_000_000)
    progress(60_000_000)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("fetch  3/3") and line.endswith("30.0 MB/s")


def test_after_a_failure_objects_already_being_copied_still_arrive(tmp_path):
    class Slow(Scripted):
        async def copy(self, key, path):
            await asyncio.sleep(0.0 if key == "a/0" else 0.1)
            await super().copy(key, path)

    source = Slow({"a/0": [TransferError("refused", "403")]})
    with pytest.raises(UserError, match="refuses a/0"):
        Fetcher("here", limits()).fetch(source, KEYS, tmp_path, ignore, ignore_size)
    assert sorted(source.requests) == ["a/0", "a/1", "a/2"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["1", "2"]
