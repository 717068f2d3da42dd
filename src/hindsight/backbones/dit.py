"""A video transformer: attention within a frame, then along time at each place, with a noise level for each frame.

With positions in a table, levels by index and causal attention it is the network of ForcingDAS. Rotary positions allow
for periodic axes, need no table, and work for windows of any number of frames.
"""

from contextlib import nullcontext

import torch
import torch.nn.functional as functional
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hindsight.backbones.padding import BETWEEN, Poles, pad
from hindsight.backbones.positions import axis, plane, rotate, sinusoid
from hindsight.backbones.taps import Tap
from hindsight.backbones.unet import Embedding, call
from hindsight.errors import UserError

SHORT = 64  # tokens; the gradient of fused attention over so few is slow on a CPU (bfloat16: 20 times)


class VideoTransformer(nn.Module):
    """Fields (B, T, C_in, H, W), noise (B, T) and frame conditions (B, T, K) to fields (B, T, C_out, H, W).

    Args:
        inputs: C_in, static maps included.
        outputs: C_out.
        conditions: K, number of conditions per frame; may be 0.
        patch: points on each side of a token.
        width: features of a token.
        depth: blocks.
        heads: of each attention; rotary positions need a multiple of 4 features in each.
        attention: `causal`: a frame attends to itself and earlier ones; `full`: to all.
        positions: `table`: learnt, for each place in each frame; `rotary`: by distance, see `positions`.
        levels: form of the noise input. `index`: number of a noise level, from 0; `logarithm`: its logarithm, scaled to
            order one.
        embedding: size of the embedding, for `logarithm`.
        edges: of latitudes and longitudes, see `padding.pad`.
        shape: latitudes and longitudes of the fields.
        frames: largest number of frames in a window, for `table`.
        poles: of the fields.
        recompute: in training keep only the inputs of each block and recompute the rest for the gradient.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        conditions: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        attention: str,
        positions: str,
        levels: str,
        embedding: int,
        edges: tuple[str, str],
        shape: tuple[int, int],
        frames: int = 64,
        poles: Poles = BETWEEN,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.poles = poles
        self.patch, self.edges, self.recompute = patch, edges, recompute
        self.grid = (-(-shape[0] // patch), -(-shape[1] // patch))
        self.enter = nn.Conv2d(inputs, width, patch, stride=patch)
        nn.init.xavier_uniform_(self.enter.weight.data.flatten(1))
        nn.init.zeros_(self.enter.bias)
        if levels == "index":
            self.embed, self.widen = LevelEmbedding(conditions, width), nn.Identity()
        else:
            self.embed, self.widen = Embedding(conditions, embedding), nn.Linear(embedding, width)
        rotary, places = positions == "rotary", self.grid[0] * self.grid[1]
        self.table = (
            None if rotary else nn.Parameter(nn.init.trunc_normal_(torch.empty(frames * places, width), std=0.02))
        )
        self.register_buffer("angles", plane(self.grid, width // heads, edges) if rotary else None, persistent=False)
        self.frequencies = width // heads // 2 if rotary else 0
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, attention == "causal") for _ in range(depth))
        self.norm, self.leave = Modulation(width, 2), nn.Linear(width, patch * patch * outputs)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, fields: torch.Tensor, noise: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Run the network; `noise` is the noise of each frame, in the form of `levels`."""
        windows, frames, _, height, width = fields.shape
        embedded = self.embed(noise.flatten().to(fields.dtype), conditions.flatten(0, 1))
        embedding = self.widen(embedded).unflatten(0, (windows, frames))
        x = self._tokens(fields)
        times = axis(frames, self.frequencies, "open", x.device).to(x.dtype) if self.frequencies else None
        for block in self.blocks:
            x = call(block, self.recompute and self.training, x, embedding, self.angles, times)
        x = self.leave(self.norm(x, embedding)[0])
        return scatter(x, self.grid, self.patch)[..., :height, :width]

    @property
    def taps(self) -> dict[str, Tap]:
        """The last layer of the blocks of the second half."""
        late = range(len(self.blocks) // 2, len(self.blocks))
        return {f"blocks.{k}": Tap.of_tokens(self.blocks[k].layers[-1]) for k in late}

    def _tokens(self, fields: torch.Tensor) -> torch.Tensor:
        """(B, T, C, H, W) to (B, T, P, D), padded to whole patches; adds the positions if there is a table."""
        frames, height, width = fields.shape[1], *fields.shape[-2:]
        north, east = -height % self.patch, -width % self.patch
        x = pad(fields.flatten(0, 1), 0, north, 0, east, self.edges, "replicate", self.poles)
        x = self.enter(x.contiguous(memory_format=torch.channels_last)).to(fields.dtype)
        x = x.flatten(2).transpose(1, 2).contiguous().unflatten(0, (-1, frames))
        return x if self.table is None else x + self._places(frames)

    def _places(self, frames: int) -> torch.Tensor:
        table = self.table.unflatten(0, (-1, self.grid[0] * self.grid[1]))
        if frames > len(table):
            raise UserError(
                f"this network's table of positions ends at {len(table)} frames, and the window has {frames}; shorten"
                " the window, or train a network with rotary positions"
            )
        return table[:frames]


class LevelEmbedding(nn.Module):
    """Sines and cosines of the number of a noise level through two layers, and the conditions through one."""

    def __init__(self, conditions: int, width: int) -> None:
        super().__init__()
        self.size = max(width // 4, 64)
        self.layers = nn.Sequential(nn.Linear(self.size, width), nn.SiLU(), nn.Linear(width, width))
        self.condition_layer = nn.Linear(conditions, width, bias=False) if conditions else None

    def forward(self, noise: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """(B,) and (B, K) to (B, D)."""
        embedded = self.layers(sinusoid(noise, self.size))
        return embedded if self.condition_layer is None else embedded + self.condition_layer(conditions)


class TransformerBlock(nn.Module):
    """Attention in space, attention in time and two layers, each scaled, shifted and gated by the embedding."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.before_space, self.in_space = Modulation(width, 3), Attention(width, heads, causal=False)
        self.before_time, self.in_time = Modulation(width, 3), Attention(width, heads, causal)
        self.before_layers = Modulation(width, 3)
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(
        self,
        x: torch.Tensor,
        embedding: torch.Tensor,
        angles: torch.Tensor | None,
        times: torch.Tensor | None,
    ) -> torch.Tensor:
        """(B, T, P, D) and (B, T, D) to (B, T, P, D); angles of places (P, …) and of frames (T, …), if rotary."""
        h, gate = self.before_space(x, embedding)
        x = x + gate * self.in_space(h, angles)
        h, gate = self.before_time(x, embedding)
        x = x + gate * self.in_time(h.transpose(1, 2), times).transpose(1, 2)
        h, gate = self.before_layers(x, embedding)
        return x + gate * self.layers(h)


class Modulation(nn.Module):
    """Layer norm with shift, scale and gate from each frame's embedding; all start at zero."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.layer, self.parts = nn.Linear(width, parts * width), parts
        for parameter in self.layer.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, T, P, D) and (B, T, D) to (B, T, P, D), and the gate (B, T, 1, D) if there are three parts."""
        shift, scale, *gate = self.layer(functional.silu(embedding))[:, :, None].chunk(self.parts, -1)
        return (1 + scale) * functional.layer_norm(x, x.shape[-1:], eps=1e-6) + shift, *gate


class Attention(nn.Module):
    """Multi-head attention along the axis before the last; if `causal`, to no later token."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.enter, self.leave = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
        """(A, B, N, D) to the same; angles (N, D / heads / 2)."""
        parts = self.enter(x).flatten(0, 1).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (A B, heads, N, …)
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        plain = x.device.type == "cpu" and x.shape[2] <= SHORT
        with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.leave(mixed.transpose(1, 2).flatten(2)).unflatten(0, x.shape[:2])


def scatter(tokens: torch.Tensor, grid: tuple[int, int], patch: int) -> torch.Tensor:
    """Tokens (B, T, P, patch * patch * C), channels last, to fields (B, T, C, H, W)."""
    x = tokens.unflatten(2, grid).unflatten(-1, (patch, patch, -1))  # (B, T, rows, columns, south, east, C)
    return x.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
