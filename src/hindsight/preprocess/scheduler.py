"""Dask schedulers: threads, processes, a cluster on this machine, or a cluster elsewhere."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import dask

from hindsight.errors import UserError

TIMEOUT = "30s"  # of a connection to a cluster


@contextmanager
def use_scheduler(scheduler: str, workers: int) -> Iterator[None]:
    """Compute lazy arrays with a scheduler, as a context manager.

    Args:
        scheduler: as in the setting `preprocess.scheduler`.
        workers: number of threads or processes; of no effect on a cluster that runs elsewhere.

    Raises:
        UserError: if a cluster cannot be reached, or `distributed` is not installed.
    """
    if scheduler == "processes":  # one pool for all blocks: Dask would start new processes for each
        with (
            ProcessPoolExecutor(workers, get_context("spawn")) as pool,
            dask.config.set(scheduler=scheduler, pool=pool),
        ):
            yield
        return
    if scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler, num_workers=workers):
            yield
        return
    with _client(scheduler, workers):
        yield


def _client(scheduler: str, workers: int) -> object:
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            f"preprocess.scheduler: {scheduler} needs the package distributed, a dependency of hindsight that "
            "is not installed; install hindsight again (make setup), or set it to threads"
        ) from None
    try:
        if scheduler == "distributed":
            return Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        if scheduler.startswith("file:"):
            return Client(scheduler_file=scheduler.removeprefix("file:"), timeout=TIMEOUT)
        return Client(scheduler, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask cluster answers at {scheduler} ({error}); start it (`dask scheduler`, `dask worker`), or set "
            "preprocess.scheduler: threads"
        ) from None
