"""The fit of the linear prior."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.gauss_markov import Posterior
from hindsight.diffusion.modes import Values
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.harmonics import Harmonics
from hindsight.settings.train import LinearPrior
from hindsight.train import linear_prior
from tests.oracles import linear_gaussian as oracle
from tests.train import helpers

SIZE = 10
REGION = Grid(np.array([40.0, 45.0]), np.arange(0.0, 25, 5))
SHAPE = (1, *REGION.shape)
H, W, T = 8, 16, 5
GLOBE = Grid(-90 + 180 / H * (np.arange(H) + 0.5), np.arange(W) * 360 / W)
SPHERE = Harmonics(GLOBE.latitude, W, T)
MEASURE = np.sqrt(GLOBE.weights)
OPEN, ROUND, TORUS = ["open", "open"], ["pole", "periodic"], ["periodic", "periodic"]


@pytest.fixture(scope="module")
def series():
    """A long trajectory of a known process, over a region."""
    model, noise = oracle.transition(oracle.process(SIZE))
    root, generator = np.linalg.cholesky(noise), np.random.default_rng(0)
    x, found = np.zeros(SIZE), []
    for _ in range(40000):
        x = model @ x + root @ generator.standard_normal(SIZE)
        found.append(x)
    return np.array(found[100:]).reshape(-1, *SHAPE)


def coefficients(frames, seed=0, memory=0.0, channels=1):
    """Harmonics (T, C, m, l) of unit variance, each autoregressive and rotating at its own speed."""
    generator = np.random.default_rng(seed)
    order = np.arange(T + 1)[:, None] * np.ones(T + 1)
    keep = memory * np.exp(-0.4j * (order > 0) * (1 + order - np.arange(T + 1)))
    a, found = np.zeros((channels, T + 1, T + 1), complex), []
    for _ in range(frames + 50):
        white = generator.standard_normal((2, channels, T + 1, T + 1))
        fresh = np.where(order > 0, (white[0] + 1j * white[1]) / 2**0.5, white[0])
        a = keep * a + np.sqrt(1 - memory**2) * fresh
        found.append(a)
    return np.triu(np.array(found[50:]))


def departures(waves):
    """Fields of harmonics (T, C, m, l), with weights by area as for a prior on the sphere."""
    return (SPHERE.synthesis(torch.as_tensor(waves)).numpy() * MEASURE).astype(np.float32)


@pytest.fixture(scope="module")
def weather():
    """Two channels over the globe: one of rotating noise, the other a mixture of it with noise, weaker in the north."""
    first, second = (departures(coefficients(500, seed, memory=0.6)) for seed in (0, 1))
    mixed = (0.7 * first + 0.5 * second) * (1 - 0.5 * np.sin(np.deg2rad(GLOBE.latitude)))[:, None]
    return np.concatenate([first, mixed.astype(np.float32)], 1)


def homogeneous(one, other):
    """E[x y^T] of two series (T, C, H, W) with the same statistics at all longitudes: the mean over all rotations."""
    turned = lambda x, k: flat(np.roll(x, k, -1))
    return sum(turned(one, k).T @ turned(other, k) for k in range(W)) / (W * len(one))


def flat(values):
    return values.reshape(len(values), -1).astype(float)


def projector(channels):
    """Projection on harmonics up to T with weights by area, from the span of cos^m sin^k of each order."""
    mu, columns = np.sin(np.deg2rad(GLOBE.latitude)), []
    for m in range(T + 1):
        for k in range(T + 1 - m):
            line = ((1 - mu**2) ** (m / 2) * mu**k)[:, None] * np.exp(1j * m * np.deg2rad(GLOBE.longitude)) * MEASURE
            columns += [line.real.ravel(), line.imag.ravel()] if m else [line.real.ravel()]
    basis = np.linalg.qr(np.array(columns).T)[0]
    return np.kron(np.eye(channels), basis @ basis.T)


def waves(values, **settings):
    chosen = {"truncation": T, "ridge": 0.0, "floor": 1e-9, "residual": False, "parts": 1} | settings
    return fit(values, GLOBE, LinearPrior(basis="waves", **chosen), ROUND)


def fit(values, grid, settings, edges):
    return linear_prior.fit(helpers.Held(values, grid), settings, edges == TORUS)


def test_a_known_process_is_recovered_from_its_trajectory(series):
    fitted = fit(series, REGION, LinearPrior(coupled_modes=SIZE, ridge=0.0), OPEN)
    expected = oracle.covariance(oracle.process(SIZE), 3)
    np.testing.assert_allclose(oracle.covariance(fitted, 3), expected, atol=0.06 * expected.max())


def test_the_fitted_denoiser_is_close_to_the_ideal_one(series):
    fitted, ideal = fit(series, REGION, LinearPrior(coupled_modes=SIZE, ridge=0.0), OPEN), oracle.process(SIZE)
    sigma = torch.tensor([[0.5, 2.0, 1.0]])
    noisy = torch.tensor(series[:3], dtype=torch.float32).flatten(1)[None]
    difference = Posterior(fitted, sigma).mean(noisy) - Posterior(ideal, sigma).mean(noisy)
    assert difference.abs().max() < 0.05


def test_modes_are_orthonormal_with_decreasing_variance(series):
    fitted = fit(series, REGION, LinearPrior(coupled_modes=4, modes=7, residual=False), OPEN)
    torch.testing.assert_close(fitted.modes.project(fitted.modes.matrix.T), torch.eye(7), atol=1e-5, rtol=0)
    assert (
        (fitted.variance.diff() <= 0).all() and fitted.coupling.shape == (1, 4, 4) and fitted.persistence.shape == (3,)
    )


@pytest.mark.parametrize("coupled", [0, 100])
@pytest.mark.parametrize("basis", ["empirical", "waves"])
@pytest.mark.parametrize("drift", [0.0, 1.0], ids=["all the same", "a trend"])
def test_the_process_is_kept_stationary(basis, coupled, drift):
    """Frames that hardly change have a lagged covariance as large as their variance."""
    generator = np.random.default_rng(0)
    series = (1 + drift * np.arange(50)[:, None, None, None]) * generator.standard_normal((1, 1, H, W))
    series = series + 1e-3 * generator.standard_normal((50, 1, H, W))
    fitted = fit(series, GLOBE, LinearPrior(basis=basis, coupled_modes=coupled, ridge=0.0, modes=4), ROUND)
    largest = np.linalg.svd(oracle.evolution(fitted))[1].max()
    assert 0.9 < largest < 0.995 + 1e-6
    assert Posterior(fitted, torch.ones(1, 3)).mean(torch.ones(1, 3, H * W)).isfinite().all()


def test_forms_for_comparison_have_no_memory_or_no_covariance(series):
    assert fit(series, REGION, LinearPrior(form="space"), OPEN).coupling.abs().max() == 0
    white = fit(series, REGION, LinearPrior(form="white"), OPEN)
    assert isinstance(white.modes, Values) and white.size == SIZE and white.persistence.abs().max() == 0
    assert (white.variance == 1).all() and white.coupled == 0


def test_with_parts_few_frames_keep_the_variance_of_all_directions(weather):
    """A part has variance where the others have none, so no direction is certain."""
    few = fit(weather[:60], GLOBE, LinearPrior(), OPEN)
    assert len(few.variance) == few.size > 60
    assert float(few.variance.sum()) == pytest.approx(
        float((weather[:60] ** 2).sum(0).mean() * few.size / 60), rel=1e-3
    )
    others = few.modes.project(torch.as_tensor(weather[120:]).flatten(1)).square().mean(0)
    ratio = float(few.variance[60:].sum() / others[60:].sum())
    assert 0.8 < ratio < 2.2  # four fifths of 60 frames leave more unseen than all of them
    assert float(others[60:].sum()) > 0.05 * float(others.sum())
    assert few.coupling.abs().max() <= 1 and few.persistence[-1].abs() < 0.1


def test_few_frames_give_few_modes(weather):
    """One fewer than frames, for waves at each wavenumber: the dimension of their span about the mean."""
    assert len(fit(weather[:6], GLOBE, LinearPrior(parts=1), OPEN).variance) == 5
    held = helpers.Held(weather[:9], GLOBE, np.array([0, 0, 0, -1, -1, -1, 6, 6, 6]))
    assert len(linear_prior.fit(held, LinearPrior(parts=1)).variance) == 5
    assert (waves(weather[:4]).modes.place >= 0).sum() <= 3 * (2 * T + 1)


@pytest.mark.parametrize("basis", ["empirical", "waves"])
def test_too_few_frames_are_refused(basis):
    with pytest.raises(UserError, match="has 2 frames; a covariance needs many more"):
        fit(np.zeros((2, 1, H, W)), GLOBE, LinearPrior(basis=basis), ROUND)
    held = helpers.Held(np.zeros((9, 1, H, W)), GLOBE, np.array([0, 0, *[-1] * 7]))
    with pytest.raises(UserError, match=r"has 2 frames with data \(of 9; the others are masked\)"):
        linear_prior.fit(held, LinearPrior(basis=basis))


def test_the_same_frames_give_the_same_bits(weather):
    one, other = (waves(weather, coupled_modes=3).tensors() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_waves_have_the_covariances_of_the_training_period_averaged_over_longitudes(weather):
    """Exactly, in the span of the harmonics and with all modes coupled, at lags of zero and one frame."""
    fitted, span = waves(weather), projector(2)
    found = oracle.covariance(fitted, 2)
    size = fitted.size
    now, later = homogeneous(weather, weather), homogeneous(weather[1:], weather[:-1])
    np.testing.assert_allclose(found[:size, :size], span @ now @ span, atol=1e-5 * np.abs(now).max())
    # the mean over frames differs at both ends of the series, by which the coupling's whitening is off
    assert np.abs(found[size:, :size] - span @ later @ span).max() < 1e-3 * np.abs(later).max()
    assert np.abs(later - later.T).max() > 0.2 * np.abs(later).max()  # waves that travel


def broken(values, lengths):
    """Segments of the given lengths, from the end of a series to its beginning, a masked frame after the first two."""
    segment = np.repeat(np.arange(len(lengths)), lengths)
    values = np.concatenate([values[len(values) - sum(lengths) :][segment == k] for k in range(len(lengths))[::-1]])
    segment = np.repeat(np.arange(len(lengths)), lengths[::-1])
    for at in (sum(lengths[::-1][:1]), sum(lengths[::-1][:2])):
        values, segment = np.insert(values, at, np.nan, 0), np.insert(segment, at, -1)
    return values, segment


@pytest.mark.parametrize("basis", ["empirical", "waves"])
@pytest.mark.parametrize("block", [64, 37])
def test_gaps_and_masked_frames_are_left_out_of_the_fit(weather, basis, block):
    """Exactly, in the span of the modes, against sums over frames and pairs."""
    values, segment = broken(weather, [23, 31, 17, *[25] * 16])
    known, pairs = segment >= 0, np.flatnonzero((segment[1:] == segment[:-1]) & (segment[1:] >= 0))
    chosen = LinearPrior(
        basis=basis,
        ridge=0.0,
        floor=1e-9,
        coupled_modes=500,
        truncation=T if basis == "waves" else None,
        residual=False,
        parts=1,
    )
    fitted = linear_prior.fit(helpers.Held(values, GLOBE, segment, block), chosen)
    found, size = oracle.covariance(fitted, 2), fitted.size
    meant = homogeneous if basis == "waves" else lambda one, other: flat(one).T @ flat(other) / len(one)
    span = projector(2) if basis == "waves" else np.eye(size)
    now, later = meant(values[known], values[known]), meant(values[pairs + 1], values[pairs])
    np.testing.assert_allclose(found[:size, :size], span @ now @ span, atol=1e-5 * np.abs(now).max())
    expected = span @ later @ span
    assert np.abs(found[size:, :size] - expected).max() < 4e-3 * np.abs(later).max()
    across = meant(values[known][1:], values[known][:-1])  # what it would be with pairs across the joints
    assert np.abs(found[size:, :size] - span @ across @ span).max() > 3e-2 * np.abs(later).max()


def test_the_variance_is_the_same_at_all_longitudes(weather):
    """By construction, even if that of the training period is not."""
    east = 1 + np.cos(np.deg2rad(GLOBE.longitude))
    fitted = waves((weather * east).astype(np.float32), coupled_modes=3)
    found = oracle.covariance(fitted, 2).reshape(2, 2, H, W, 2, 2, H, W)
    np.testing.assert_allclose(np.roll(found, (5, 5), (3, 7)), found, atol=2e-6 * np.abs(found).max())


@pytest.mark.parametrize("turned", [1, 7])
def test_rotating_all_fields_does_not_change_the_process(weather, turned):
    settings = {"coupled_modes": 3, "ridge": 0.05}
    here, there = (oracle.covariance(waves(x, **settings), 2) for x in (weather, np.roll(weather, turned, -1)))
    np.testing.assert_allclose(here, there, atol=2e-5 * np.abs(here).max())


def test_the_speed_and_damping_of_a_travelling_wave_are_recovered():
    """Y_3^2 rotating by 0.5 per frame with memory 0.9: E[x_{t+1} x_t] = 0.9 P P cos(2 (lambda - lambda') - 0.5)."""
    generator, a, turn = np.random.default_rng(0), 0.0, 0.9 * np.exp(-0.5j)
    series = np.zeros((4000, 1, T + 1, T + 1), complex)
    for t, white in enumerate(generator.standard_normal((4000, 2)) @ [1, 1j] * np.sqrt((1 - 0.81) / 2)):
        a = turn * a + white
        series[t, 0, 2, 3] = a
    fitted = waves(departures(series) + 1e-3 * generator.standard_normal((4000, 1, H, W)).astype("float32"))
    found = oracle.covariance(fitted, 3).reshape(3, H, W, 3, H, W)
    across = SPHERE.table[2, 3].numpy() * MEASURE[:, 0]
    apart = np.subtract.outer(*[np.deg2rad(GLOBE.longitude)] * 2)
    expected = lambda lag: 2 * 0.9**lag * np.einsum("h,g,wv->hwgv", across, across, np.cos(2 * apart - 0.5 * lag))
    for lag in (0, 1, 2):
        np.testing.assert_allclose(found[lag, :, :, 0], expected(lag), atol=0.08 * np.abs(expected(0)).max())
    leading = np.sort(fitted.variance.argsort(descending=True)[:2])  # its real and its imaginary part
    block = oracle.evolution(fitted)[np.ix_(leading, leading)]
    turned = 0.9 * np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    np.testing.assert_allclose(block, turned, atol=0.03)


def test_memory_improves_the_denoiser_to_nearly_the_best():
    """On held-out frames. The best is known: harmonics of one variance, each with memory 0.9."""
    values, frames, sigma = departures(coefficients(1200, memory=0.9)), 8, 2.0
    windows = torch.as_tensor(values[880:]).view(-1, frames, H * W)
    noisy = windows + sigma * torch.randn(windows.shape, generator=torch.Generator().manual_seed(0))
    error = {}
    for form in ("space_time", "space"):
        fitted = waves(values[:880], form=form, ridge=0.01)
        found = Posterior(fitted, torch.full((1, frames), sigma)).mean(noisy)
        error[form] = (found - windows).square().mean().item()
    level, lag = H * W / (4 * np.pi), np.abs(np.subtract.outer(*[np.arange(frames)] * 2))
    known = np.linalg.inv(np.linalg.inv(level * 0.9**lag) + np.eye(frames) / sigma**2)
    best = (T + 1) ** 2 / (H * W) * known.diagonal().mean()
    single = (T + 1) ** 2 / (H * W) / (1 / level + 1 / sigma**2)
    assert error["space_time"] == pytest.approx(best, rel=0.1) and error["space"] == pytest.approx(single, rel=0.1)
    assert best < 0.6 * single


def test_uncoupled_modes_have_their_own_memory(weather):
    """It is the real part of their own lagged covariance; the process is stationary with the same variance."""
    fitted = waves(weather, coupled_modes=2)
    assert fitted.coupled >= 2 * (2 * T + 1) and len(fitted.persistence) == len(fitted.variance) - fitted.coupled > 0
    x = fitted.modes.project(torch.as_tensor(weather).flatten(1)).double().numpy()
    alone = (x[1:] * x[:-1]).mean(0)
    place, whole = fitted.modes.place.numpy(), fitted.modes.table.shape[0] * fitted.modes.table.shape[2]
    expected = []
    for n in range(fitted.coupled, len(place)):
        partners = [k for k in range(fitted.coupled, len(place)) if place[k] % whole == place[n] % whole]
        expected.append(alone[partners].mean() / float(fitted.variance[n]))
    np.testing.assert_allclose(fitted.persistence, expected, atol=1e-4)
    found = oracle.covariance(fitted, 4).reshape(4, fitted.size, 4, fitted.size)
    span = projector(2)
    expected = span @ homogeneous(weather, weather) @ span
    for t in range(4):
        np.testing.assert_allclose(found[t, :, t], expected, atol=1e-5 * np.abs(expected).max())
    assert np.linalg.svd(oracle.evolution(fitted))[1].max() < 1
    prior = Posterior(fitted, torch.full((1, 4), torch.inf)).covariance(
        torch.eye(4 * fitted.size).view(-1, 4, fitted.size)
    )
    np.testing.assert_allclose(prior.flatten(1), found.reshape(prior.flatten(1).shape), atol=2e-4)


def test_noise_that_is_white_on_the_sphere_has_a_flat_spectrum():
    """With harmonics of unit variance all modes have the same variance, although points are denser at the poles."""
    rows = 16
    grid = Grid(-90 + 180 / rows * (np.arange(rows) + 0.5), np.arange(2 * rows) * 180 / rows)
    fields = Harmonics(grid.latitude, 2 * rows, T).synthesis(torch.as_tensor(coefficients(4000))).numpy()
    fitted = fit(
        fields * np.sqrt(grid.weights),
        grid,
        LinearPrior(basis="waves", truncation=T, floor=1e-9, residual=False),
        ROUND,
    )
    used = fitted.variance[fitted.modes.place >= 0]
    assert len(used) == (T + 1) ** 2
    level = 2 * rows**2 / (4 * np.pi)  # of a function's points, whose mean square on the sphere is 1 / 4 pi
    np.testing.assert_allclose(used / level, 1, atol=0.13)
    assert abs(used.mean() / level - 1) < 0.01


def test_modes_are_as_smooth_at_the_poles_as_the_harmonics():
    """Fitted to noise white on the grid, they lie in the span of cos^m times polynomials of degree T - m."""
    noise = np.random.default_rng(0).standard_normal((300, 2, H, W)).astype("float32")
    fitted = waves(noise)
    fields = fitted.modes.expand(torch.eye(len(fitted.variance))).double().numpy()
    np.testing.assert_allclose(fields @ projector(2), fields, atol=1e-5)
    used = fitted.modes.place >= 0
    assert used.sum() == 2 * (T + 1) ** 2
    torch.testing.assert_close(
        fitted.modes.project(torch.as_tensor(fields[used]).float())[:, used], torch.eye(used.sum())
    )


def test_the_default_truncation_is_the_finest_that_the_grid_resolves():
    noise = np.random.default_rng(0).standard_normal((300, 1, H, W)).astype("float32")
    assert waves(noise, truncation=None).modes.table.shape[0] == H
    belt = Grid(GLOBE.latitude, np.arange(12) * 30.0)
    fitted = fit(noise[..., :12], belt, LinearPrior(basis="waves", floor=1e-9), ROUND)
    assert fitted.modes.table.shape[0] == 6


def test_modes_are_kept_of_each_wavenumber_and_none_without_variance(weather):
    fitted = waves(weather, modes=2)
    assert (fitted.modes.place >= 0).sum() == 2 * (2 * T + 1)
    silent = np.concatenate([weather, 0 * weather[:, :1]], 1)
    assert (waves(silent).modes.place >= 0).sum() == (waves(weather).modes.place >= 0).sum()
    assert waves(weather, form="space").coupling.abs().max() == 0


def test_null_coefficients_fill_the_groups_and_are_coupled_to_nothing(weather):
    fitted = waves(weather)
    null = (fitted.modes.place[: fitted.coupled] < 0).view(fitted.coupling.shape[:2])
    assert null.any() and fitted.coupling[null].abs().max() == 0 and fitted.coupling.mT[null].abs().max() == 0
    assert fitted.modes.place[fitted.modes.place >= 0].unique().numel() == (fitted.modes.place >= 0).sum()


@pytest.mark.parametrize(
    ("east", "truncation", "says"),
    [
        (360, 9, "truncation 9 do not fit the grid, whose 6 x 12 points resolve"),
        (90, None, "and do not go round the globe"),
    ],
)
def test_waves_that_the_grid_does_not_resolve_are_refused(east, truncation, says):
    grid = Grid(np.arange(-75.0, 90, 30), np.arange(0, east, east / 12))
    fields = np.random.default_rng(0).standard_normal((20, 1, 6, 12)).astype(np.float32)
    with pytest.raises(UserError, match=says):
        fit(fields, grid, LinearPrior(basis="waves", truncation=truncation), ROUND)


PLATE = Grid((np.arange(8) + 0.5) / 8 - 0.5, (np.arange(12) + 0.5) / 12 - 0.5)


def travelling(frames, seed=0):
    """A homogeneous field on a torus: every wave (m, k) of power p has memory 0.8 and travels eastward.

    Returns:
        Fields (T, 1, 8, 12), and E[x_{t+lag}(y, x) x_t(0, 0)] as a function of the lag, (8, 12).
    """
    generator, (height, width) = np.random.default_rng(seed), PLATE.shape
    k, m = np.meshgrid(np.fft.fftfreq(height, 1 / height), np.fft.fftfreq(width, 1 / width), indexing="ij")
    power = np.where(np.abs(m) < width / 2, np.exp(-((m**2 + 1.5 * k**2 + m * k) / 8)), 0.0)
    power = (power + np.roll(power[::-1, ::-1], (1, 1), (0, 1))) / 2
    keep = 0.8 * np.exp(-0.7j * m)
    fresh = np.fft.fft2(generator.standard_normal((frames + 30, height, width)), norm="ortho") * np.sqrt(power)
    a, found = np.zeros_like(power), []
    for white in fresh:
        a = keep * a + 0.6 * white
        found.append(a)
    fields = np.fft.ifft2(np.array(found[30:]), norm="ortho").real[:, None].astype(np.float32)
    return fields, lambda lag: np.fft.ifft2(power * keep**lag).real


@pytest.fixture(scope="module")
def plate():
    return travelling(20000)


def torus(values, **settings):
    return fit(values, PLATE, LinearPrior(basis="waves", **{"ridge": 0.0, "floor": 1e-9} | settings), TORUS)


def test_on_a_torus_a_homogeneous_process_is_recovered_from_its_trajectory(plate):
    """Its covariance at lags 0 to 2, of every point with every other: the transform of power times memory."""
    fields, known = plate
    found = oracle.covariance(torus(fields, coupled_modes=8), 3).reshape(3, 8, 12, 3, 8, 12)
    for lag in range(3):
        near = known(lag)
        expected = np.empty((8, 12, 8, 12))
        for y, x in np.ndindex(8, 12):
            expected[:, :, y, x] = np.roll(near, (y, x), (0, 1))
        np.testing.assert_allclose(found[lag, :, :, 0], expected, atol=0.03 * known(0).max())
    assert np.abs(known(1) - known(1)[:, (-np.arange(12)) % 12]).max() > 0.3 * known(0).max()  # it does travel


def test_on_a_torus_statistics_are_the_same_at_all_longitudes_and_any_latitudes_are_correlated(plate):
    """Shifting the data eastward does not change the process; shifting it northward shifts the process."""
    fields, settings = plate[0][:500], {"coupled_modes": 4, "ridge": 0.05}
    here, east, north = (
        oracle.covariance(torus(x, **settings), 2) for x in (fields, np.roll(fields, 5, -1), np.roll(fields, 3, -2))
    )
    np.testing.assert_allclose(here, east, atol=2e-5 * np.abs(here).max())
    turned = np.roll(here.reshape(2, 8, 12, 2, 8, 12), (3, 3), (1, 4)).reshape(here.shape)
    np.testing.assert_allclose(north, turned, atol=2e-5 * np.abs(here).max())


def test_modes_of_a_torus_are_complete_except_for_the_nyquist_wave():
    noise = np.random.default_rng(0).standard_normal((300, 1, 8, 12)).astype("float32")
    fitted = torus(noise)
    used = fitted.modes.place >= 0
    assert used.sum() == 8 * (1 + 2 * 5)
    fields = fitted.modes.expand(torch.eye(len(used)))[used]
    torch.testing.assert_close(fields @ fields.T, torch.eye(88), atol=1e-5, rtol=0)
    assert (fields.view(88, 8, 12) * (-1.0) ** torch.arange(12)).sum(-1).abs().max() < 1e-5


def test_a_truncation_is_refused_on_a_torus():
    with pytest.raises(UserError, match="truncation: 4 is for a globe"):
        torus(np.zeros((20, 1, 8, 12), np.float32), truncation=4)


def test_parts_keep_the_variance_and_level_its_spectrum(weather):
    """Few frames: the largest variances are smaller than in the frames, the smallest larger, their sum the same."""
    within, judged = (
        fit(weather[:60], GLOBE, LinearPrior(basis="waves", floor=1e-9, parts=p), ROUND).variance for p in (1, 5)
    )
    assert float(judged.sum()) == pytest.approx(float(within.sum()), rel=2e-3)
    spectrum, levelled = (x.sort(descending=True).values for x in (within, judged))
    leading = len(judged) // 8
    assert levelled[0] < spectrum[0] and levelled[:leading].sum() < 0.99 * spectrum[:leading].sum()
