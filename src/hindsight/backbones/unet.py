"""A video U-Net: residual blocks in space, a convolution in time in each, and an embedding of each frame's noise.

Frames are batch entries for the convolutions in space, so memory and time grow linearly with frames. Channels are last
in memory, which makes convolutions and layer norms fast on CPU and GPU.
"""

import math

import torch
import torch.nn.functional as functional
from torch import nn
from torch.utils.checkpoint import checkpoint

from hindsight.backbones.padding import BETWEEN, Poles, pad
from hindsight.backbones.taps import Tap


class VideoUNet(nn.Module):
    """Fields (B, T, C_in, H, W), noise (B, T) and frame conditions (B, T, K) to fields (B, T, C_out, H, W).

    Args:
        inputs: C_in, static maps included.
        outputs: C_out.
        conditions: K, number of conditions per frame, such as its time of year.
        patch: points on each side that the first layer merges into one; 1 keeps the full resolution.
        width: features at the first level.
        multipliers: features at each level, in widths; every level halves the resolution of the one before.
        blocks: residual blocks at each level, down and up.
        embedding: size of the embedding.
        dropout: share of features dropped in training.
        edges: of latitudes and longitudes, see `padding.pad`.
        shape: latitudes and longitudes of the fields.
        poles: see `Poles`.
        recompute: in training keep only the inputs of each block and recompute the rest for the gradient.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        conditions: int,
        patch: int,
        width: int,
        multipliers: list[int],
        blocks: int,
        embedding: int,
        dropout: float,
        edges: tuple[str, str],
        shape: tuple[int, int] = (0, 0),
        poles: Poles = BETWEEN,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        features = [width * m for m in multipliers]
        self.edges, self.divisor, self.poles = edges, patch * 2 ** (len(features) - 1), poles
        padded = poles.extended(-shape[0] % self.divisor)
        at = lambda level: padded.coarser(patch * 2**level)
        self.embed = Embedding(conditions, embedding)
        self.enter = (
            Convolution(inputs + 1, features[0], edges, padded)
            if patch == 1
            else nn.Conv2d(inputs + 1, features[0], patch, stride=patch)
        )
        self.down, self.shrink, self.grow, self.up = (nn.ModuleList() for _ in range(4))
        block = lambda here, there, level: Block(here, there, embedding, dropout, edges, at(level))
        for level, (here, below) in enumerate(zip(features, features[1:])):
            self.down.append(nn.ModuleList(block(here, here, level) for _ in range(blocks)))
            self.shrink.append(nn.Conv2d(here, below, 2, stride=2))
        self.bottom = nn.ModuleList(block(features[-1], features[-1], len(features) - 1) for _ in range(blocks))
        for level, (here, below) in reversed(list(enumerate(zip(features, features[1:])))):
            self.grow.append(nn.ConvTranspose2d(below, here, 2, stride=2))
            self.up.append(nn.ModuleList(block(2 * here if k == 0 else here, here, level) for k in range(blocks)))
        self.norm = LayerNorm(features[0])
        self.leave = (
            Convolution(features[0], outputs, edges, at(0))
            if patch == 1
            else nn.ConvTranspose2d(features[0], outputs, patch, stride=patch)
        )
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, fields: torch.Tensor, noise: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Run the network; `noise` is log(sigma) / 4 of each frame."""
        windows, frames, _, height, width = fields.shape
        embedding = self.embed(noise.flatten(), conditions.flatten(0, 1))
        level = noise.flatten()[:, None, None, None].expand(-1, 1, height, width)
        x = self._to_size(torch.cat([fields.flatten(0, 1), level], 1)).contiguous(memory_format=torch.channels_last)
        run = lambda block, x: call(block, self.recompute and self.training, x, embedding, frames)
        x, kept = self.enter(x), []
        for blocks, shrink in zip(self.down, self.shrink):
            for block in blocks:
                x = run(block, x)
            kept.append(x)
            x = shrink(x)
        for block in self.bottom:
            x = run(block, x)
        for grow, blocks in zip(self.grow, self.up):
            x = torch.cat([grow(x), kept.pop()], 1)
            for block in blocks:
                x = run(block, x)
        x = self.leave(functional.silu(self.norm(x)))
        return x[..., :height, :width].unflatten(0, (windows, frames))

    @property
    def taps(self) -> dict[str, Tap]:
        """The second convolution of every block of the bottom and of the way up."""
        late = {"bottom": self.bottom} | {f"up.{number}": blocks for number, blocks in enumerate(self.up)}
        return {
            f"{name}.{k}": Tap.of_images(block.second)
            for name, blocks in late.items()
            for k, block in enumerate(blocks)
        }

    def _to_size(self, x: torch.Tensor) -> torch.Tensor:
        """Pad to a size that every level can halve."""
        height, width = x.shape[-2:]
        return pad(x, 0, -height % self.divisor, 0, -width % self.divisor, self.edges, "replicate", self.poles)


