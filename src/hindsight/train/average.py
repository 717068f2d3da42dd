"""The running average of the weights, whose samples are better than those of the latest weights."""

import torch
from torch import nn


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the model, faster in the first steps so that the initial weights are forgotten."""
    share = 1 - min(decay, (step + 1) / (step + 10))
    for mean, value in zip(average.parameters(), model.parameters()):
        mean.lerp_(value, share)
