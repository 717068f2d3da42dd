"""Checkpoints of training: a killed and resumed run ends with the same bytes as an uninterrupted one."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hindsight.fields.store import replace


def save(
    path: Path, step: int, recipe: dict, models: dict[str, nn.Module], optimiser: torch.optim.Optimizer, state: dict
) -> None:
    """Write everything that the next step depends on, atomically: safetensors with a JSON header."""
    tensors = {f"{name}/{key}": value for name, model in models.items() for key, value in model.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{key}": torch.as_tensor(value) for key, value in moments.items()}
    header = {
        "hindsight": json.dumps({"step": step, "recipe": recipe, "state": state})
    }  # a single key: several would be written in no fixed order
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace(path, lambda partial: save_file(contiguous, partial, header))


def resume(
    path: Path, recipe: dict, models: dict[str, nn.Module], optimiser: torch.optim.Optimizer
) -> tuple[int, dict]:
    """Load a checkpoint of the same recipe, or start at step 0 if there is none.

    A checkpoint of another recipe or network, or a damaged one, is not loaded, and the reason is printed.

    Returns:
        The number of steps done, and the other fields of the training state.

    Raises:
        OSError: if the system does not let the checkpoint be read; it may be intact.
    """
    if not path.is_file():
        return 0, {}
    path.open("rb").close()  # raises OSError where safetensors would report a missing file
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("hindsight", "{}"))
            if changes := differences(header.get("recipe", {}), json.loads(json.dumps(recipe))):
                print(f"{path} has another recipe, so training starts anew: {'; '.join(changes)}", flush=True)
                return 0, {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        print(f"{path} cannot be read ({error}), so training starts anew", flush=True)
        return 0, {}
    states = {name: _part(tensors, name) for name in models}
    if changes := differences(_shapes(states), _shapes({name: model.state_dict() for name, model in models.items()})):
        print(f"{path} has another network, so training starts anew: {'; '.join(changes[:3])}", flush=True)
        return 0, {}
    for name, model in models.items():
        model.load_state_dict(states[name])
    state: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return header["step"], header["state"]


def _part(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _shapes(states: dict[str, dict[str, torch.Tensor]]) -> dict[str, dict[str, tuple[int, ...]]]:
    return {name: {key: tuple(value.shape) for key, value in state.items()} for name, state in states.items()}


def differences(before: object, now: object, where: str = "") -> list[str]:
    """List the differences between two recipes as `key before → now`."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [*before, *(name for name in now if name not in before)]
        return [
            line
            for name in names
            for line in differences(before.get(name), now.get(name), f"{where}.{name}" if where else name)
        ]
    return [] if before == now else [f"{where} {_short(before)} → {_short(now)}"]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
