"""Measures of memorisation: exact statistics, and networks whose representations are known."""

import numpy as np
import pytest
import torch

from hindsight.scores import memorisation
from tests.oracles import relu_autoencoder as oracle

DECAY = 0.01
IMAGES = oracle.images()
WIDE = oracle.directions(20_000, seed=1)
FEW = oracle.separable(WIDE, 5)  # stored by a network that has no others
MANY = IMAGES.draw(10_000, seed=2)


def test_statistics_of_a_representation_are_those_of_its_definition():
    h = np.array([[3.0, 0, 0, 0], [1.0, 1, 1, 1], [0, 0, 0, 0], [1.0, 2, 3, 4]])
    np.testing.assert_allclose(memorisation.deviation(h), [np.sqrt(27 / 16), 0, 0, np.sqrt(1.25)])
    norm = lambda x, p: (np.abs(x) ** p).sum() ** (1 / p)
    np.testing.assert_allclose(memorisation.peakedness(h), [1, 4**-0.25, 0, norm(h[3], 4) / norm(h[3], 2)])
    np.testing.assert_allclose(memorisation.peakedness(7 * h), memorisation.peakedness(h))  # whatever its size


@pytest.mark.parametrize("seed", range(4))
def test_auroc_is_the_share_of_pairs_with_ties_half(seed):
    generator = np.random.default_rng(seed)
    first, second = generator.integers(0, 6, (5, 7)), generator.integers(1, 7, (11, 2))
    pairs = [(a > b) + 0.5 * (a == b) for a in first.ravel() for b in second.ravel()]
    assert memorisation.auroc(first, second) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert memorisation.auroc(second, first) == pytest.approx(1 - np.mean(pairs), abs=1e-12)
    assert memorisation.shares_below(first, second).mean() == pytest.approx(np.mean(pairs), abs=1e-12)


def red_noise(generator, count, memory):
    """Red noise of unit variance in groups of four frames, (N, 4)."""
    x = np.empty(4 * count)
    x[0] = generator.standard_normal()
    for t in range(1, len(x)):
        x[t] = memory * x[t - 1] + np.sqrt(1 - memory**2) * generator.standard_normal()
    return x.reshape(count, 4)


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_the_interval_holds_one_half_as_often_as_it_says_although_neighbours_depend(memory):
    generator, held, naive = np.random.default_rng(1), [], []
    for _ in range(150):
        first, second = red_noise(generator, 48, memory), red_noise(generator, 48, memory)
        lower, upper = memorisation.auroc_interval(first, second, 0.95)
        held.append(lower <= 0.5 <= upper)
        naive.append(abs(memorisation.auroc(first, second) - 0.5) < 1.96 * np.sqrt(385 / (12 * 192 * 192)))
    assert 0.89 < np.mean(held) <= 1
    assert memory == 0 or np.mean(naive) < 0.75  # what the number of frames alone would say


def test_what_pairs_have_in_common_does_not_widen_the_interval():
    """A season that both windows of a pair share; the same windows in other pairs have a wider interval."""
    generator, season = np.random.default_rng(3), 3 * np.sin(2 * np.pi * np.arange(64) / 64)[:, None]
    first, second = (season + red_noise(generator, 64, 0.0) for _ in range(2))
    width = lambda of: np.ptp(memorisation.auroc_interval(first, of))
    assert width(second) < 0.1 < 0.3 < width(second[::-1])


def test_few_windows_have_no_interval():
    assert np.isnan(memorisation.auroc_interval(np.ones((29, 4)), np.ones((29, 4)))).all()


@pytest.mark.parametrize("away", [0.0, 5.0])
def test_the_nearest_is_that_of_all_pairs(away):
    generator = np.random.default_rng(2)
    base, asked = generator.standard_normal((40, 6)), generator.standard_normal((9, 6))
    at, when = np.arange(40.0), generator.uniform(0, 40, 9)
    blocks = [(base[k : k + 7], at[k : k + 7]) for k in range(0, 40, 7)]
    square, found = memorisation.nearest(asked, when, blocks, away)
    every = ((asked[:, None] - base) ** 2).sum(-1)
    every[np.abs(when[:, None] - at) < away] = np.inf
    np.testing.assert_allclose(square, every.min(1), rtol=1e-9)
    np.testing.assert_array_equal(found, every.argmin(1))
    none, no_time = memorisation.nearest(asked, when, blocks, 100.0)
    assert np.isinf(none).all() and np.isnan(no_time).all()
    assert memorisation.nearest(base[:1], at[:1], [(base[:1], at[5:6])], 5.0)[0] < 1e-9  # exactly so far away


