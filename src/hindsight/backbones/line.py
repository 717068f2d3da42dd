"""A residual network for fields on a line: space and time are the two axes of one image.

For fields with one horizontal dimension, a convolution over frames and points together costs little and follows what
moves along the line.
"""

import torch
import torch.nn.functional as functional
from torch import nn

from hindsight.backbones.taps import Tap
from hindsight.backbones.unet import Embedding, LayerNorm, call


class LineNet(nn.Module):
    """Fields (B, T, C_in, 1, W), noise (B, T) and frame conditions (B, T, K) to fields (B, T, C_out, 1, W).

    Args:
        inputs: C_in, static maps included.
        outputs: C_out.
        conditions: K, number of conditions per frame.
        width: features.
        blocks: residual blocks.
        dilations: distance in frames between neighbouring weights of each block's convolutions in time, repeated as
            often as needed.
        embedding: size of the embedding.
        edges: of latitudes and longitudes; the line is `periodic` or `open`.
        recompute: in training keep only the inputs of each block and recompute the rest for the gradient.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        conditions: int,
        width: int,
        blocks: int,
        dilations: list[int],
        embedding: int,
        edges: tuple[str, str],
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        self.embed = Embedding(conditions, embedding)
        self.enter = LineConvolution(inputs, width, 1, edges[1])
        self.blocks = nn.ModuleList(
            LineBlock(width, embedding, dilations[k % len(dilations)], edges[1]) for k in range(blocks)
        )
        self.norm, self.leave = LayerNorm(width), nn.Conv2d(width, outputs, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, fields: torch.Tensor, noise: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Run the network; `noise` is log(sigma) / 4 of each frame."""
        windows, frames = noise.shape
        embedding = self.embed(noise.flatten(), conditions.flatten(0, 1)).view(windows, frames, -1)
        image = fields[:, :, :, 0].transpose(1, 2)  # (B, C_in, T, W)
        x = self.enter(image.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = call(block, self.recompute and self.training, x, embedding)
        return self.leave(functional.silu(self.norm(x))).transpose(1, 2)[:, :, :, None]

    @property
    def taps(self) -> dict[str, Tap]:
        """The second convolution of the blocks of the second half."""
        late = range(len(self.blocks) // 2, len(self.blocks))
        return {f"blocks.{k}": Tap.of_lines(self.blocks[k].second) for k in late}


class LineBlock(nn.Module):
    """Residual block: norm, scale and shift by each frame's embedding, two convolutions over time and space."""

    def __init__(self, width: int, embedding: int, dilation: int, edge: str) -> None:
        super().__init__()
        self.norm, self.modulate = LayerNorm(width), nn.Linear(embedding, 2 * width)
        self.first = LineConvolution(width, width, dilation, edge)
        self.second = LineConvolution(width, width, dilation, edge)
        for layer in (self.modulate, self.second.convolution):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(B, C, T, W) and embeddings (B, T, size) to (B, C, T, W)."""
        scale, shift = self.modulate(embedding).transpose(1, 2)[..., None].chunk(2, 1)
        return x + self.second(functional.silu(self.first(self.norm(x) * (1 + scale) + shift)))


class LineConvolution(nn.Module):
    """A convolution over 3 frames and 3 points; zeros before the first and after the last frame."""

    def __init__(self, inputs: int, outputs: int, dilation: int, edge: str) -> None:
        super().__init__()
        self.edge, self.dilation = edge, dilation
        self.convolution = nn.Conv2d(inputs, outputs, 3, dilation=(dilation, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, W) to the same size."""
        x = functional.pad(x, (1, 1, 0, 0), mode="circular" if self.edge == "periodic" else "constant")
        return self.convolution(functional.pad(x, (0, 0, self.dilation, self.dilation)))
