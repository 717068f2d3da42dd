"""Taps: late layers of a network, by name, at which its representation of the fields is read, or shifted.

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
        broadcast: a value for each frame and feature (B, T, features) to all places, as the layer takes them.
    """

    layer: nn.Module
    arrange: Callable[[torch.Tensor, int], torch.Tensor]
    broadcast: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def of_images(cls, layer: nn.Module) -> "Tap":
        """A layer that takes (B * T, features, H, W)."""
        return cls(
            layer,
            lambda x, frames: x.flatten(2).unflatten(0, (-1, frames)),
            lambda shift: shift.flatten(0, 1)[:, :, None, None],
        )

    @classmethod
    def of_lines(cls, layer: nn.Module) -> "Tap":
        """A layer that takes (B, features, T, W)."""
        return cls(layer, lambda x, frames: x.transpose(1, 2), lambda shift: shift.transpose(1, 2)[..., None])

    @classmethod
    def of_tokens(cls, layer: nn.Module) -> "Tap":
        """A layer that takes (B, T, places, features)."""
        return cls(layer, lambda x, frames: x.transpose(2, 3), lambda shift: shift[:, :, None])


Pool = Callable[[torch.Tensor], torch.Tensor]  # (B, T, features, places) to (B, T, …)


def largest(features: torch.Tensor) -> torch.Tensor:
    """The largest value of every feature over all places."""
    return features.amax(-1).float()


def mean(features: torch.Tensor) -> torch.Tensor:
    """The mean of every feature over all places."""
    return features.float().mean(-1)


@contextmanager
def pooled(taps: dict[str, Tap], frames: int, pool: Pool = largest) -> Iterator[dict[str, torch.Tensor]]:
    """Read the taps of windows of `frames` frames while the context lasts.

    Yields:
        For each tap what `pool` makes of its features, (B, T, …), in the last forward pass.
    """
    found: dict[str, torch.Tensor] = {}

    def read(name: str, tap: Tap, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found[name] = pool(tap.arrange(inputs[0], frames))

    with _hooked({tap.layer: partial(read, name, tap) for name, tap in taps.items()}):
        yield found


@contextmanager
def shifted(taps: dict[str, Tap], shifts: dict[str, torch.Tensor]) -> Iterator[None]:
    """Add a value to every feature at all places while the context lasts.

    Args:
        taps: of the network.
        shifts: by tap, (B, T, features).
    """

    def shift(name: str, tap: Tap, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return inputs[0] + tap.broadcast(shifts[name]).to(inputs[0]), *inputs[1:]

    with _hooked({tap.layer: partial(shift, name, tap) for name, tap in taps.items() if name in shifts}):
        yield


@contextmanager
def _hooked(hooks: dict[nn.Module, Callable]) -> Iterator[None]:
    """Call functions before layers while the context lasts."""
    handles = [layer.register_forward_pre_hook(hook) for layer, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
