"""The network of a controller: convolutions in space over single frames, modulated by noise level and conditions."""

import torch
import torch.nn.functional as functional
from torch import nn

from hindsight.backbones.padding import BETWEEN, Poles, pad
from hindsight.backbones.unet import Embedding, LayerNorm


class ControlNet(nn.Module):
    """Fields (B, C_in, H, W), noise (B,) and conditions (B, K) to fields (B, C_out, H, W); zero with initial weights.

    Args:
        inputs: C_in, static maps included.
        outputs: C_out.
        conditions: K, number of conditions per frame.
        width: features.
        blocks: residual blocks.
        dilations: distance in points between neighbouring weights of each block's convolutions, repeated as often as
            needed and no longer than the fields allow.
        embedding: size of the embedding.
        edges: of latitudes and longitudes, see `padding.pad`.
        shape: latitudes and longitudes of the fields; fields with one latitude have convolutions along longitude only.
        poles: of the fields.
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
        shape: tuple[int, int],
        poles: Poles = BETWEEN,
    ) -> None:
        super().__init__()
        longest = min(side for side in (shape[0] - max(poles.skipped), shape[1]) if side > 1)
        chosen = [min(dilations[k % len(dilations)], longest) for k in range(blocks)]
        inside = poles.coarser(1)
        self.embed = Embedding(conditions, embedding)
        self.enter = SpaceConvolution(inputs, width, 1, edges, shape, poles)
        self.blocks = nn.ModuleList(ControlBlock(width, embedding, d, edges, shape, inside) for d in chosen)
        self.norm, self.leave = LayerNorm(width), nn.Conv2d(width, outputs, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, fields: torch.Tensor, noise: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Run the network; `noise` is log(sigma) / 4 of each frame."""
        embedding = self.embed(noise, conditions)
        x = self.enter(fields.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x, embedding)
        return self.leave(functional.silu(self.norm(x)))


class ControlBlock(nn.Module):
    """Residual block: norm, scale and shift by the embedding, two convolutions, the second one zero at first."""

    def __init__(
        self, width: int, embedding: int, dilation: int, edges: tuple[str, str], shape: tuple[int, int], poles: Poles
    ) -> None:
        super().__init__()
        self.norm, self.modulate = LayerNorm(width), nn.Linear(embedding, 2 * width)
        self.first, self.second = (SpaceConvolution(width, width, dilation, edges, shape, poles) for _ in range(2))
        for layer in (self.modulate, self.second.convolution):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) and embeddings (B, size) to (B, C, H, W)."""
        scale, shift = self.modulate(embedding)[..., None, None].chunk(2, 1)
        return x + self.second(functional.silu(self.first(self.norm(x) * (1 + scale) + shift)))


class SpaceConvolution(nn.Module):
    """A convolution over 3 x 3 points, or 3 along a line, padded by the edges of the domain."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        dilation: int,
        edges: tuple[str, str],
        shape: tuple[int, int],
        poles: Poles = BETWEEN,
    ) -> None:
        super().__init__()
        self.edges, self.poles = edges, poles
        self.reach = (0 if shape[0] == 1 else dilation, dilation)
        kernel = (1 if shape[0] == 1 else 3, 3)
        self.convolution = nn.Conv2d(inputs, outputs, kernel, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same size."""
        rows, columns = self.reach
        return self.convolution(pad(x, rows, rows, columns, columns, self.edges, poles=self.poles))
