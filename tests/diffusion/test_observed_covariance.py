"""H B H^T against the dense covariance of all frames, for modes of a region and of waves' kind."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Empirical, Values
from hindsight.diffusion.observed_covariance import ObservedCovariance

FRAMES, SIZE = 4, 9


def process(coupled=3, values=False):
    """A process over 9 values, with some modes coupled."""
    torch.manual_seed(1)
    matrix = torch.linalg.qr(torch.randn(SIZE, SIZE))[0]
    coupling = torch.linalg.qr(torch.randn(coupled, coupled))[0] * 0.8
    variance, persistence = torch.linspace(2, 0.1, SIZE), torch.linspace(0.7, -0.2, SIZE - coupled)
    modes = Values(torch.tensor(SIZE)) if values else Empirical(matrix)
    return GaussMarkov(modes, variance, coupling[None], persistence)


def dense(process):
    """The covariance of all frames (F * D, F * D), by powers of A."""
    transition = torch.block_diag(process.coupling[0], torch.diag(process.persistence))
    functions = process.modes.expand(torch.eye(SIZE)).T * process.variance.sqrt()
    power = lambda lag: torch.linalg.matrix_power(transition, abs(lag))
    blocks = [
        [functions @ (power(a - b) if a >= b else power(a - b).T) @ functions.T for b in range(FRAMES)]
        for a in range(FRAMES)
    ]
    return torch.cat([torch.cat(row, 1) for row in blocks])


def rows(count=12, terms=3):
    generator = np.random.default_rng(3)
    frame, point = generator.integers(0, FRAMES, (count, terms)), generator.integers(0, SIZE, (count, terms))
    return torch.tensor(frame), torch.tensor(point), torch.tensor(generator.normal(size=(count, terms)).astype("f4"))


@pytest.mark.parametrize("values", [False, True])
def test_it_is_the_dense_covariance_seen_through_the_rows(values):
    prior, (frame, point, weight) = process(values=values), rows()
    operator = torch.zeros(len(point), FRAMES * SIZE)
    operator.scatter_add_(1, frame * SIZE + point, weight)
    covariance, rest = ObservedCovariance(prior, SIZE)(frame, point, weight, FRAMES)
    torch.testing.assert_close(covariance, operator @ dense(prior) @ operator.T, atol=1e-5, rtol=1e-5)
    assert float(rest.abs().max()) == 0


def test_modes_that_are_not_resolved_keep_their_variance_in_the_frames_that_a_row_takes():
    prior, (frame, point, weight) = process(), rows(terms=1)
    full, _ = ObservedCovariance(prior, SIZE)(frame, point, weight, FRAMES)
    resolved, rest = ObservedCovariance(prior, 5)(frame, point, weight, FRAMES)
    torch.testing.assert_close(resolved.diagonal() + rest, full.diagonal(), atol=1e-5, rtol=1e-5)
    assert float(rest.min()) > 0 and float((full - resolved).abs().max()) > 0.01
