"""The fit of few functions of all channels, which loses no variance of the rest: dense linear algebra."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.harmonics import Harmonics
from hindsight.operators.linear import LinearObservations
from hindsight.settings.train import LinearPrior
from hindsight.train import linear_prior
from tests.diffusion.test_exact_smoother import closed_form
from tests.oracles import linear_gaussian as oracle
from tests.train import helpers

C, H, W, LARGE = 2, 7, 12, 2  # channels, latitudes, longitudes; truncation of the large scales
GLOBE = Grid(np.linspace(-90, 90, H), np.arange(W) * 360 / W)
MEASURE = np.sqrt(GLOBE.weights)
FRAMES = 3


def flat(values):
    return values.reshape(len(values), -1).astype(float)


def homogeneous(one, other):
    """E[x y^T] of two series (T, C, H, W) with the same statistics at all longitudes: the mean over all rotations."""
    turned = lambda x, k: flat(np.roll(x, k, -1))
    return sum(turned(one, k).T @ turned(other, k) for k in range(W)) / (W * len(one))


def autoregressive(generator, frames, memory, *shape):
    """Independent series of unit variance."""
    found, x = np.empty((frames, *shape)), generator.standard_normal(shape)
    for t in range(frames):
        x = memory * x + np.sqrt(1 - memory**2) * generator.standard_normal(shape)
        found[t] = x
    return found


def weather(frames, share, seed=0):
    """Large scales that both channels have in common, and small ones with a share of the variance, most in the north.

    The small scales are white, of each channel by itself, and have memories of their own.
    """
    generator, sphere = np.random.default_rng(seed), Harmonics(GLOBE.latitude, W, LARGE)
    parts = autoregressive(generator, frames, 0.8, 2, LARGE + 1, LARGE + 1)
    other = autoregressive(generator, frames, 0.8, 2, LARGE + 1, LARGE + 1)
    waves = np.triu(parts + 1j * np.where(np.arange(LARGE + 1)[:, None] > 0, other, 0))
    large = sphere.synthesis(torch.as_tensor(waves)).numpy() * MEASURE
    large = np.stack([large[:, 0], 0.8 * large[:, 0] + 0.6 * large[:, 1]], 1)
    memory, north = np.array([0.2, 0.7])[:, None, None], 1 + 0.8 * np.sin(np.deg2rad(GLOBE.latitude))[:, None]
    small = autoregressive(generator, frames, memory, C, H, W) * north
    scale = lambda x, part: x * np.sqrt(part / x.var())
    return (scale(large, 1 - share) + scale(small, share)).astype(np.float32)


def fit(values, grid=GLOBE, **settings):
    chosen = {"basis": "waves", "ridge": 0.0, "floor": 1e-9, "coupled_modes": 6, "parts": 1} | settings
    return linear_prior.fit(helpers.Held(values, grid), LinearPrior(**chosen))


@pytest.fixture(scope="module", params=[0.01, 0.1], ids=["1 %", "10 %"])
def case(request):
    """A long series, another one of the same process, and the share of its small scales."""
    return weather(12000, request.param), weather(1800, request.param, seed=1), request.param


def analyses(process, values, count=30, error=0.05):
    """Root-mean-square error and spread of dense conditioning of every three frames on the same places."""
    size, generator = process.size, np.random.default_rng(2)
    windows = flat(values).reshape(-1, FRAMES * size)
    operator = np.eye(FRAMES * size)[generator.permutation(FRAMES * size)[: FRAMES * count]]
    prior = oracle.covariance(process, FRAMES)
    seen = windows @ operator.T + error * generator.standard_normal((len(windows), len(operator)))
    mean, spread = oracle.condition(prior, operator, np.full(len(operator), error), seen.T)
    measure = np.tile(np.broadcast_to(MEASURE, (C, H, W)).ravel(), FRAMES)
    score = lambda square: np.sqrt((square / measure**2).mean())
    places = operator @ spread @ operator.T
    there = np.sqrt(((windows @ operator.T - (operator @ mean).T) ** 2).mean()), np.sqrt(np.diag(places).mean())
    return score((windows - mean.T) ** 2), score(np.diag(spread)), there


def test_error_and_spread_of_an_analysis_agree_with_functions_left_out(case):
    """By dense conditioning, everywhere and at the observations; without the residual the spread is far too small."""
    train, test, share = case
    error, spread, (error_there, spread_there) = analyses(fit(train, modes=6), test)
    assert spread / error == pytest.approx(1, abs=0.05) and spread_there / error_there == pytest.approx(1, abs=0.05)
    worse, believed, (worse_there, believed_there) = analyses(fit(train, modes=6, residual=False), test)
    assert error < worse and believed / worse < (0.75 if share == 0.01 else 0.4)
    assert error_there < worse_there and believed_there / worse_there < (0.7 if share == 0.01 else 0.25)
    best, *_ = analyses(fit(train, modes=C * H), test)
    assert error < 1.06 * best


def test_the_variance_of_every_channel_and_latitude_is_that_of_the_training_period(case):
    """And the covariance within a channel, and that between channels of the modes that are kept."""
    train, *_ = case
    expected = homogeneous(train, train)
    for modes in (1, 6, C * H):
        found = oracle.covariance(fit(train, modes=modes), 1)
        np.testing.assert_allclose(np.diag(found), np.diag(expected), atol=1e-5 * expected.max())
        for c in range(C):
            here = slice(c * H * W, (c + 1) * H * W)
            np.testing.assert_allclose(found[here, here], expected[here, here], atol=1e-5 * expected.max())
    # all but the Nyquist wavenumber
    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()


def test_what_is_left_out_has_the_memory_of_its_channel(case):
    """Lag-one covariances of the small scales alone, by their projection orthogonal to the large ones."""
    train, *_ = case
    process = fit(train, modes=6)
    found = oracle.covariance(process, 2)
    size, small = process.size, np.kron(np.eye(C * H), np.eye(W) - _leading_waves())
    project = lambda block: (small @ block @ small).reshape(C, H * W, C, H * W)
    now, later = project(found[:size, :size]), project(found[size:, :size])
    for c, memory in enumerate((0.2, 0.7)):
        assert np.trace(later[c, :, c]) / np.trace(now[c, :, c]) == pytest.approx(memory, abs=0.02)


def _leading_waves():
    angle = 2 * np.pi * np.arange(W) / W
    waves = [np.ones(W)] + [f(m * angle) for m in range(1, LARGE + 1) for f in (np.cos, np.sin)]
    basis = np.linalg.qr(np.array(waves).T)[0]
    return basis @ basis.T


def test_the_closed_form_is_that_of_the_dense_covariance(case):
    """The posterior of noisy frames, and the gain H P H^T of observations, at levels that differ between frames."""
    train, *_ = case
    process = fit(train[:2000], modes=5)
    prior, size = oracle.covariance(process, FRAMES), process.size
    sigma = torch.tensor([[0.3, 4.0, 1.0]])
    noise = np.diag(np.repeat(sigma[0].double().numpy() ** 2, size))
    expected = prior - prior @ np.linalg.solve(prior + noise, prior)
    unit = torch.eye(FRAMES * size).view(-1, FRAMES, size)
    np.testing.assert_allclose(Posterior(process, sigma).covariance(unit).flatten(1), expected, atol=2e-4)
    point = torch.tensor(np.random.default_rng(0).integers(0, size, (FRAMES, 9, 1)))
    shape = torch.ones(FRAMES, 9)
    value = torch.randn(FRAMES, 9, generator=torch.Generator().manual_seed(0))
    seen = LinearObservations(point, torch.ones(FRAMES, 9, 1), value, 0.1 * shape, shape)
    found = Analytic(Unguided(process, closed_form), seen, tolerance=1e-6).gain(value[None], process.posterior(sigma))
    operator = oracle.stacked(seen.rows(t, size).double().numpy() for t in range(FRAMES))
    mean, _ = oracle.condition(expected, operator, np.full(len(operator), 0.1), value.double().numpy().ravel())
    np.testing.assert_allclose(found.numpy().ravel(), mean, atol=1e-3)


def test_a_truncation_keeps_as_many_functions_as_there_are_harmonics_and_the_variance_of_the_rest(case):
    train = case[0][:3000]
    process = fit(train, truncation=4, coupled_modes=99)
    joint = process.modes.rotation.square().sum((1, 3)) > 0.5  # of every wavenumber, its functions of all channels
    assert joint.sum(1).tolist() == [C * 5, C * 4, C * 3, C * 2, C, 0, 0]
    found, expected = oracle.covariance(process, 1), homogeneous(train, train)
    np.testing.assert_allclose(np.diag(found), np.diag(expected), atol=1e-5 * expected.max())
    fewer = fit(train, truncation=4, modes=3)
    assert (fewer.modes.rotation.square().sum((1, 3)) > 0.5).sum(1).tolist() == [3, 3, 3, 3, 2, 0, 0]


def test_a_region_keeps_the_covariance_of_every_channel():
    """With a mixture of channels among few functions, whose spread then agrees with the error too."""
    generator, region = np.random.default_rng(0), Grid(np.arange(4.0), np.arange(5.0))
    pattern = generator.standard_normal((6, C, 4, 5))
    large = np.tensordot(autoregressive(generator, 8000, 0.8, 6), pattern, 1)
    values = (large / large.std() + 0.3 * generator.standard_normal((8000, C, 4, 5))).astype(np.float32)
    process = fit(values, region, basis="empirical", modes=12)
    found, expected = oracle.covariance(process, 1), flat(values).T @ flat(values) / len(values)
    assert process.size == len(process.variance) == C * 20 and not process.modes.periodic
    for c in range(C):
        here = slice(c * 20, (c + 1) * 20)
        np.testing.assert_allclose(found[here, here], expected[here, here], atol=0.03 * expected.max())
    across = np.abs(found[:20, 20:] - expected[:20, 20:]).max()
    assert across < 0.05 * np.abs(expected[:20, 20:]).max()


def test_gaps_are_left_out_and_the_same_frames_give_the_same_bits(case):
    train = case[0][:400]
    broken = np.insert(train, [100, 250], np.nan, 0)
    segment = np.repeat([0, -1, 1, -1, 2], [100, 1, 150, 1, 150])
    settings = LinearPrior(basis="waves", modes=5, ridge=0.0, parts=1)
    one, other = (linear_prior.fit(helpers.Held(broken, GLOBE, segment, block), settings) for block in (64, 64))
    assert all(torch.equal(value, other.tensors()[name]) for name, value in one.tensors().items())
    found, expected = oracle.covariance(one, 1), homogeneous(train, train)
    np.testing.assert_allclose(np.diag(found), np.diag(expected), atol=1e-5 * expected.max())


def test_a_truncation_that_the_grid_does_not_resolve_is_refused():
    with pytest.raises(UserError, match="truncation 9 do not fit the grid"):
        fit(np.zeros((20, C, H, W), np.float32), truncation=9, modes=3)
