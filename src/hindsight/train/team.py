"""Processes that train together: each has its rows of every batch, and all move by the mean of their gradients.

They are started by torchrun, which tells each its rank in the environment.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hindsight.errors import UserError


@dataclass(frozen=True)
class Team:
    """One process among `size`; `rank` 0 leads: it validates, tells and writes."""

    rank: int = 0
    size: int = 1
    sharing: int = 1  # processes that share this one's memory

    @property
    def leads(self) -> bool:
        """Whether this process is the one that tells and writes."""
        return self.rank == 0

    def rows(self, batch: int) -> range:
        """The rows of a batch that are this process's."""
        own = batch // self.size
        return range(self.rank * own, (self.rank + 1) * own)

    def joined(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over all processes on the way back."""
        return DistributedDataParallel(model, broadcast_buffers=False) if self.size > 1 else model

    def apart(self, model: nn.Module) -> AbstractContextManager:
        """While it lasts gradients are only added up, for the parts of a batch before the last."""
        return model.no_sync() if self.size > 1 else nullcontext()

    def told(self, values: object) -> object:
        """What the leader has, at every process."""
        if self.size == 1:
            return values
        box = [values]
        distributed.broadcast_object_list(box)
        return box[0]

    def mean(self, value: torch.Tensor) -> float:
        """The mean of a number over all processes."""
        if self.size > 1:
            value = value.detach().clone()
            distributed.all_reduce(value)
        return value.item() / self.size

    def leave(self) -> None:
        """Part."""
        if self.size > 1:
            distributed.destroy_process_group()


def join(processes: int, device: str) -> tuple[Team, torch.device]:
    """Join the processes that were started, and take a device: on GPUs, one each.

    Raises:
        UserError: if there are more or fewer processes than the settings say, or fewer GPUs.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != processes:
        raise UserError(
            f"train.processes is {processes} and {started} process(es) were started; start them with torchrun "
            f"--standalone --nproc-per-node {processes} -m hindsight train.prior …, or set train.processes: {started}"
        )
    if processes == 1:
        return Team(), torch.device(device)
    here = torch.device(device)
    if here.type == "cuda":
        here = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if here.index >= torch.cuda.device_count():
            raise UserError(
                f"train.processes: this node has {torch.cuda.device_count()} GPU(s) for more processes; start fewer"
            )
        torch.cuda.set_device(here)
    distributed.init_process_group("nccl" if here.type == "cuda" else "gloo")
    sharing = 1 if here.type == "cuda" else int(os.environ["LOCAL_WORLD_SIZE"])
    return Team(distributed.get_rank(), distributed.get_world_size(), sharing), here
