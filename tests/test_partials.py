"""What is half made: two at the same file, and what the dead leave."""

import os
import socket
import subprocess
import sys
import threading

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


def test_what_the_dead_left_is_swept_and_what_the_living_make_is_not(tmp_path):
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


def test_stores_files_and_objects_sweep_before_them(tmp_path):
    owner = f"{dead()}.{socket.gethostname()}.partial"
    (tmp_path / f"s.zarr.{owner}").mkdir()
    for name in ("f", "o"):
        (tmp_path / f"{name}.{owner}").write_text("half")
    store.write(xr.Dataset({"a": ("x", [1.0])}), tmp_path / "s.zarr")
    store.replace(tmp_path / "f", lambda own: own.write_text("whole"))
    objects.put(tmp_path / "o", b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "o", "s.zarr"]
