"""What jobs use: memory and time that grow with every try and with the fields, devices, processes on several nodes."""

import json
import math
import os
from pathlib import Path

from snakemake.exceptions import WorkflowError

SCRIPTS = os.path.join(workflow.basedir, "workflow/scripts")
os.environ.update(PATH=os.pathsep.join([*os.get_exec_path(), SCRIPTS]))


def memory(mb: int):
    """Memory (MB), as much again with every try: a job that ran out of it gets more."""
    return lambda wildcards, attempt: mb * attempt


def planned(mb: int):
    """Memory (MB) that the plan forecasts for a job, and this much at least; as much again with every try.

    Three tenths more than the forecast, which a long stretch may miss by half of that, and half a GB for the two
    Snakemakes that a job on a cluster holds beside its step.
    """
    return lambda wildcards, input, attempt: (
        attempt * max(mb, round(1.3 * forecast_mb(input.plan) + 500))
    )


def squared(mb: int, each: float, frames: int = 1, when: bool = True):
    """Memory (MB) for a square of the values of some frames, `each` bytes a number, and 0.7 GB for all else.

    This much at least, and as much again with every try. How many values a frame has is written in the store of fields;
    before it is there nobody asks.
    """
    return lambda wildcards, input, attempt: (
        attempt
        * max(
            mb, when * round(each * (frames * values_of(input.fields)) ** 2 / 1e6 + 700)
        )
    )


def values_of(fields: str) -> int:
    """Values of a frame of a store of fields; none where it is not there yet."""
    array = Path(fields).parent / "fields/zarr.json"
    if not array.is_file():
        return 0
    return math.prod(json.loads(array.read_text())["shape"][1:])


def forecast_mb(plan: str) -> float:
    """What a plan says that a job takes (MB); nothing, where there is none yet."""
    there = Path(plan)
    if not there.is_file():
        return 0
    try:
        return json.loads(there.read_text())["host_bytes"]["value"] / 1e6
    except (ValueError, KeyError, TypeError) as error:
        raise WorkflowError(
            f"{plan}: it does not say the memory that a job takes, so it is damaged ({error!r}). "
            "Make it again by `snakemake plans --forcerun plan` with the --profile and --configfile of this run; were it "
            "deleted, the shards that are there would be made again."
        ) from None


def minutes(time: int):
    """Time (minutes), as much again with every try."""
    return lambda wildcards, attempt: time * attempt


def together(train) -> str:
    """What starts the processes that train together, before their command."""
    if train.processes == 1:
        return ""
    here = train.processes // train.nodes
    if train.nodes == 1:
        return f"torchrun --standalone --nproc-per-node {here} --no-python "
    return f"across-nodes {train.nodes} {here} {train.threads} "


def nodes(train) -> dict:
    """What a job on several nodes asks for besides: it starts its own tasks, one a node."""
    if train.nodes == 1:
        return {}
    cpus = train.threads * train.processes // train.nodes
    return {
        "nodes": train.nodes,
        "tasks": train.nodes,
        "tasks_per_gpu": 0,  # or the plugin takes `tasks` for it
        "cpus_per_task": cpus,
        "mpi": "srun",
    }
