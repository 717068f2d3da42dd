"""A shard under way, kept on disk: a job that is killed goes on where it was, to the same bytes."""

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

SHARE = 0.1  # of a job's time that writing may take


class Stream:
    """Where a shard is kept.

    Args:
        path: beside the analysis.
        recipe: everything that decides the outcome; what was left of another recipe is not taken up.
        seconds: least time between writes; more where they take long. 0: after every step.
    """

    def __init__(self, path: Path, recipe: object, seconds: float = 20.0) -> None:
        self.path, self.seconds, self._written = path, seconds, time.monotonic()
        self._recipe = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    def load(self, state: State, attempt: int, cost: Cost) -> torch.Tensor | None:
        """Bring `state` and `cost` to where a job left them.

        Returns:
            The frames finished by then, or None if nothing was left.

        Raises:
            OSError: if there is a file and the system does not let it be read.
        """
        signals.hold()
        if not self.path.is_file():
            return None
        self.path.open("rb").close()  # one that may not be read is not made anew: safetensors would say there is none
        try:
            with safe_open(self.path, "pt") as file:
                header = json.loads((file.metadata() or {}).get("hindsight", "{}"))
                if header.get("recipe") != self._named(attempt):
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError:
            return None
        return self._taken_up(state, cost, header, tensors)

    def _taken_up(self, state: State, cost: Cost, header: dict, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        device = state.fields.device
        state.cycle, state.finished, state.row = header["cycle"], header["finished"], header["row"]
        cost.evaluations, cost.backward = header["evaluations"], header["backward"]
        if state.row:
            placed = lambda name: tensors[name].clone().to(device)  # aligned in memory: sums depend on that
            state.moving = placed("moving")
            state.memory = tuple(placed(f"memory_{k}") for k in range(header["remembered"]))
        if not state.cycle:
            return torch.empty_like(state.fields)
        state.fields.copy_(tensors["fields"])
        state.level[:] = tensors["level"].numpy()
        return tensors["analysed"].to(device)

    def save(self, state: State, analysed: torch.Tensor, attempt: int, cost: Cost) -> None:
        """Write what there is, whole or not at all, unless it was written a moment ago.

        Raises:
            Stopped: after SIGTERM; it is written.
        """
        began = time.monotonic()
        if not (stopping := signals.asked()) and began - self._written < self.seconds:
            return
        progress = {"cycle": state.cycle, "finished": state.finished, "row": state.row}
        header = {"recipe": self._named(attempt), **progress, "remembered": len(state.memory), **vars(cost)}
        whole = {name: value.detach().cpu().contiguous() for name, value in _tensors(state, analysed).items()}
        replace(self.path, lambda partial: save_file(whole, partial, {"hindsight": json.dumps(header)}))
        self._written = time.monotonic()
        self.seconds = self.seconds and max(self.seconds, (self._written - began) / SHARE)
        if stopping:
            raise signals.Stopped(f"after {_where(state)}; saved")

    def remove(self) -> None:
        """The analysis is there: this is of no more use."""
        self.path.unlink(missing_ok=True)

    def _named(self, attempt: int) -> str:
        return f"{self._recipe}:{attempt}"


def _tensors(state: State, analysed: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a state is made of; before the first cycle has ended there are no fields yet."""
    found = {}
    if state.row:
        found = {"moving": state.moving} | {f"memory_{k}": part for k, part in enumerate(state.memory)}
    if state.cycle:
        found |= {"fields": state.fields, "level": torch.from_numpy(state.level), "analysed": analysed}
    return found


def _where(state: State) -> str:
    return f"step {state.row} of cycle {state.cycle + 1}" if state.row else f"cycle {state.cycle}"
