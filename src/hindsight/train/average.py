"""A running average of the weights, which samples better than the weights themselves."""

import torch
from torch import nn


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the model; in the first steps faster, so that it forgets the start."""
    share = 1 - min(decay, (step + 1) / (step + 10))
    for mean, value in zip(average.parameters(), model.parameters()):
        mean.lerp_(value, share)
