"""Inference plans: how noisy each frame of a window is at each sampling step.

One trained prior serves every regime; the regime is only the order in which the frames of a
window become clean. With S steps from pure noise to clean and a delay of d steps between
the starts of neighbouring frames,

    plan[s, t] = clip(S + d * t - s, 0, S)

is nowcasting for d = S (a frame waits for the one before it), batch reanalysis for d = 0
(all frames together), and fixed-lag smoothing in between.
"""

import numpy as np


def noise_plan(frames: int, steps: int, delay: int) -> np.ndarray:
    """Lay out the noise level of every frame at every sampling step.

    Args:
        frames: frames in the window, T.
        steps: steps a frame takes from pure noise to clean, S.
        delay: steps between the starts of neighbouring frames, 0 … S.

    Returns:
        Levels counted in steps, 0 (clean) … S (pure noise); int64, shape (S + delay * (T - 1) + 1, T).
        The first row is all S, the last all 0, and no level ever rises.

    References:
        Chen et al. (2024), Diffusion Forcing. https://arxiv.org/abs/2407.01392
    """
    if not 0 <= delay <= steps:
        raise ValueError(f"delay must lie in 0 … steps = {steps}, got {delay}")
    step = np.arange(steps + delay * (frames - 1) + 1)[:, None]
    frame = np.arange(frames)[None, :]
    return np.clip(steps + delay * frame - step, 0, steps)
