"""Faults of the machine: real ones where the test may mount a disk, and the library's own words elsewhere."""

import errno
import inspect
import os
import re
import subprocess
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file
from zarr import create_array

from hindsight import cli, settings, system_errors
from hindsight.fields import store
from hindsight.train import checkpoint

BIG = np.random.default_rng(0).random(10**6)
WRITERS = {
    "safetensors": lambda path: save_file({"a": torch.from_numpy(BIG)}, path),
    "netcdf": lambda path: xr.Dataset({"a": ("x", BIG)}).to_netcdf(path, engine="netcdf4"),
    "parquet": lambda path: pd.DataFrame({"a": BIG}).to_parquet(path),
    "zarr": lambda path: create_array(str(path), data=BIG),
    "text": lambda path: path.write_text("a" * 10**7),
}


@pytest.fixture
def disk(tmp_path):
    """A disk of a quarter of a megabyte, and a function that remounts it with other options."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = lambda *words: subprocess.run(["mount", *words, place], capture_output=True).returncode
    if mount("-t", "tmpfs", "-o", "size=256k", "tmpfs"):
        pytest.skip("may not mount a disk here (not root, or in a container without the right to)")
    yield place, lambda options: mount("-o", f"remount,{options}")
    subprocess.run(["umount", "-l", place], check=True)


def fault(write, path):
    """What a writer raises."""
    with pytest.raises(Exception) as found:
        write(path)
    return found.value


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_named_whatever_wrote_to_it(disk, kind):
    place = disk[0] / "a"
    said = system_errors.explain(fault(WRITERS[kind], place), "a.b", [place])
    assert said.startswith("the disk is full") and "free some space and run again" in said


def test_without_a_full_disk_a_library_that_says_little_is_a_bug(tmp_path):
    assert system_errors.explain(RuntimeError("NetCDF: HDF error"), "a.b", [tmp_path / "a"]) is None


@pytest.mark.parametrize("kind", WRITERS)
def test_a_disk_that_is_read_only_is_named_whatever_would_write_to_it(disk, kind):
    place, remount = disk
    remount("ro")
    said = system_errors.explain(fault(WRITERS[kind], place / "a"), "a.b", [place / "a"])
    assert said.startswith(f"the disk of {place} is read-only; mount it for writing") and said.count("\n") == 0


@pytest.fixture
def nobody(tmp_path):
    """Become somebody who is not root, for whom permissions hold."""
    if os.geteuid():
        yield
        return
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):  # those above are everybody's; workers have one of their own
        folder.chmod(0o755)
    os.seteuid(65534)
    yield
    os.seteuid(0)


READERS = {
    "netcdf": lambda path: xr.open_dataset(path, engine="netcdf4"),
    "parquet": pd.read_parquet,
    "text": lambda path: path.read_text(),
}


@pytest.mark.parametrize("kind", READERS)
def test_an_input_that_may_not_be_read_is_named_with_its_owner(tmp_path, kind, request):
    path = tmp_path / "a"
    WRITERS[kind](path)
    path.chmod(0)
    request.getfixturevalue("nobody")
    said = system_errors.explain(fault(READERS[kind], path), "a.b", [tmp_path / "other", path])
    assert said.startswith(f"you may not read {path}; ask its owner ({path.owner()})")


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_that_may_not_be_written_is_named_with_its_owner(tmp_path, kind, request):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    request.getfixturevalue("nobody")
    said = system_errors.explain(fault(WRITERS[kind], folder / "a"), "a.b", [tmp_path / "x", folder / "a"])
    assert said.startswith(f"you may not write in {folder}; ask its owner ({folder.owner()})")


def out_of_memory():
    np.empty(10**15)


def torch_out_of_memory():
    torch.empty(10**15)


@pytest.mark.parametrize("take", [out_of_memory, torch_out_of_memory])
@pytest.mark.parametrize(("step", "says"), [("reanalyse.shard", "; lower reanalyse.batch"), ("verify.score", "; give")])
def test_memory_that_ran_out_says_what_to_lower(take, step, says):
    with pytest.raises((MemoryError, RuntimeError)) as found:
        take()
    said = system_errors.explain(found.value, step, [])
    assert said.startswith("memory ran out (") and says in said and "give the job more" in said and "\n" not in said


def test_gpu_memory_that_ran_out_says_what_to_lower():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
    assert "Tried to allocate 2.00 GiB.); lower train.batch" in system_errors.explain(error, "train.prior", [])


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            "train.controller",
            "; lower controller.batch or controller.members, or set controller.recompute: true, or give",
        ),
        ("train.linear_prior", "; lower train.linear_prior.parts, or set or lower train.linear_prior.modes, or give"),
        ("train.audit", "; lower train.audit.windows or train.audit.frames, or give"),
        ("download.local", "; lower download.memory_mb, or give"),
        ("download.synthetic", "; lower download.synthetic.segments, or give"),
        ("download.manifest", "; give"),
        ("preprocess.moments", "; give"),
        ("reanalyse.plan", "; give"),
        ("archive.copy", "; give"),
    ],
)
def test_a_step_is_not_told_to_lower_settings_of_another_step_of_its_stage(step, says):
    assert f"memory ran out (x){says} the job more" in system_errors.explain(MemoryError("x"), step, [])


@pytest.mark.parametrize("step", cli.steps())
def test_what_to_lower_are_settings_that_the_step_is_given(step):
    run = import_module(cli.steps()[step].module).run
    names = {section: name for name, section in settings.SECTIONS.items()}
    given = {names[kind]: kind for p in inspect.signature(run).parameters.values() if (kind := p.annotation) in names}
    sections = {settings.PARTS.get(name, name): kind for name, kind in given.items()}
    said = system_errors.explain(MemoryError("x"), step, []).partition("; give")[0]
    for path in re.findall(r"[a-z_]+(?:\.[a-z_]+)+", said):
        first, *names_within = path.split(".")
        kind = sections[first]
        for name in names_within:
            kind = kind.model_fields[name].annotation


def test_only_steps_have_settings_to_lower():
    assert set(system_errors.LESS_MEMORY) <= set(cli.steps())


@pytest.mark.parametrize("text", ["[gloo/transport/tcp/pair.cc:534] Connection closed by peer [::1]:1", "NCCL error"])
def test_a_lost_training_process_is_explained(text):
    assert "another training process has ended" in system_errors.explain(RuntimeError(text), "train.prior", [])


@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        KeyError("a"),
        FileNotFoundError(errno.ENOENT, "no", "a"),
        RuntimeError("size mismatch"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
    ],
)
def test_anything_else_is_a_bug(error):
    assert system_errors.explain(error, "train.prior", []) is None


def test_an_error_is_found_in_the_chain_of_exceptions(tmp_path):
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "/a/b")
        except OSError:
            raise ValueError("cannot write") from None
    except ValueError as error:
        assert "the disk is full (/a/b)" in system_errors.explain(error, "a.b", [])


def test_a_full_disk_ends_a_step_with_one_line_and_no_partial_file(disk, capsys, monkeypatch):
    """By the command: what was half-made would keep the disk full, and even the log empty."""

    def run(*, scores: cli.Path, report: cli.Path) -> None:
        store.replace(report, WRITERS["netcdf"])

    monkeypatch.setattr("hindsight.verify.table.run", run)
    assert cli.main(["verify.table", "--scores", "a", "--report", str(disk[0] / "b")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hindsight verify.table: the disk is full") and said.count("\n") == 1
    assert not list(disk[0].iterdir())


def test_a_checkpoint_outlives_a_disk_that_fills_up(disk):
    """The one before is there, whole."""
    place, small, large = disk[0] / "c", torch.nn.Linear(2, 2), torch.nn.Linear(1000, 1000)
    save = lambda model, step: checkpoint.save(place, step, {}, {"m": model}, torch.optim.SGD(model.parameters()), {})
    save(small, 1)
    before = place.read_bytes()
    said = system_errors.explain(fault(lambda path: save(large, 2), place), "train.prior", [place])
    assert said.startswith("the disk is full") and place.read_bytes() == before
