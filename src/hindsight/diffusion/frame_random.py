"""Counter-based noise: every number is a function of (seed, member, frame, step, purpose), whatever the job.

Two jobs with the same frame of the same member draw the same noise for it. The noise of an observation is a function of
the observation's key in place of the frame. The generator is Philox (Salmon et al. 2011, doi:10.1145/2063384.2063405),
with one stream for each (member, frame, step, purpose).
"""

from collections.abc import Sequence

import numpy as np
import torch

from hindsight.fields import perturbations

PURPOSES = ("start", "state", "observation", "step", "correction", "carry", "select")


def normal(
    seed: int,
    members: Sequence[int],
    frames: Sequence[int],
    steps: int | Sequence[int],
    purpose: str,
    size: int,
    antithetic: bool = False,
) -> torch.Tensor:
    """Standard normal numbers.

    Args:
        seed: of the product.
        members: member numbers, E of them.
        frames: absolute frame numbers, T of them.
        steps: number of the sampling step, one for all frames or one for each, see `sampler.Noise`.
        purpose: use of the numbers, one of `PURPOSES`.
        size: numbers for each frame.
        antithetic: whether an odd member has the numbers of the one before it with the opposite sign.

    Returns:
        float32, shape (E, T, size).
    """
    members, signs = perturbations.in_pairs(members, antithetic)
    draw = np.empty((len(members), len(frames), size), np.float32)
    kind, steps = PURPOSES.index(purpose), np.broadcast_to(steps, len(frames))
    for e, member in enumerate(members):
        for t, (frame, step) in enumerate(zip(frames, steps)):
            _generator(seed, member, frame, int(step), kind).standard_normal(out=draw[e, t], dtype=np.float32)
        draw[e] *= np.float32(signs[e])
    return torch.from_numpy(draw)


def for_observations(
    seed: int,
    members: Sequence[int],
    keys: torch.Tensor,
    steps: int | Sequence[int],
    purpose: str,
    antithetic: bool = False,
) -> torch.Tensor:
    """Standard normal numbers of observations, by their keys, see `fields.perturbations`.

    Args:
        seed: of the product.
        members: member numbers, E of them.
        keys: of the observations of T frames, (T, N).
        steps: number of the sampling step, one for all frames or one for each, see `sampler.Noise`.
        purpose: use of the numbers, one of `PURPOSES`.
        antithetic: see `normal`.

    Returns:
        float32, shape (E, T, N).
    """
    counts = np.broadcast_to(steps, len(keys)) * len(PURPOSES) + PURPOSES.index(purpose)
    drawn = perturbations.normal(seed, 0, members, counts[:, None], keys.cpu().numpy(), antithetic)
    return torch.from_numpy(drawn.astype(np.float32))


def uniform(seed: int, frame: int, step: int, purpose: str) -> float:
    """One number from 0 to 1, the same for all members."""
    return float(_generator(seed, 0, frame, step, PURPOSES.index(purpose)).random())


def _generator(seed: int, member: int, frame: int, step: int, kind: int) -> np.random.Generator:
    counter = [0, int(frame) % 2**64, int(member), step * len(PURPOSES) + kind]
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))
