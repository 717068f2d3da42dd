"""Who computes what is lazy."""

import os

import dask
import pytest

from hindsight.errors import UserError
from hindsight.preprocess.scheduler import scheduled


@pytest.mark.parametrize("name", ["synchronous", "threads", "processes", "distributed"])
def test_the_answer_is_the_same_whoever_computes(name):
    if name == "distributed":
        pytest.importorskip("distributed")
    with scheduled(name, 2):
        assert dask.compute(*[dask.delayed(pow)(k, 2) for k in range(5)]) == (0, 1, 4, 9, 16)
        process = dask.delayed(os.getpid)().compute()
    assert (process != os.getpid()) == (name in ("processes", "distributed"))


def test_a_cluster_that_runs_elsewhere_is_used_and_one_that_does_not_is_named(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        (tmp_path / "s.json").write_text(
            __import__("json").dumps(cluster.scheduler_info | {"address": cluster.scheduler_address})
        )
        with scheduled(cluster.scheduler_address, 1):
            assert dask.delayed(os.getpid)().compute() != os.getpid()
    monkeypatch.setattr("hindsight.preprocess.scheduler.PATIENCE", "1s")
    with pytest.raises(UserError, match="no Dask cluster answers at tcp://127.0.0.1:9"):
        with scheduled("tcp://127.0.0.1:9", 1):
            pass
