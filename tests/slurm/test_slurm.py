"""The pipeline through a real SLURM, whose jobs are cancelled, hang, are preempted, and lose their node.

`make test` goes as far as the archive, `make test-all` to the end.
"""

import json
import os
import shutil
import subprocess

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.slurm import faults, ring
from tests.workflow import test_lorenz96
from tests.workflow.test_europe import products

ON_GPUS = {"prior", "audit", "shard", "plan"}
ARCHIVE = "results/lorenz96/archive/check.json"
PORT = str(37000 + os.getpid() % 500 * 10)  # others may test at the same time


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The folder of a cluster that runs while this module's tests do, and leaves nothing behind."""
    folder = tmp_path_factory.mktemp("slurm")
    started = call(folder, "start")
    if started.returncode:
        pytest.skip(f"no SLURM here: {started.stderr.strip()}")
    yield folder
    call(folder, "stop")
    assert [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])] == []


@pytest.fixture(scope="module")
def alone():
    """What gives the folder of the run as the local profile makes it: SLURM's jobs do not wait for it."""
    return test_lorenz96.whole


@pytest.fixture(scope="module")
def struck(tmp_path_factory, cluster):
    """The run through SLURM up to the archive: its folder, and the watch that saw to it that things went wrong."""
    planned = {"static": faults.lose, "simulate": faults.cancel, "layout": faults.hang, "prior": faults.preempt}
    watch, folder = faults.Watch(ring.environment(cluster), planned), tmp_path_factory.mktemp("struck")
    watch.start()
    done = ring.make(folder, ring.configuration(), "slurm", ARCHIVE, *ring.IN_TESTS, cluster=cluster, check=False)
    watch.look()
    watch.over.set()
    watch.join()
    assert done.returncode == 0, done.stdout[-6000:]
    return folder, watch


def call(folder, word, **environment):
    return subprocess.run(
        [ring.CLUSTER, word, str(folder)],
        capture_output=True,
        text=True,
        env=ring.environment() | {"PORT": PORT} | environment,
    )


def same(ours: dict, theirs: dict) -> bool:
    """Whether products have the bytes that others of their names have."""
    return not [name for name in ours if ours[name] != theirs[name]]


def test_whatever_went_wrong_the_bytes_are_those_of_the_local_profile(alone, struck):
    folder = struck[0]
    assert json.loads((folder / ARCHIVE).read_text())["complete"]
    ours, theirs = products(folder), products(alone())
    assert same(ours, theirs) and any("reanalysis.zarr" in name for name in ours)


@pytest.mark.slow
def test_so_are_those_of_the_baselines_and_the_verification(tmp_path, cluster, alone, struck):
    shutil.copytree(struck[0], folder := tmp_path / "run")
    ring.make(folder, ring.configuration(), "slurm", *ring.IN_TESTS, cluster=cluster)
    ours, theirs = products(folder), products(alone())
    assert set(ours) == set(theirs) and same(ours, theirs)


def test_a_cancelled_job_is_tried_again_with_twice_the_memory_and_the_time(struck):
    first, second = struck[1].tries("simulate")
    assert "CANCELLED" in first.states and second.states[-1] == "COMPLETED"
    assert [job.record["MinMemoryNode"] for job in (first, second)] == ["1500M", "3000M"]
    assert [job.record["TimeLimit"] for job in (first, second)] == ["01:00:00", "02:00:00"]


def test_a_job_that_is_over_its_time_is_tried_again(struck):
    first, second = struck[1].tries("layout")
    assert "TIMEOUT" in first.states and second.states[-1] == "COMPLETED"


def test_a_job_whose_node_is_lost_is_queued_again_by_slurm(struck):
    (job,) = struck[1].tries("static")
    assert job.record["Restarts"] == "1" and job.states[-1] == "COMPLETED"


def test_a_preempted_job_gives_way_and_is_made_later(struck):
    (urgent,) = [job for job in struck[1].jobs.values() if job.rule == "urgent"]
    *given_way, last = struck[1].tries("prior")
    assert urgent.states[-1] == last.states[-1] == "COMPLETED"
    if given_way:  # it left while it could, and was submitted again
        (first,) = given_way
        assert first.states[-1] == "FAILED" and first.record["PreemptTime"] != "None"
        assert first.record["EndTime"] <= urgent.record["StartTime"]  # times of one form, so letters compare
    else:  # SLURM queued it again
        assert last.record["Restarts"] == "1"


def test_every_job_is_where_the_profile_puts_it(struck):
    jobs = [job for job in struck[1].jobs.values() if job.rule != "urgent"]
    assert ON_GPUS & {job.rule for job in jobs}
    for job in jobs:
        expected = ("gpu", "gres:gpu:1") if job.rule in ON_GPUS else ("cpu", None)
        assert (job.record["Partition"], job.record.get("TresPerJob")) == expected, job


@pytest.mark.slow
def test_training_on_two_nodes_is_training_with_two_processes_on_one(tmp_path, cluster, alone):
    target, priors = "results/lorenz96/train/prior.safetensors", {}
    on_gpus = ("--set-resources", "prior:slurm_partition=gpu", "prior:gpu=2")
    for nodes, profile, more in ((1, "local", ("--cores", "2")), (2, "slurm", (*ring.IN_TESTS, *on_gpus))):
        folder = tmp_path / f"{nodes}"
        shutil.copytree(alone(), folder)
        train = {"processes": 2, "nodes": nodes, "steps": 4, "keep": "last", "average": 0.0, "warmup": 1}
        config = ring.configuration({"train": train})
        ring.make(folder, config, profile, target, *more, cluster=cluster if nodes > 1 else None)
        priors[nodes] = load_file(folder / target)
    assert apart(priors[1], priors[2]) < 2e-5
    assert apart(priors[2], load_file(alone() / target)) > 1e-3  # it has learnt something


def apart(one, other):
    """How far two priors are apart, in their worst weight."""
    assert list(one) == list(other)
    one, other = (torch.cat([value.double().flatten() for value in prior.values()]) for prior in (one, other))
    return (one - other).abs().max().item()


def test_several_nodes_without_slurm_are_refused_in_words(tmp_path, alone):
    folder = tmp_path / "run"
    shutil.copytree(alone(), folder)
    config = ring.configuration({"train": {"processes": 2, "nodes": 2}})
    done = ring.make(folder, config, "local", "--cores", "2", "results/lorenz96/train/prior.safetensors", check=False)
    assert done.returncode and "train.nodes is 2, and this is no SLURM job; run with --profile" in done.stdout


def test_a_second_cluster_in_the_same_folder_and_missing_packages_are_refused_in_words(tmp_path, cluster):
    again = call(cluster, "start")
    assert again.returncode == 3 and "stop it first" in again.stderr
    for name in ("bash", "id", "hostname", "realpath"):
        (tmp_path / name).symlink_to(shutil.which(name))
    bare = call(tmp_path, "start", PATH=str(tmp_path))
    assert bare.returncode == 4 and "apt-get install" in bare.stderr
    assert call(tmp_path, "status").returncode == 3
