"""The scores of the benchmark on a square."""

import sys

import numpy as np
import pytest

from tests.workflow import runs


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import navier_stokes

    yield navier_stokes
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def wave(k, m, points=24):
    x = 2 * np.pi * np.arange(points) / points
    return np.cos(k * x + m * x[:, None])


def test_a_wave_has_its_energy_in_its_ring(benchmark):
    """omega = cos(k . x) has |v|^2 = sin^2 / k^2: summed over half a plane a quarter of 1 / k^2, times N^4."""
    found = benchmark.energy(np.stack([wave(2, 0), wave(3, 4)]))
    assert found.shape == (2, 8)
    assert np.flatnonzero(found[0] > 1e-6).tolist() == [1] and np.flatnonzero(found[1] > 1e-6).tolist() == [4]
    assert found[0, 1] / found[1, 4] == pytest.approx(25 / 4)


def test_scores_of_members_that_are_off_by_known_amounts(benchmark):
    """Members of half the truth, of one and a half times the truth, and members that drift away from it."""
    truth = np.stack([wave(2, 0) + wave(1, 3)] * 5)
    found = benchmark.scores(np.stack([0.5 * truth, 1.5 * truth, 1.1 * truth]), truth)
    assert found["nrmse"] == pytest.approx(0.1 / 3) and found["drift"] == pytest.approx(0, abs=1e-9)
    assert found["nrmse_of_a_member"] == pytest.approx((0.5 + 0.5 + 0.1) / 3)
    rings = [1, 2]  # of (2, 0) and (1, 3): 2 and 3; others hold rounding errors alone
    spectrum = benchmark.energy(truth)[0][rings]
    assert (spectrum > 1).all()
    away = truth * (1 + 0.1 * np.arange(1, 6))[:, None, None]
    drifting = benchmark.scores(np.stack([away, away]), truth)
    assert drifting["nrmse"] == pytest.approx(0.3) and drifting["drift"] == pytest.approx(0.4 / 0.3)


def test_the_spectral_error_is_that_of_the_energy(benchmark):
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((3, 24, 24))
    found = benchmark.scores(np.stack([1.2 * truth, 1.2 * truth]), truth)
    assert found["spectral_error"] == pytest.approx(0.44)
    assert found["spread_skill"] == pytest.approx(0)
