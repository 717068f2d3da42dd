"""Checkpoint of a shard: a job that is killed resumes from it and gives the same bytes."""

import hashlib
import json
import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hindsight import signals
from hindsight.diffusion.guidance.unguided import Cost
from hindsight.diffusion.sampler import State
from hindsight.fields.store import replace

SHARE = 0.1  # largest share of a job's time spent on writing


class Checkpoint:
    """The checkpoint file of a shard.

    Args:
        path: of the file.
        recipe: everything that determines the result; a checkpoint of another recipe is ignored.
        seconds: least time between writes; more if writing is slow. 0: after every sampling step.
    """

    def __init__(self, path: Path, recipe: object, seconds: float = 20.0) -> None:
        self.path, self.seconds, self._written = path, seconds, time.monotonic()
        self._recipe = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    def load(self, state: State, attempt: int, cost: Cost) -> torch.Tensor | None:
        """Restore `state` and `cost` from the checkpoint. From here on SIGTERM waits until the next `save`.

        Returns:
            The finished frames, or None without a usable checkpoint.

        Raises:
            OSError: if the file exists and cannot be read.
        """
        signals.defer()
        if not self.path.is_file():
            return None
        self.path.open("rb").close()  # raises if access is denied; safetensors would report a missing file
        try:
            with safe_open(self.path, "pt") as file:
                header = json.loads((file.metadata() or {}).get("hindsight", "{}"))
                if header.get("recipe") != self._recipe_of(attempt):
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError:
            return None
        return self._restore(state, cost, header, tensors)

    def _restore(self, state: State, cost: Cost, header: dict, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        device = state.fields.device
        state.cycle, state.finished, state.row = header["cycle"], header["finished"], header["row"]
        for name in vars(cost):
            setattr(cost, name, header[name])
        if state.row:
            aligned = lambda name: tensors[name].clone().to(device)  # sums depend on alignment in memory
            state.partial = aligned("partial")
            state.memory = tuple(aligned(f"memory_{k}") for k in range(header["memory"]))
        if not state.cycle:
            return torch.empty_like(state.fields)
        state.fields.copy_(tensors["fields"])
        state.level[:] = tensors["level"].numpy()
        return tensors["analysed"].to(device)

    def save(self, state: State, analysed: torch.Tensor, attempt: int, cost: Cost) -> None:
        """Write the checkpoint atomically, unless the last one is recent.

        Raises:
            Stopped: after SIGTERM, once the checkpoint is written.
        """
        began = time.monotonic()
        if not (stopping := signals.stop_requested()) and began - self._written < self.seconds:
            return
        progress = {"cycle": state.cycle, "finished": state.finished, "row": state.row}
        header = {"recipe": self._recipe_of(attempt), **progress, "memory": len(state.memory)}
        header |= vars(cost)
        tensors = {name: value.detach().cpu().contiguous() for name, value in _tensors(state, analysed).items()}
        replace(self.path, lambda partial: save_file(tensors, partial, {"hindsight": json.dumps(header)}))
        self._written = time.monotonic()
        self.seconds = self.seconds and max(self.seconds, (self._written - began) / SHARE)
        if stopping:
            raise signals.Stopped(f"after {_where(state)}; saved")

    def remove(self) -> None:
        """Delete the checkpoint once the analysis is written."""
        self.path.unlink(missing_ok=True)

    def _recipe_of(self, attempt: int) -> str:
        return f"{self._recipe}:{attempt}"


def _tensors(state: State, analysed: torch.Tensor) -> dict[str, torch.Tensor]:
    """The tensors of a state; there are no fields before the first cycle has ended."""
    tensors = {}
    if state.row:
        tensors = {"partial": state.partial} | {f"memory_{k}": part for k, part in enumerate(state.memory)}
    if state.cycle:
        tensors |= {"fields": state.fields, "level": torch.from_numpy(state.level), "analysed": analysed}
    return tensors


def _where(state: State) -> str:
    return f"step {state.row} of cycle {state.cycle + 1}" if state.row else f"cycle {state.cycle}"
