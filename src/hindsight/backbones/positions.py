"""Positions of tokens and noise levels of frames as sines and cosines.

Rotary positions: queries and keys are rotated by angles proportional to their place, so that attention depends on the
distance between two tokens. Along a periodic axis the angles are periodic too.
"""

import math

import torch

SLOWEST = 100  # tokens per radian that the slowest of many waves of an open axis approaches; axes have tens of tokens


def sinusoid(level: torch.Tensor, size: int) -> torch.Tensor:
    """Cosines and sines of noise levels (…,), counted from 0, with periods from 2 pi to nearly 20000 pi; (…, size)."""
    half = size // 2
    wave = torch.arange(half, dtype=level.dtype, device=level.device)
    angle = level[..., None] * torch.exp(-math.log(10000) / half * wave)
    return torch.cat([angle.cos(), angle.sin()], -1)


def axis(count: int, waves: int, edge: str, device: torch.device | None = None) -> torch.Tensor:
    """Angles of the places along an axis, with whole waves if it is `periodic`; (count, waves)."""
    place = torch.arange(count, dtype=torch.float64, device=device)[:, None]
    if edge == "periodic":
        shortest = math.log(max(count // 2, 1))
        number = torch.linspace(0, shortest, waves, dtype=torch.float64, device=device).exp().round()
        return place * number % count * (2 * math.pi / count)
    wave = torch.arange(waves, dtype=torch.float64, device=device)
    return place * torch.exp(-math.log(SLOWEST) / waves * wave)


def plane(shape: tuple[int, int], size: int, edges: tuple[str, str]) -> torch.Tensor:
    """Angles of the places of a plane, row by row: half of a head's features for each axis; (P, size / 2)."""
    rows, columns = (axis(count, size // 4, edge) for count, edge in zip(shape, edges))
    rows, columns = rows[:, None].expand(-1, shape[1], -1), columns[None].expand(shape[0], -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1).float()


def rotate(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs of features (k, k + size / 2) by angles: (…, N, size) by (N, size / 2)."""
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)
