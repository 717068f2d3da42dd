"""Exact answers for linear-Gaussian trajectories: dense conditioning, and the Rauch-Tung-Striebel smoother."""

import numpy as np
import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Empirical


def process(size: int = 12, coupled: int = 5, seed: int = 0, modes: int | None = None, groups: int = 1) -> GaussMarkov:
    """A random stationary process: groups of `coupled` modes with a full coupling, the others with a memory each."""
    generator = np.random.default_rng(seed)
    modes = modes or size
    basis = np.linalg.qr(generator.standard_normal((size, size)))[0][:, :modes]
    coupling = generator.standard_normal((groups, coupled, coupled))
    coupling *= 0.9 / np.linalg.svd(coupling)[1][:, :1, None]
    memory = generator.uniform(-0.2, 0.8, modes - groups * coupled)
    variance = np.sort(generator.uniform(0.05, 3.0, modes))[::-1].copy()
    basis, *rest = (torch.tensor(a, dtype=torch.float32) for a in (basis, variance, coupling, memory))
    return GaussMarkov(Empirical(basis), *rest)


def evolution(process: GaussMarkov) -> np.ndarray:
    """A of whitened modes: its groups down the diagonal, then the memory of the others; (n, n)."""
    blocks = [*process.coupling.double().numpy(), *process.persistence.double().numpy()[:, None, None]]
    a, at = np.zeros((len(process.variance),) * 2), 0
    for block in blocks:
        a[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return a


def scaled(process: GaussMarkov) -> np.ndarray:
    """The modes as columns, each as long as its standard deviation; (D, n)."""
    columns = process.modes.expand(torch.eye(len(process.variance))).double().numpy().T
    return columns * np.sqrt(process.variance.double().numpy())


def transition(process: GaussMarkov) -> tuple[np.ndarray, np.ndarray]:
    """M and Q of x_{t+1} = M x_t + w in field space (needs as many modes as values)."""
    a, columns = evolution(process), scaled(process)
    inverse = np.linalg.inv(columns)
    return columns @ a @ inverse, columns @ (np.eye(process.size) - a @ a.T) @ columns.T


def covariance(process: GaussMarkov, frames: int) -> np.ndarray:
    """Covariance of a trajectory, (T * D, T * D)."""
    a, columns = evolution(process), scaled(process)
    powers = [np.linalg.matrix_power(a, lag) for lag in range(frames)]
    block = lambda i, j: columns @ (powers[i - j] if i >= j else powers[j - i].T) @ columns.T
    return np.block([[block(i, j) for j in range(frames)] for i in range(frames)])


def condition(prior: np.ndarray, operator: np.ndarray, error: np.ndarray, value: np.ndarray):
    """Mean and covariance of N(0, prior) given operator @ x = value with independent errors."""
    gain = prior @ operator.T @ np.linalg.inv(operator @ prior @ operator.T + np.diag(error**2))
    return gain @ value, prior - gain @ operator @ prior


def stacked(operators) -> np.ndarray:
    """One operator on the whole trajectory from an operator a frame."""
    operators = list(operators)
    size = operators[0].shape[1]
    whole = np.zeros((sum(map(len, operators)), len(operators) * size))
    at = 0
    for t, operator in enumerate(operators):
        whole[at : at + len(operator), t * size : (t + 1) * size] = operator
        at += len(operator)
    return whole


def smoother(process: GaussMarkov, operators: list, errors: list, values: list):
    """Kalman filter forward, Rauch-Tung-Striebel back; means (T, D) and covariances (T, D, D).

    Written from the textbook recursions (Rauch, Tung and Striebel 1965), sharing no code with the package.
    """
    model, noise = transition(process)
    columns = scaled(process)
    mean, spread = np.zeros(process.size), columns @ columns.T
    forecast, filtered = [], []
    for t, (h, error, y) in enumerate(zip(operators, errors, values)):
        if t:
            mean, spread = model @ mean, model @ spread @ model.T + noise
        forecast.append((mean, spread))
        if len(y):
            gain = spread @ h.T @ np.linalg.inv(h @ spread @ h.T + np.diag(error**2))
            mean, spread = mean + gain @ (y - h @ mean), spread - gain @ h @ spread
        filtered.append((mean, spread))
    smooth = [filtered[-1]]
    for t in range(len(values) - 2, -1, -1):
        (m, p), (mf, pf) = filtered[t], forecast[t + 1]
        back = p @ model.T @ np.linalg.inv(pf)
        smooth.append((m + back @ (smooth[-1][0] - mf), p + back @ (smooth[-1][1] - pf) @ back.T))
    smooth.reverse()
    return np.array([m for m, _ in smooth]), np.array([p for _, p in smooth])


def fixed_lag(process: GaussMarkov, operators: list, errors: list, values: list, lag: int):
    """What is known of each frame from observations up to `lag` frames after it; lag 0 is the Kalman filter."""
    operators, errors, values = list(operators), list(errors), list(values)
    means, spreads = [], []
    for t in range(len(values)):
        known = slice(0, t + lag + 1)
        mean, spread = smoother(process, operators[known], errors[known], values[known])
        means.append(mean[t])
        spreads.append(spread[t])
    return np.array(means), np.array(spreads)
