"""A long stretch of time as one denoiser made of overlapping windows.

At every sampling step all windows are evaluated in batches, and a partition of unity blends their outputs (Bartal et
al. 2023, MultiDiffusion, arXiv:2302.08113). Windows start at fixed absolute frame numbers, so that two jobs with a
frame in common evaluate it in the same windows.
"""

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint


def starts(first: int, frames: int, window: int, stride: int) -> list[int]:
    """First frames of the windows of a stretch, counted from the start of the stretch.

    Args:
        first: absolute number of the stretch's first frame.
        frames: length of the stretch.
        window: length of a window; a shorter stretch is one window.
        stride: frames between windows.
    """
    if frames <= window:
        return [0]
    inside = range(-first % stride, frames - window + 1, stride)
    return sorted({0, *inside, frames - window})


def compose(
    evaluate: Callable[..., torch.Tensor], windows: list[int], window: int, batch: int, *stretch: torch.Tensor
) -> torch.Tensor:
    """Evaluate a function of windows over a stretch.

    Args:
        evaluate: takes each of `stretch` cut to windows (B, window, …); returns (B, window, D).
        windows: first frame of each.
        window: their length; a shorter stretch is one window.
        batch: windows evaluated at once.
        stretch: tensors (E, T, …), or (1, T, …) if all members share them.

    Returns:
        The blend, (E, T, D); zero for frames that no window holds.
    """
    members, frames = max(len(tensor) for tensor in stretch), stretch[0].shape[1]
    window, device = min(window, frames), stretch[0].device
    hat = torch.sin(torch.pi * (torch.arange(window, device=device) + 0.5) / window) ** 2
    jobs = [(member, start) for start in windows for member in range(members)]
    outputs = [
        _evaluate(evaluate, [_cut(t, jobs[k : k + batch], window) for t in stretch], len(jobs) > batch)
        for k in range(0, len(jobs), batch)
    ]
    values = (torch.cat(outputs) * hat[:, None]).flatten(0, 1)
    first = torch.tensor([member * frames + start for member, start in jobs], device=device)
    index = (first[:, None] + torch.arange(window, device=device)).flatten()
    total = values.new_zeros(members * frames, values.shape[-1]).index_add(0, index, values)
    weight = hat.new_zeros(members * frames).index_add(0, index, hat.repeat(len(jobs)))
    return (total / weight.clamp(min=1e-12)[:, None]).view(members, frames, -1)


def _cut(tensor: torch.Tensor, jobs: list[tuple[int, int]], window: int) -> torch.Tensor:
    """The windows of some jobs, (B, window, …)."""
    return torch.stack([tensor[min(member, len(tensor) - 1), start : start + window] for member, start in jobs])


def _evaluate(evaluate: Callable[..., torch.Tensor], cut: list[torch.Tensor], many: bool) -> torch.Tensor:
    """Evaluate; for a gradient over several batches, recompute each in the backward pass to save memory."""
    if many and torch.is_grad_enabled():
        return checkpoint(evaluate, *cut, use_reentrant=False)
    return evaluate(*cut)
