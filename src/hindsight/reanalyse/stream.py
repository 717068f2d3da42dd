"""A stream under way, kept on disk: a job that is killed goes on where it was, to the same bytes."""

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


class Stream:
    """Where a stream is kept.

    Args:
        path: beside the analysis.
        recipe: everything that decides the outcome; a stream of another recipe is not taken up.
        seconds: least time between writes.
    """

    def __init__(self, path: Path, recipe: object, seconds: float = 20.0) -> None:
        self.path, self.seconds, self._written = path, seconds, time.monotonic()
        self._recipe = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    def load(self, state: State, attempt: int, cost: Cost) -> torch.Tensor | None:
        """Bring `state` and `cost` to where the stream was left.

        Returns:
            The frames finished by then, or None if there is no such stream.

        Raises:
            OSError: if there is one and the system does not let it be read.
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
        state.fields.copy_(tensors["fields"])
        state.level[:] = tensors["level"].numpy()
        state.cycle, state.finished = header["cycle"], header["finished"]
        cost.evaluations, cost.backward = header["evaluations"], header["backward"]
        return tensors["analysed"].to(state.fields.device)

    def save(self, state: State, analysed: torch.Tensor, attempt: int, cost: Cost) -> None:
        """Write the stream, whole or not at all, unless it was written a moment ago.

        Raises:
            Stopped: after SIGTERM; the stream is written.
        """
        if not (stopping := signals.asked()) and time.monotonic() - self._written < self.seconds:
            return
        tensors = {"fields": state.fields, "level": torch.from_numpy(state.level), "analysed": analysed}
        header = {"recipe": self._named(attempt), "cycle": state.cycle, "finished": state.finished, **vars(cost)}
        whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        replace(self.path, lambda partial: save_file(whole, partial, {"hindsight": json.dumps(header)}))
        self._written = time.monotonic()
        if stopping:
            raise signals.Stopped(f"after cycle {state.cycle}; saved")

    def remove(self) -> None:
        """The analysis is there: the stream is of no more use."""
        self.path.unlink(missing_ok=True)

    def _named(self, attempt: int) -> str:
        return f"{self._recipe}:{attempt}"
