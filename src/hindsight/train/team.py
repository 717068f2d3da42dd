"""Data-parallel training: each process takes some rows of every batch, and all apply the mean of their gradients.

torchrun starts the processes and gives each its rank in the environment.
"""

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hindsight.errors import UserError


@dataclass(frozen=True)
class Team:
    """This process among `size`; the process of `rank` 0 leads: it validates, prints and writes."""

    rank: int = 0
    size: int = 1
    sharing_memory: int = 1  # number of processes that share the memory of this one

    @property
    def leads(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def rows(self, batch: int) -> range:
        """The rows of a batch that this process takes."""
        count = batch // self.size
        return range(self.rank * count, (self.rank + 1) * count)

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model, wrapped so that its gradients are averaged over all processes."""
        if self.size == 1:
            return model
        for about in (
            "`broadcast_buffers` is deprecated",
            "Grad strides do not match",
        ):  # torch's; neither concerns a user
            warnings.filterwarnings("ignore", message=about)
        return DistributedDataParallel(model, broadcast_buffers=False)

    def no_sync(self, model: nn.Module) -> AbstractContextManager:
        """Context in which gradients are accumulated but not averaged, for all parts of a batch except the last."""
        return model.no_sync() if self.size > 1 else nullcontext()

    def broadcast(self, values: object) -> object:
        """Return the values of the leader in every process."""
        if self.size == 1:
            return values
        box = [values]
        distributed.broadcast_object_list(box)
        return box[0]

    def mean(self, value: torch.Tensor) -> float:
        """The mean of a scalar over all processes."""
        if self.size > 1:
            value = value.detach().clone()
            distributed.all_reduce(value)
        return value.item() / self.size

    def leave(self) -> None:
        """Leave the process group."""
        if self.size > 1:
            distributed.destroy_process_group()


def join(processes: int, device: str, section: str = "train", step: str = "prior") -> tuple[Team, torch.device]:
    """Join the process group, and choose the device: on GPUs, one for each process.

    Raises:
        UserError: if the number of processes differs from the settings, or there are fewer GPUs than processes.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != processes:
        raise UserError(
            f"{section}.processes is {processes} and {started} process(es) were started; start them with torchrun "
            f"--standalone --nproc-per-node {processes} -m hindsight train.{step} …, or set "
            f"{section}.processes: {started}"
        )
    if processes == 1:
        return Team(), torch.device(device)
    chosen = torch.device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if chosen.index >= torch.cuda.device_count():
            raise UserError(
                f"{section}.processes: this node has fewer GPUs ({torch.cuda.device_count()}) than processes; lower it"
            )
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    sharing_memory = 1 if chosen.type == "cuda" else int(os.environ["LOCAL_WORLD_SIZE"])
    return Team(distributed.get_rank(), distributed.get_world_size(), sharing_memory), chosen
