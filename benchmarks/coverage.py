"""Coverage of the confidence intervals of scores, from simulated series whose spectrum is known.

    python benchmarks/coverage.py --json results/coverage.json

For every process and number of frames, `coverage` is the share of 95 % intervals that contain the true mean, and
`width` their median width relative to the interval that the known spectrum gives. `white`, `ar_0.5`, `ar_0.9` and
`ar_0.97` are first-order autoregressions; `squares` is the mean square of four series like `ar_0.9`, its interval on
the logarithm; `mixed` is `ar_0.95` plus white noise. Each figure comes from `--trials` series.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from hindsight.scores import significance

FRAMES = (30, 60, 120, 240, 480, 1460, 2920)
CONFIDENCE, SPIN_UP = 0.95, 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    found = {}
    for frames in FRAMES:
        for name, series, mean, scale in processes(frames, arguments.trials):
            coverage, width = figures(series, mean, scale)
            found.setdefault(name, {})[str(frames)] = {"coverage": coverage, "width": width}
            print(f"{name:10}{frames:6}{coverage:8.3f}{width:8.2f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def processes(frames: int, trials: int) -> Iterator[tuple[str, np.ndarray, float, str]]:
    """Yield for each process its name, its series (frames, trials), their mean, and the scale of the interval."""
    generator = np.random.default_rng(frames)
    own = lambda rho: autoregression(generator, rho, frames, trials)
    yield "white", own(0.0), 0.0, "linear"
    for rho in (0.5, 0.9, 0.97):
        yield f"ar_{rho}", own(rho), 0.0, "linear"
    yield "squares", np.mean([own(0.9) ** 2 for _ in range(4)], 0), 1.0, "log"
    yield "mixed", own(0.95) + own(0.0), 0.0, "linear"


def autoregression(generator: np.random.Generator, rho: float, frames: int, trials: int) -> np.ndarray:
    """First-order autoregressions of unit variance, (frames, trials)."""
    noise = generator.standard_normal((frames + SPIN_UP, trials))
    return np.sqrt(1 - rho**2) * lfilter([1], [1, -rho], noise, axis=0)[SPIN_UP:]


def figures(series: np.ndarray, mean: float, scale: str) -> tuple[float, float]:
    """Coverage of the intervals, and their width relative to the central range of the true sampling distribution."""
    scores = significance.weighted_means(series)
    lower, upper = significance.interval(scores, CONFIDENCE, scale)
    low, high = significance.central_range(scores[0], CONFIDENCE)
    coverage = np.mean((lower <= mean) & (mean <= upper))
    return round(float(coverage), 3), round(float(np.median(upper - lower) / (high - low)), 2)


if __name__ == "__main__":
    main()
