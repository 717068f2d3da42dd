"""A long stretch of time as one denoiser made of overlapping windows.

At every sampling step all windows are evaluated in batches, and their outputs are blended by a partition of unity.
Windows start at fixed absolute frame numbers, so that two jobs that see the same frame see it in the same windows
(production.md of the design calls it: the cut does not show; Bartal et al. 2023, MultiDiffusion, arXiv:2302.08113).
"""

from collections.abc import Callable

import torch


def starts(first: int, frames: int, window: int, stride: int) -> list[int]:
    """Where the windows of a stretch begin, counted from its first frame.

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
        windows: where windows begin.
        window: their length (the stretch's own, if it is shorter).
        batch: windows evaluated at once.
        stretch: tensors (E, T, …), or (1, T, …) where all members share them.

    Returns:
        The blend, (E, T, D).
    """
    members, frames = max(len(tensor) for tensor in stretch), stretch[0].shape[1]
    window = min(window, frames)
    hat = torch.sin(torch.pi * (torch.arange(window, device=stretch[0].device) + 0.5) / window) ** 2
    jobs = [(member, start) for start in windows for member in range(members)]
    total, weight = None, torch.zeros(frames, device=stretch[0].device)
    for start in windows:
        weight[start : start + window] += hat
    for k in range(0, len(jobs), batch):
        part = jobs[k : k + batch]
        cut = [torch.stack([t[min(m, len(t) - 1), s : s + window] for m, s in part]) for t in stretch]
        output = evaluate(*cut) * hat[:, None]
        if total is None:
            total = output.new_zeros(members, frames, output.shape[-1])
        for (member, start), value in zip(part, output):
            total[member, start : start + window] += value
    return total / weight[:, None]
