"""Who computes what is lazy."""

import os

import dask
import pytest

from hindsight.errors import UserError
from hindsight.preprocess.scheduler import use_scheduler


@pytest.mark.parametrize("name", ["synchronous", "threads", "processes", "distributed"])
def test_all_schedulers_give_the_same_result(name):
    if name == "distributed":
        pytest.importorskip("distributed")
    with use_scheduler(name, 2):
        assert dask.compute(*[dask.delayed(pow)(k, 2) for k in range(5)]) == (0, 1, 4, 9, 16)
        process = dask.delayed(os.getpid)().compute()
    assert (process != os.getpid()) == (name in ("processes", "distributed"))


def test_a_running_cluster_is_used_and_one_that_does_not_answer_is_named(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        (tmp_path / "s.json").write_text(
            __import__("json").dumps(cluster.scheduler_info | {"address": cluster.scheduler_address})
        )
        with use_scheduler(cluster.scheduler_address, 1):
            assert dask.delayed(os.getpid)().compute() != os.getpid()
    monkeypatch.setattr("hindsight.preprocess.scheduler.TIMEOUT", "1s")
    with pytest.raises(UserError, match="no Dask cluster answers at tcp://127.0.0.1:9"):
        with use_scheduler("tcp://127.0.0.1:9", 1):
            pass