def call(block: nn.Module, recompute: bool, *inputs: torch.Tensor | int | None) -> torch.Tensor:
    """Call a block; if `recompute`, keep only its inputs and run it again for the gradient."""
    return checkpoint(block, *inputs, use_reentrant=False) if recompute else block(*inputs)


class Embedding(nn.Module):
    """Sines and cosines of the noise level, and the conditions, through two layers."""

    def __init__(self, conditions: int, size: int, waves: int = 16) -> None:
        super().__init__()
        self.register_buffer("frequency", torch.exp(torch.linspace(math.log(0.1), math.log(20), waves)))
        self.layers = nn.Sequential(
            nn.Linear(2 * waves + conditions, size), nn.SiLU(), nn.Linear(size, size), nn.SiLU()
        )

    def forward(self, noise: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """(B,) and (B, K) to (B, size)."""
        angle = noise[:, None] * self.frequency
        return self.layers(torch.cat([angle.sin(), angle.cos(), conditions], -1))


class Block(nn.Module):
    """Residual block: norm, convolution, scale and shift by the embedding, convolution; then a convolution in time."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int, dropout: float, edges: tuple[str, str], poles: Poles
    ) -> None:
        super().__init__()
        self.first, self.second = (Convolution(count, outputs, edges, poles) for count in (inputs, outputs))
        self.before, self.between = LayerNorm(inputs), LayerNorm(outputs)
        self.modulate, self.dropout = nn.Linear(embedding, 2 * outputs), dropout
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.in_time = nn.Conv1d(outputs, outputs, 3, padding=1)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, frames: int) -> torch.Tensor:
        """(B * T, C, H, W) to the same; `frames` is T."""
        scale, shift = self.modulate(embedding)[..., None, None].chunk(2, 1)
        h = self.between(self.first(functional.silu(self.before(x)))) * (1 + scale) + shift
        h = functional.dropout2d(h, self.dropout, self.training)
        h = self.skip(x) + self.second(functional.silu(h))
        return h + self._mix_in_time(functional.silu(h), frames)

    def _mix_in_time(self, h: torch.Tensor, frames: int) -> torch.Tensor:
        count, features, height, width = h.shape
        windows = count // frames
        lines = h.view(windows, frames, features, height * width).permute(0, 3, 2, 1).reshape(-1, features, frames)
        mixed = self.in_time(lines).view(windows, height * width, features, frames)
        return mixed.permute(0, 3, 2, 1).reshape(count, features, height, width)


class Convolution(nn.Module):
    """A 3 x 3 convolution with padding by the edges of the domain."""

    def __init__(self, inputs: int, outputs: int, edges: tuple[str, str], poles: Poles = BETWEEN) -> None:
        super().__init__()
        self.edges, self.poles, self.plain = edges, poles, edges == ("open", "open")
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1 if self.plain else 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same size."""
        return self.convolution(x if self.plain else pad(x, 1, 1, 1, 1, self.edges, poles=self.poles))


class LayerNorm(nn.Module):
    """Layer norm over the features of each point."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same."""
        weight, bias = self.norm.weight.to(x.dtype), self.norm.bias.to(x.dtype)  # one type is faster than two
        last = functional.layer_norm(x.permute(0, 2, 3, 1), self.norm.normalized_shape, weight, bias)
        return last.permute(0, 3, 1, 2)
