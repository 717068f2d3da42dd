"""Check before training that a batch fits in memory, rather than run out of it an hour later."""

from pathlib import Path

import psutil
import torch
from torch import nn

from hindsight.errors import UserError
from hindsight.train.batches import Batch

SPARE = 0.9  # share of the free memory that may be used
COPIES = 6  # of the weights: weights, gradients, two AdamW moments, running average, best average


def activations(loss: nn.Module, window: Batch) -> int:
    """Bytes that the forward pass of one window keeps for the backward pass; shared storage is counted once."""
    weights = {p.untyped_storage().data_ptr() for p in loss.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(window)
    return sum(kept.values())


def free(device: torch.device) -> int:
    """Bytes of free memory, within the limit of the job's cgroup."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limit_file, used_file = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    available = psutil.virtual_memory().available
    if limit_file.is_file() and used_file.is_file() and (limit := limit_file.read_text().strip()) != "max":
        available = min(available, int(limit) - int(used_file.read_text()))
    return available


def check(loss: nn.Module, window: Batch, windows: int, available: int) -> None:
    """Refuse a batch that does not fit in memory.

    Args:
        loss: computes the loss of a batch.
        window: a batch of one window.
        windows: number of windows in memory at once.
        available: bytes of free memory.

    Raises:
        UserError: if the batch does not fit; the message says how many windows would.
    """
    each = activations(loss, window)
    weights = COPIES * sum(p.nbytes for p in loss.parameters())
    if weights + windows * each <= SPARE * available:
        return
    fit, gb = int((SPARE * available - weights) // max(each, 1)), 1e-9
    need = (
        f"{windows} windows at once need about {(weights + windows * each) * gb:.1f} GB, {available * gb:.1f} are free"
    )
    if fit < 1:
        raise UserError(
            f"{need}, and not even one fits: set train.recompute: true, a shorter window or a smaller backbone"
        )
    raise UserError(
        f"{need}, and {fit} would fit: lower train.batch, or raise train.accumulate or processes so that at most {fit} "
        "are in memory at once, or set train.recompute: true"
    )
