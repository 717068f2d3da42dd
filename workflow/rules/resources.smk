"""Resources of jobs: memory and time, which grow with each attempt, and processes on several nodes."""

import json
import math
import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

SCRIPTS = os.path.join(workflow.basedir, "workflow/scripts")
os.environ.update(PATH=os.pathsep.join([*os.get_exec_path(), SCRIPTS]))


def memory(mb: int):
    """Memory (MB) times the number of the attempt, so that a job that ran out of memory gets more."""
    return lambda wildcards, attempt: mb * attempt


def forecast_memory(mb: int):
    """Memory (MB) that the plan forecasts for a job, at least `mb`; times the number of the attempt.

    Adds 30 % to the forecast, which is up to 15 % too low for a long stretch, and 500 MB for the two Snakemake
    processes that run beside a step on a cluster.
    """
    return lambda wildcards, input, attempt: (
        attempt * max(mb, round(1.3 * forecast_mb(input.plan) + 500))
    )


def matrix_memory(mb: int, each: float, frames: int = 1, when=True):
    """Memory (MB) for a square matrix over all values of some frames, of `each` bytes an element, plus 700 MB.

    At least `mb`; times the number of the attempt. `when` says whether there is such a matrix, or is a function of the
    wildcards that does. The store of fields says how many values a frame has; Snakemake needs the memory only once that
    store exists.
    """
    return lambda wildcards, input, attempt: (
        attempt
        * max(
            mb,
            (when(wildcards) if callable(when) else when)
            * round(each * (frames * values_per_frame(input.fields)) ** 2 / 1e6 + 700),
        )
    )


def functions_memory(mb: int, each: float, prior, otherwise):
    """Memory (MB) for `each` bytes per pair of functions of latitude, plus 700 MB; at least `mb`.

    Pairs are counted within each channel and among the modes, for every wavenumber; on a region, which has none, the
    functions are of its points. Times the number of the attempt. A linear prior that keeps no residual needs the memory
    of `otherwise`.
    """
    if not (prior.residual and (prior.modes or prior.truncation)):
        return otherwise

    def needed(wildcards, input, attempt):
        channels, height, width = shape_of_frame(input.fields)
        waves = width // 2 + 1
        if prior.basis == "empirical":
            height, waves = height * width, 1
        modes = min(prior.modes or math.inf, channels * height)
        pairs = waves * (channels * height**2 + modes**2)
        return attempt * max(mb, round(each * pairs / 1e6 + 700))

    return needed


def values_per_frame(fields: str) -> int:
    """Number of values in a frame of a store of fields; 0 if the store does not exist yet."""
    return math.prod(shape_of_frame(fields))


def shape_of_frame(fields: str) -> list[int]:
    """Channels, latitudes and longitudes of a store of fields; zeros if the store does not exist yet."""
    array = Path(fields).parent / "fields/zarr.json"
    if not array.is_file():
        return [0, 0, 0]
    return json.loads(array.read_text())["shape"][1:]


def forecast_mb(plan: str) -> float:
    """Memory of a job (MB) according to a plan; 0 if the plan does not exist yet."""
    path = Path(plan)
    if not path.is_file():
        return 0
    try:
        return json.loads(path.read_text())["host_bytes"]["value"] / 1e6
    except (ValueError, KeyError, TypeError) as error:
        raise WorkflowError(
            f"{plan}: it lacks the memory of a job, so it is damaged ({error!r}). "
            "Make it again by `snakemake plans --forcerun plan` with the --profile and --configfile of this run; do "
            "not delete it, which would make finished shards run again."
        ) from None


def minutes(time: int):
    """Time (minutes) times the number of the attempt."""
    return lambda wildcards, attempt: time * attempt


def launcher(train) -> str:
    """The command prefix that starts the processes of data-parallel training."""
    if train.processes == 1:
        return ""
    per_node = train.processes // train.nodes
    if train.nodes == 1:
        return f"torchrun --standalone --nproc-per-node {per_node} --no-python "
    return f"across-nodes {train.nodes} {per_node} {train.threads} "


def nodes(train) -> dict:
    """Resources of a job on several nodes, which starts one task on each node itself."""
    if train.nodes == 1:
        return {}
    cpus = train.threads * train.processes // train.nodes
    return {
        "nodes": train.nodes,
        "tasks": train.nodes,
        "tasks_per_gpu": 0,  # otherwise the SLURM plugin takes `tasks` for tasks per GPU
        "cpus_per_task": cpus,
        "mpi": "srun",
    }
