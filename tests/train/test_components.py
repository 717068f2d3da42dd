"""Principal components and their evolution; test_linear_prior.py tests what is made of them."""

import numpy as np
import torch

from hindsight.settings.train import LinearPrior
from hindsight.train.components import (
    MAX_SINGULAR_VALUE,
    component_model,
    cross_validated,
    evolution,
    lagged,
    memory,
    principal,
)
from hindsight.train.covariances import CovarianceSums


def sums(frames=4000, size=4):
    """Of a vector autoregression x' = M x + w, with M and its stationary covariance."""
    generator = np.random.default_rng(0)
    model = np.diag([0.9, 0.5, 0.3, 0.1]) + 0.05 * generator.standard_normal((size, size))
    x, found = np.zeros(size), []
    for _ in range(frames):
        x = model @ x + generator.standard_normal(size)
        found.append(x)
    x = torch.as_tensor(np.array(found))
    total = CovarianceSums.zero(x)
    total.add(x, np.arange(frames), np.arange(frames - 1))
    return total, x


def test_components_diagonalise_the_covariance_and_a_lag_in_them_is_the_regression():
    total, x = sums()
    settings = LinearPrior(ridge=0.0)
    variance, within, vectors = principal(total, settings)
    assert torch.equal(variance, within)  # a single part
    torch.testing.assert_close(vectors.T @ (x.T @ x / len(x)) @ vectors, torch.diag(variance), atol=1e-10, rtol=0)
    whitened = x @ vectors / variance.sqrt()
    regression = torch.linalg.lstsq(whitened[:-1], whitened[1:]).solution.T
    torch.testing.assert_close(lagged(total, variance, vectors, settings), regression, atol=2e-3, rtol=0)
    assert lagged(total, variance, vectors, LinearPrior(form="space")).abs().max() == 0


def test_the_coupling_is_clipped_and_the_others_keep_their_own_memory():
    correlation = torch.diag(torch.tensor([1.2, 0.5, 1.1, -0.3], dtype=torch.float64))
    coupling, others = evolution(correlation, 2)
    torch.testing.assert_close(coupling, torch.diag(torch.tensor([MAX_SINGULAR_VALUE, 0.5], dtype=torch.float64)))
    torch.testing.assert_close(others, torch.tensor([MAX_SINGULAR_VALUE, -0.3], dtype=torch.float64))


def test_the_memory_of_a_complex_mode_is_the_real_part_of_its_correlation():
    assert memory(torch.tensor([0.4 + 0.7j])).item() == np.float32(0.4)


def parted(x, parts):
    """Sums of frames (n, size) in consecutive parts."""
    total = CovarianceSums.zero(x, parts)
    for part, rows in enumerate(torch.arange(len(x)).tensor_split(parts)):
        total.add(x, rows.numpy(), rows[:-1].numpy(), part)
    return total


def test_each_part_judges_the_components_of_the_others():
    _, x = sums(400)
    total, expected = parted(x, 4), 0
    for rows in torch.arange(400).chunk(4):
        others = np.delete(x.numpy(), rows, 0)
        vectors = np.linalg.eigh(others.T @ others)[1][:, ::-1]
        expected = expected + ((x[rows].numpy() @ vectors) ** 2).sum(0) / 400
    np.testing.assert_allclose(cross_validated(total), np.sort(expected)[::-1])
    variance, within, _ = principal(total, LinearPrior())
    torch.testing.assert_close(variance, cross_validated(total))
    torch.testing.assert_close(variance.sum(), within.sum())  # no variance is lost
    torch.testing.assert_close(within.flip(0), torch.linalg.eigvalsh(x.T @ x / 400))


def weather(frames, size, memory, seed):
    """Red noise with variances k^-2 in random directions, (frames, size), and its covariance."""
    generator = np.random.default_rng(seed)
    root = np.linalg.qr(generator.standard_normal((size, size)))[0] / np.arange(1, size + 1)
    x = [generator.standard_normal(size)]
    for _ in range(frames - 1):
        x.append(memory * x[-1] + np.sqrt(1 - memory**2) * generator.standard_normal(size))
    return torch.tensor(np.array(x) @ root.T), root @ root.T


def spread_and_error(variance, vectors, truth, seen, noise):
    """Root-mean-square spread and true error of an analysis from some values, of a covariance that is believed."""
    believed = (vectors * variance) @ vectors.T
    gain = believed[:, seen] @ np.linalg.inv(believed[np.ix_(seen, seen)] + noise**2 * np.eye(len(seen)))
    missed = np.eye(len(truth)) - gain @ np.eye(len(truth))[seen]
    error = np.trace(missed @ truth @ missed.T) + noise**2 * (gain**2).sum()
    return np.sqrt(np.trace(believed - gain @ believed[seen])), np.sqrt(error)


def test_judged_variances_give_an_analysis_its_right_spread():
    """1,200 frames with a memory of 0.97, as of a year of six-hourly weather, are some 20 independent ones."""
    ratios = {"judged": [], "within": []}
    for seed in range(6):
        x, truth = weather(1200, 96, 0.97, seed)
        variance, within, vectors = (part.numpy() for part in principal(parted(x, 5), LinearPrior()))
        for name, chosen in (("judged", variance), ("within", within)):
            spread, error = spread_and_error(chosen, vectors, truth, np.arange(10) * 9, 0.02)
            ratios[name].append(spread / error)
    assert np.mean(ratios["within"]) < 0.87
    assert 0.94 < np.mean(ratios["judged"]) < 1.08


def test_components_without_variance_are_left_out_of_the_model():
    x = torch.cat([sums(200)[1], torch.zeros(200, 2)], 1)
    variance, coupling, persistence, vectors = component_model(parted(x, 5), LinearPrior(coupled_modes=2))
    assert variance.shape == (4,) and coupling.shape == (2, 2) and persistence.shape == (2,) and vectors.shape == (6, 4)
