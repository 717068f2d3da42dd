"""How much memory training takes, found before it begins: a batch that does not fit ends after an hour otherwise."""

from pathlib import Path

import psutil
import torch
from torch import nn

from hindsight.errors import UserError
from hindsight.train.batches import Batch

SPARE = 0.9  # share of the free memory that may be used
COPIES = 6  # of the weights: themselves, gradients, two moments, their average, the best of it


def activations(loss: nn.Module, window: Batch) -> int:
    """Bytes that one window's way forward keeps for the way back; what several operations keep is counted once."""
    own = {p.untyped_storage().data_ptr() for p in loss.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(window)
    return sum(kept.values())


def free(device: torch.device) -> int:
    """Bytes that may still be taken, a job's own limit (cgroup) included."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    most, now = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    found = psutil.virtual_memory().available
    if most.is_file() and now.is_file() and (limit := most.read_text().strip()) != "max":
        found = min(found, int(limit) - int(now.read_text()))
    return found


def check(loss: nn.Module, window: Batch, windows: int, room: int) -> None:
    """Refuse a batch that will not fit.

    Args:
        loss: of a batch.
        window: a batch of one.
        windows: that are in memory together.
        room: bytes that may be taken.

    Raises:
        UserError: with the size that would fit.
    """
    each = activations(loss, window)
    weights = COPIES * sum(p.nbytes for p in loss.parameters())
    if weights + windows * each <= SPARE * room:
        return
    fit, gb = int((SPARE * room - weights) // max(each, 1)), 1e-9
    need = f"{windows} windows together need about {(weights + windows * each) * gb:.1f} GB, {room * gb:.1f} are free"
    if fit < 1:
        raise UserError(
            f"{need}, and a single one does not fit: set train.recompute: true, a shorter window or a smaller backbone"
        )
    raise UserError(
        f"{need}, and {fit} would fit: lower train.batch, or raise train.accumulate or processes so that at most {fit} "
        "are in memory together, or set train.recompute: true"
    )
