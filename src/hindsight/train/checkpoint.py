"""Save and resume training exactly: a killed and resumed run ends with the bytes of an undisturbed one."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hindsight.fields.store import replace


def save(
    path: Path, step: int, recipe: str, models: dict[str, nn.Module], optimiser: torch.optim.Optimizer, told: dict
) -> None:
    """Write everything that the next step depends on, whole or not at all."""
    tensors = {f"{name}/{key}": value for name, model in models.items() for key, value in model.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    header = {"hindsight": json.dumps({"step": step, "recipe": recipe, "told": told})}  # one key: several have no order
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace(path, lambda partial: save_file(whole, partial, header))


def resume(path: Path, recipe: str, models: dict[str, nn.Module], optimiser: torch.optim.Optimizer) -> tuple[int, dict]:
    """Take up a checkpoint of the same recipe, or start at step 0 where there is none.

    Returns:
        Steps done, and what was told so far (the learning curve and the losses since its last row).
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("hindsight", "{}"))
            if header.get("recipe") != recipe:
                return 0, {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return 0, {}
    for name, model in models.items():
        model.load_state_dict(
            {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        )
    state: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser/"):
            _, index, what = key.split("/")
            state.setdefault(int(index), {})[what] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return header["step"], header["told"]
