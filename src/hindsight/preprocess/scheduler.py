"""Who computes: Dask's threads, processes, a cluster on this machine, or one that runs elsewhere."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import dask

from hindsight.errors import UserError

PATIENCE = "30s"  # for a cluster to answer


@contextmanager
def scheduled(scheduler: str, workers: int) -> Iterator[None]:
    """Compute what is lazy with a scheduler.

    Args:
        scheduler: as in `preprocess.scheduler`.
        workers: threads or processes; a cluster that runs elsewhere has its own.

    Raises:
        UserError: if a cluster cannot be reached, or `distributed` is not installed.
    """
    if scheduler == "processes":  # the same ones all along: Dask would start them anew for every block
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
            f"preprocess.scheduler: {scheduler} needs the package distributed, which hindsight asks for and is not "
            "here; set hindsight up again (make setup), or set it to threads"
        ) from None
    try:
        if scheduler == "distributed":
            return Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        if scheduler.startswith("file:"):
            return Client(scheduler_file=scheduler.removeprefix("file:"), timeout=PATIENCE)
        return Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask cluster answers at {scheduler} ({error}); start it (`dask scheduler`, `dask worker`), or set "
            "preprocess.scheduler: threads"
        ) from None
