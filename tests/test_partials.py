"""Partial files: two processes at the same file, and what killed processes leave."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import xarray as xr

from hindsight import partials
from hindsight.archive import objects
from hindsight.fields import store


def dead():
    """The number of a process that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def test_a_job_that_lives_on_beside_its_successor_does_not_spoil_the_file(tmp_path, monkeypatch):
    """The first ends while the second is half-way: what is published is whole, at every moment."""
    path, half, ended, seen = tmp_path / "a", threading.Event(), threading.Event(), []

    def slow(own):
        with open(own, "wb") as file:
            file.write(b"x" * 10)
            file.flush()
            half.set()
            ended.wait(10)
            seen.append(path.read_bytes())
            file.write(b"x" * 90)

    def whole(own):
        own.write_bytes(b"x" * 100)
        with monkeypatch.context() as patch:
            patch.setattr(partials.os, "getpid", lambda: os.getppid())  # another process, which is alive
            second.start()
            half.wait(10)

    second = threading.Thread(target=lambda: store.replace(path, slow))
    store.replace(path, whole)
    ended.set()
    second.join()
    assert seen == [b"x" * 100] and path.read_bytes() == b"x" * 100
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_partial_files_of_dead_processes_are_deleted_and_others_kept(tmp_path):
    path, host = tmp_path / "a[1].nc", socket.gethostname()
    owners = (f"{dead()}.{host}", f"{os.getppid()}.{host}", "7.elsewhere.org")
    gone, living, elsewhere = (tmp_path / f"a[1].nc.{owner}.partial" for owner in owners)
    for found in (gone, living, elsewhere):
        found.write_text("half")
    partials.sweep(path)
    assert not gone.exists() and living.exists() and elsewhere.exists()
    os.utime(elsewhere, (0, 0))
    partials.sweep(path)
    assert not elsewhere.exists() and living.exists()


@pytest.fixture
def folders(tmp_path):
    """A folder in its place, and a new one for it."""
    for name in ("a.zarr", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text(name)
    return tmp_path / "new", tmp_path / "a.zarr"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rename_fails(monkeypatch, *numbers):
    """Renames fail by their numbers, from 1."""
    calls, plain = [], Path.rename

    def rename(self, target):
        calls.append(target)
        if len(calls) in numbers:
            raise OSError(errno.EIO, "Input/output error")
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", rename)


def killed_at_rename(monkeypatch, number, host=None):
    """As if kill -9 came at a rename: that rename and what follows do not happen, and the process is gone."""
    rename_fails(monkeypatch, *range(number, 9))
    monkeypatch.setattr(
        partials, "remove", lambda path: None if path.name.endswith(partials.OLD_SUFFIX) else remove(path)
    )
    gone = dead()
    monkeypatch.setattr(partials.os, "getpid", lambda: gone)
    if host:
        monkeypatch.setattr(partials.socket, "gethostname", lambda: host)


remove = partials.remove


def test_a_folder_takes_the_place_of_another(folders):
    new, path = folders
    os.utime(path, (0, 0))
    partials.swap(new, path)
    assert names(path.parent) == ["a.zarr"] and (path / "content").read_text() == "new"
    remove(path)
    other = path.with_name("other")
    other.mkdir()
    partials.swap(other, path)  # nothing is there
    assert names(path.parent) == ["a.zarr"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_rename_that_fails_leaves_the_folder_that_was_there(folders, monkeypatch, number):
    new, path = folders
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output"):
        rename_fails(patch, number)
        partials.swap(new, path)
    assert names(path.parent) == ["a.zarr", "new"] and (path / "content").read_text() == "a.zarr"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_folder_renamed_by_a_killed_process_is_restored_or_deleted(folders, monkeypatch, number):
    """Killed before the old one was aside, before the new one was there, and before the old one was deleted."""
    new, path = folders
    with monkeypatch.context() as patch, suppress(OSError):
        killed_at_rename(patch, number)
        partials.swap(new, path)
    assert path.exists() == (number != 2)
    partials.sweep(path)
    done = number == 3
    assert names(path.parent) == (["a.zarr"] if done else ["a.zarr", "new"])
    assert (path / "content").read_text() == ("new" if done else "a.zarr")


def test_a_folder_renamed_by_another_machine_is_kept_for_a_minute(folders, monkeypatch):
    new, path = folders
    os.utime(path, (0, 0))
    with monkeypatch.context() as patch, suppress(OSError):
        killed_at_rename(patch, 2, host="elsewhere")
        partials.swap(new, path)
    partials.sweep(path)
    assert not path.exists()  # it may be at work
    old = next(path.parent.glob("a.zarr.*"))
    os.utime(old, (time.time() - 61,) * 2)
    partials.sweep(path)
    assert (path / "content").read_text() == "a.zarr"


def test_stores_files_and_objects_sweep_before_them(tmp_path):
    owner = f"{dead()}.{socket.gethostname()}.partial"
    (tmp_path / f"s.zarr.{owner}").mkdir()
    for name in ("f", "o"):
        (tmp_path / f"{name}.{owner}").write_text("half")
    store.write(xr.Dataset({"a": ("x", [1.0])}), tmp_path / "s.zarr")
    store.replace(tmp_path / "f", lambda own: own.write_text("whole"))
    objects.put(tmp_path / "o", b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "o", "s.zarr"]
