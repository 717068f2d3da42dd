"""Parameters and floating-point operations."""

import pytest
import torch
from torch import nn

from hindsight.backbones import size
from hindsight.backbones.dit import VideoTransformer
from hindsight.backbones.line import LineNet
from hindsight.backbones.unet import VideoUNet


class Small(nn.Module):
    """A convolution, a layer for the conditions, and a product of the two."""

    def __init__(self):
        super().__init__()
        self.convolution, self.layer = nn.Conv2d(3, 5, 3), nn.Linear(4, 7)
        self.register_buffer("offset", torch.zeros(5, 1, 1))

    def forward(self, fields, noise, conditions):
        x = self.convolution(fields.flatten(0, 1)) + self.offset
        return x.mean((1, 2, 3)) * noise.flatten() * self.layer(conditions.flatten(0, 1)).sum(-1)


def test_parameters_and_operations_by_hand():
    assert size.parameters(Small()) == 3 * 5 * 9 + 5 + 4 * 7 + 7
    for frames in (1, 6):
        by_hand = 2 * (6 * 8) * 5 * (3 * 9) + 2 * 4 * 7  # places, features, weights of each; and the layer
        assert size.flops(Small(), 3, 4, frames, (8, 10)) == by_hand


@pytest.mark.parametrize(
    ("attention", "positions", "levels"), [("causal", "table", "index"), ("full", "rotary", "index")]
)
def test_operations_of_the_transformer(attention, positions, levels):
    """32 D^2 a token in the layers of a block (8 in each attention, 16 after), 4 N D in attention to N tokens."""
    frames, p, d, patch, channels, outputs, depth = 6, 20, 64, 4, 3, 2, 3
    network = VideoTransformer(
        channels, outputs, 0, patch, d, depth, 4, attention, positions, levels, 8, ("open", "periodic"), (16, 20)
    )
    token = depth * (32 * d**2 + 4 * (p + frames) * d) + 2 * d * patch**2 * (channels + outputs)
    frame = depth * 2 * d * 9 * d + 2 * d * 2 * d + 2 * 64 * d + 2 * d**2  # scales, shifts and gates; the level
    assert size.flops(network, channels, 0, frames, (16, 20)) == p * token + frame


def test_operations_of_the_other_networks():
    f, e, points = 8, 16, 8 * 10
    unet = VideoUNet(3, 2, 4, 1, f, [1], 1, e, 0.0, ("pole", "periodic"), recompute=True)
    embed = 2 * (2 * 16 + 4) * e + 2 * e * e
    block = points * 2 * (2 * 9 * f * f + 3 * f * f) + 2 * e * 2 * f  # two in space, one in time
    assert size.flops(unet, 3, 4, 6, (8, 10)) == embed + points * 2 * 9 * f * (4 + 2) + block
    line = LineNet(3, 2, 4, f, 2, [1, 2], e, ("open", "periodic"))
    block = 80 * 2 * 2 * 9 * f * f + 2 * e * 2 * f
    assert size.flops(line, 3, 4, 6, (1, 80)) == embed + 80 * 2 * f * (9 * 3 + 2) + 2 * block


def test_no_memory_is_allocated():
    with torch.device("meta"):
        network = VideoTransformer(
            4, 4, 0, 4, 1024, 24, 16, "causal", "table", "index", 8, ("open", "open"), (240, 120)
        )
    assert size.flops(network, 4, 0, 30, (240, 120)) > 1e12
    assert all(parameter.is_meta for parameter in network.parameters())