def gradient(encoder, samples, draws):
    """Largest element of the gradient of the loss at tied weights, relative to that at twice the weights."""
    white = torch.randn(draws, *samples.shape, generator=torch.Generator().manual_seed(0), dtype=samples.dtype)
    sizes = []
    for scale in (1.0, 2.0):
        weights = [(scale * encoder).clone().requires_grad_(True) for _ in range(2)]
        oracle.loss(*weights, samples, white, DECAY).backward()
        sizes.append(max(w.grad.abs().max().item() for w in weights))
    return sizes[0] / sizes[1]


@pytest.mark.slow
def test_the_closed_minimisers_of_the_autoencoder_are_stationary():
    closed = oracle.memorising(FEW, DECAY), oracle.generalising(IMAGES, MANY, DECAY)
    for encoder, samples, draws in zip(closed, (FEW, MANY), (4000, 8)):
        assert gradient(encoder, samples, draws) < 3e-3 < 1e-2 < gradient(1.05 * encoder, samples, draws)


@pytest.fixture(scope="module")
def stored():
    return oracle.trained(FEW, units=12, decay=DECAY, steps=3000, batch=5)


@pytest.fixture(scope="module")
def learnt():
    return oracle.trained(MANY, units=60, decay=DECAY, steps=1500, batch=256)


def test_a_network_of_few_samples_stores_them_as_the_closed_form_says(stored):
    """The largest columns are samples. Several columns may share one; together they have the energy of its unit."""
    largest = stored[:, stored.norm(dim=0).argsort(descending=True)[:5]]
    cosine = (FEW / oracle.NORM) @ (largest / largest.norm(dim=0))
    assert (cosine.max(0).values > 0.99).all()
    energy, owner = stored.square().sum(0), (FEW @ stored).argmax(0)
    found = torch.stack([energy[owner == i].sum() for i in range(5)])
    torch.testing.assert_close(found, oracle.memorising(FEW, DECAY).square().sum(0), rtol=0.02, atol=0)


def test_a_network_of_many_samples_filters_them_as_the_closed_form_says(learnt):
    others = IMAGES.draw(1000, seed=4)
    white = torch.randn(4, *others.shape, generator=torch.Generator().manual_seed(5), dtype=others.dtype)
    error = lambda encoder: oracle.loss(encoder, encoder, others, white, 0.0).item()
    assert error(learnt) < 1.1 * error(oracle.generalising(IMAGES, MANY, DECAY))


@pytest.mark.parametrize("statistic", [memorisation.deviation, memorisation.peakedness])
def test_the_representation_tells_stored_samples_from_others_and_learnt_ones_not(statistic, stored, learnt):
    """The detector of the paper, where theory says what it finds. Columns that share a sample hide some of it."""
    of = lambda encoder, samples: statistic(oracle.codes(encoder, samples))
    one_unit_each = oracle.memorising(FEW, DECAY)
    assert memorisation.auroc(of(one_unit_each, FEW), of(one_unit_each, WIDE)) > 0.95
    least = 0.9 if statistic is memorisation.deviation else 0.7
    assert memorisation.auroc(of(stored, FEW), of(stored, WIDE)) > least
    for encoder in (oracle.generalising(IMAGES, MANY, DECAY), learnt):
        assert abs(memorisation.auroc(of(encoder, MANY), of(encoder, IMAGES.draw(2000, seed=4))) - 0.5) < 0.03


def test_codes_of_stored_samples_are_spiky_and_those_of_learnt_ones_balanced():
    """One unit for each sample; or the units of a cluster share the energy equally, up to what differs inside it."""
    spiky = memorisation.peakedness(oracle.codes(oracle.memorising(FEW, DECAY), FEW))
    balanced = memorisation.peakedness(oracle.codes(oracle.generalising(IMAGES, MANY, DECAY), MANY))
    assert spiky.min() > 0.999 and balanced.mean() == pytest.approx((1 + oracle.RANK) ** -0.25, rel=0.03)
