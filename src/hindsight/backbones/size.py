"""Number of parameters and of operations of a network."""

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def flops(network: nn.Module, inputs: int, conditions: int, frames: int, shape: tuple[int, int]) -> float:
    """Floating-point operations of a forward pass over a window, for each frame; a multiply-add counts as two.

    Convolutions and matrix products count; causal attention counts as full. Nothing is computed: the tensors are on the
    `meta` device, which has shapes and no values.

    Args:
        network: a module called with fields, noise and conditions.
        inputs: channels of the fields, static maps included.
        conditions: number of conditions per frame.
        frames: in the window.
        shape: latitudes and longitudes.
    """
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    tensors = {name: tensor.to("meta") for name, tensor in tensors.items()}
    sizes = (1, frames, inputs, *shape), (1, frames), (1, frames, conditions)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(network, tensors, tuple(torch.empty(size, device="meta") for size in sizes))
    return counter.get_total_flops() / frames
