"""Is the spread of an analysis right, when variances of modes are measured in the frames they were fitted to, or not?

    python benchmarks/variances.py --json results/variances.json

Red noise in D values whose covariance is known (variances k^-2 in random directions), T frames of it, principal
components by `train.components`, and the analysis of a tenth of the values, observed with an error of 0.1 standard
deviations. Writes, by case and number of `parts` (1: within the frames), the true error in standard deviations and
spread / error; means over worlds. `known`: with the true covariance.
"""

import argparse
import json
from pathlib import Path

import cases
import numpy as np
import torch

from hindsight.settings.train import LinearPrior
from hindsight.train.components import principal
from hindsight.train.covariances import CovarianceSums

CASES = ((1200, 0.9, 96), (1200, 0.97, 96), (5840, 0.97, 128), (2900, 0.8, 512))  # frames, memory, values
PARTS = (1, 5, 10)
NOISE = 0.1


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--quick", action="store_true", help="one small world: a check that it runs")
    chosen = parser.parse_args()
    found = []
    for frames, memory, size in CASES[:1] if chosen.quick else CASES:
        worlds = [measured(frames, memory, size, seed) for seed in range(1 if chosen.quick else 4)]
        means = {name: np.mean([world[name] for world in worlds], 0).round(3).tolist() for name in worlds[0]}
        found.append({"frames": frames, "memory": memory, "values": size, "error, spread / error": means})
        print(json.dumps(found[-1]), flush=True)
    cases.write(found, chosen.json)


def measured(frames: int, memory: float, size: int, seed: int) -> dict[str, tuple[float, float]]:
    """True error and spread / error, by how the variances were measured."""
    x, truth = weather(frames, memory, size, seed)
    fitted = {f"{parts} parts": principal(summed(x, parts), LinearPrior()) for parts in PARTS}
    believed = {name: ((v * variance) @ v.T).numpy() for name, (variance, _, v) in fitted.items()} | {"known": truth}
    seen = np.random.default_rng(seed).choice(size, size // 10, replace=False)
    return {name: error_and_ratio(covariance, truth, seen) for name, covariance in believed.items()}


def weather(frames: int, memory: float, size: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Red noise (frames, size) of unit mean variance, and its covariance."""
    generator = np.random.default_rng(seed)
    root = np.linalg.qr(generator.standard_normal((size, size)))[0] / np.arange(1, size + 1)
    root = root * np.sqrt(size / (root**2).sum())
    x = [generator.standard_normal(size)]
    for _ in range(frames - 1):
        x.append(memory * x[-1] + np.sqrt(1 - memory**2) * generator.standard_normal(size))
    return torch.tensor(np.array(x) @ root.T), root @ root.T


def summed(x: torch.Tensor, parts: int) -> CovarianceSums:
    """Sums over frames, in consecutive parts."""
    sums = CovarianceSums.zero(x, parts)
    for part, rows in enumerate(np.array_split(np.arange(len(x)), parts)):
        sums.add(x, rows, rows[:-1], part)
    return sums


def error_and_ratio(believed: np.ndarray, truth: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """The error of an analysis with a covariance that is believed (standard deviations), and its spread over it."""
    innovation = believed[np.ix_(seen, seen)] + NOISE**2 * np.eye(len(seen))
    gain = np.linalg.solve(innovation, believed[seen]).T
    missed = np.eye(len(truth)) - gain @ np.eye(len(truth))[seen]
    error = np.trace(missed @ truth @ missed.T) + NOISE**2 * (gain**2).sum()
    spread = np.trace(believed - gain @ believed[seen])
    return float(np.sqrt(error / len(truth))), float(np.sqrt(spread / error))


if __name__ == "__main__":
    main()
