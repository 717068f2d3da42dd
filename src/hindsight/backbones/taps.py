"""Taps: late layers of a network, by name, at which its representation of the fields is read.

A network says where its taps are (`taps`): the layers of the second half of its blocks, from the bottom of a U-Net
upwards, that take the output of a non-linearity. What passes there are its features of each frame and place. Whoever
reads them needs to know nothing else about the network.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn


@dataclass(frozen=True)
class Tap:
    """A layer that takes features which have passed a non-linearity.

    Attributes:
        layer: it is called with the features.
        arrange: the features as the layer takes them, and the number of frames T, to (B, T, features, places).
    """

    layer: nn.Module
    arrange: Callable[[torch.Tensor, int], torch.Tensor]


def of_images(x: torch.Tensor, frames: int) -> torch.Tensor:
    """(B * T, C, H, W) to (B, T, C, H * W)."""
    return x.flatten(2).unflatten(0, (-1, frames))


def of_lines(x: torch.Tensor, frames: int) -> torch.Tensor:
    """(B, C, T, W) to (B, T, C, W)."""
    return x.transpose(1, 2)


def of_tokens(x: torch.Tensor, frames: int) -> torch.Tensor:
    """(B, T, P, C) to (B, T, C, P)."""
    return x.transpose(2, 3)


@contextmanager
def pooled(taps: dict[str, Tap], frames: int) -> Iterator[dict[str, torch.Tensor]]:
    """Read the taps of windows of `frames` frames while the context lasts.

    Yields:
        For each tap the largest value of every feature over all places, (B, T, features), of the last forward pass.
    """
    found: dict[str, torch.Tensor] = {}

    def read(name: str, tap: Tap, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found[name] = tap.arrange(inputs[0], frames).amax(-1).float()

    hooks = [tap.layer.register_forward_pre_hook(partial(read, name, tap)) for name, tap in taps.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
