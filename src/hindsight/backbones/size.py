"""How large a network is, and what running it takes."""

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Numbers that training sets."""
    return sum(parameter.numel() for parameter in network.parameters())


def flops(network: nn.Module, inputs: int, conditions: int, frames: int, shape: tuple[int, int]) -> float:
    """Floating-point operations that one frame takes of a run forward over a window; a product and its sum are two.

    Convolutions and matrix products count. Causal attention counts as if it were full. Nothing is computed or held:
    tensors have shapes alone.

    Args:
        network: as called on fields, noise and conditions.
        inputs: channels of the fields, static maps included.
        conditions: numbers that each frame is told.
        frames: in the window.
        shape: latitudes and longitudes.
    """
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    tensors = {name: tensor.to("meta") for name, tensor in tensors.items()}
    sizes = (1, frames, inputs, *shape), (1, frames), (1, frames, conditions)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(network, tensors, tuple(torch.empty(size, device="meta") for size in sizes))
    return counter.get_total_flops() / frames
