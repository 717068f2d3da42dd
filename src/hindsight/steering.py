"""Steering: shifts of a prior's representation from memorised towards generalised, while its samples are denoised.

The direction of each tap is the mean of its features over held-out frames minus that over training frames, at a small
noise level (Zhang et al. 2026, Generalization of Diffusion Models Arises with a Balanced Representation Space,
arXiv:2512.20963, who take reference images and add a multiple of the direction in the last part of sampling). Which
normalisation they take is not published: the difference of the means is ours.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hindsight import __version__
from hindsight.errors import UserError
from hindsight.fields.store import replace
from hindsight.settings.steering import Steering as Settings


@dataclass(frozen=True)
class Steering:
    """What is added to the features of a network while it denoises.

    Attributes:
        directions: by tap, one value for each feature.
        settings: strength, and the noise levels of frames that are steered.
    """

    directions: dict[str, torch.Tensor]
    settings: Settings

    def shifts(self, log_sigma: torch.Tensor) -> dict[str, torch.Tensor]:
        """The shift of each tap (B, T, features) at logarithms of noise levels (B, T)."""
        low, high = math.log(self.settings.above), math.log(self.settings.below)
        share = self.settings.strength * ((log_sigma > low) & (log_sigma < high))[..., None]
        return {name: share * direction.to(log_sigma) for name, direction in self.directions.items()}


def save(directions: dict[str, torch.Tensor], digest: str, path: Path) -> None:
    """Write the directions of a prior (with the SHA-256 of its file), atomically."""
    header = {"hindsight": json.dumps({"version": __version__, "prior": digest}, sort_keys=True)}
    replace(path, lambda partial: save_file(directions, partial, header))


def load(path: Path, digest: str, settings: Settings) -> Steering:
    """Read the directions of a prior (with the SHA-256 of its file).

    Raises:
        UserError: if the file cannot be read, or belongs to another prior.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["hindsight"])
            directions = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        belongs = header["prior"] == digest
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"cannot read the directions {path} ({error}); delete it and run snakemake") from None
    if not belongs:
        raise UserError(
            f"{path} was made from another prior; audit this one (hindsight train.audit, which snakemake runs)"
        )
    return Steering(directions, settings)
