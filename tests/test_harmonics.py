"""Spherical harmonics: closed forms, sums over all points by brute force, quadrature, finite differences."""

import numpy as np
import pytest
import torch
from scipy import special

from hindsight.harmonics import Harmonics, gaussian, wind_functions

T = 10
LATITUDE, WEIGHTS = gaussian(16)
ANYWHERE = np.array([71.0, -3.0, -60.5, 12.0])  # in no order and on no grid
ON_GRID = Harmonics(LATITUDE, 24, T)


def coefficients(truncation=T, seed=0, leading=()):
    """Random coefficients of a real field."""
    draws = torch.randn(2, *leading, truncation + 1, truncation + 1, generator=torch.Generator().manual_seed(seed))
    found = torch.complex(*draws.double()).triu()
    found[..., 0, :].imag = 0
    return found


def single(order, degree, truncation=T, value=1.0):
    found = torch.zeros(truncation + 1, truncation + 1, dtype=torch.complex128)
    found[order, degree] = value
    return found


def analysis(harmonics, fields):
    return harmonics.project(harmonics.waves(fields), harmonics.table, torch.as_tensor(WEIGHTS))


@pytest.mark.parametrize(
    ("order", "degree", "closed"),
    [
        (0, 0, lambda mu: np.sqrt(1 / (4 * np.pi)) + 0 * mu),
        (0, 1, lambda mu: np.sqrt(3 / (4 * np.pi)) * mu),
        (1, 1, lambda mu: np.sqrt(3 / (8 * np.pi)) * np.sqrt(1 - mu**2)),
        (0, 2, lambda mu: np.sqrt(5 / (16 * np.pi)) * (3 * mu**2 - 1)),
        (1, 2, lambda mu: np.sqrt(15 / (8 * np.pi)) * mu * np.sqrt(1 - mu**2)),
        (2, 2, lambda mu: np.sqrt(15 / (32 * np.pi)) * (1 - mu**2)),
        (2, 3, lambda mu: np.sqrt(105 / (32 * np.pi)) * mu * (1 - mu**2)),
        (3, 3, lambda mu: np.sqrt(35 / (64 * np.pi)) * (1 - mu**2) ** 1.5),
    ],
)
def test_low_degrees_are_the_closed_forms_at_any_latitude_and_longitude(order, degree, closed):
    harmonics = Harmonics(ANYWHERE, 24, T, first=-7.0)
    phase = 0.4
    found = harmonics.synthesis(single(order, degree, value=np.exp(1j * phase) if order else 1.0))
    longitude = np.deg2rad(-7.0 + 15.0 * np.arange(24))
    wave = 2 * np.cos(order * longitude + phase) if order else np.ones(24)
    np.testing.assert_allclose(found, closed(np.sin(np.deg2rad(ANYWHERE)))[:, None] * wave, atol=1e-13)


def test_the_functions_are_orthonormal_on_the_sphere():
    for order in range(T + 1):
        table = ON_GRID.table[order, order:].numpy()
        np.testing.assert_allclose(2 * np.pi * (table * WEIGHTS) @ table.T, np.eye(T + 1 - order), atol=1e-12)
    assert not ON_GRID.table.masked_select(torch.ones(T + 1, T + 1).tril(-1).bool()[..., None]).any()


@pytest.mark.parametrize("first", [0.0, 3.75, -100.0])
def test_a_field_is_synthesised_and_analysed_back(first):
    harmonics, known = Harmonics(LATITUDE, 24, T, first), coefficients(leading=(3, 2))
    torch.testing.assert_close(analysis(harmonics, harmonics.synthesis(known)), known, atol=1e-12, rtol=0)


def by_rodrigues(order, degree, mu):
    """sqrt((2l + 1)/4pi (l - m)!/(l + m)!) (1 - mu^2)^(m/2) d^m P_l/dmu^m, by the derivative of a polynomial."""
    plain = np.polynomial.legendre.Legendre.basis(degree).deriv(order)(mu)
    norm = (2 * degree + 1) / (4 * np.pi * special.poch(degree - order + 1, 2 * order))
    return np.sqrt(norm) * (1 - mu**2) ** (order / 2) * plain


def test_the_functions_are_those_of_rodrigues():
    mu = np.sin(np.deg2rad(ANYWHERE))
    table = Harmonics(ANYWHERE, 64, 21).table
    for order in range(22):
        for degree in range(order, 22):
            np.testing.assert_allclose(table[order, degree], by_rodrigues(order, degree, mu), atol=1e-10)


@pytest.mark.parametrize("truncation", [T, 42, 127, 255])
def test_the_squares_of_a_degree_add_up_to_a_constant(truncation):
    """The addition theorem (Unsoeld 1927): sum over m of |Y_lm|^2 = (2l + 1)/4pi, at every latitude, poles included."""
    harmonics = Harmonics(np.append(ANYWHERE, [90.0, -90.0, 89.999]), 2 * truncation + 1, truncation)
    twice = torch.where(harmonics.order > 0, 2.0, 1.0)[:, None, None]
    expected = (2 * harmonics.degree + 1)[:, None].expand(-1, 7) / (4 * np.pi)
    torch.testing.assert_close((harmonics.table**2 * twice).sum(0), expected, atol=0, rtol=1e-11)


def test_synthesis_and_analysis_are_the_defining_sums():
    """f = sum of a_lm Y_lm with both signs of m, and a_lm = integral of f conj(Y_lm), one term after the other."""
    known = coefficients()
    north, east = np.meshgrid(np.deg2rad(LATITUDE), np.deg2rad(15.0 * np.arange(24)), indexing="ij")
    field, noise = np.zeros(north.shape), np.random.default_rng(1).standard_normal(north.shape)
    weights = np.outer(WEIGHTS, np.full(24, 2 * np.pi / 24))
    found = analysis(ON_GRID, torch.as_tensor(noise)).numpy()
    for order in range(T + 1):
        for degree in range(order, T + 1):
            wave = by_rodrigues(order, degree, np.sin(north)) * np.exp(1j * order * east)
            field += (2 if order else 1) * (known[order, degree].numpy() * wave).real
            np.testing.assert_allclose(found[order, degree], (weights * noise * wave.conj()).sum(), atol=1e-11)
    np.testing.assert_allclose(ON_GRID.synthesis(known), field, atol=1e-11)


def test_the_power_of_coefficients_is_the_mean_square_of_the_field():
    known = coefficients()
    twice = torch.where(torch.arange(T + 1) > 0, 2.0, 1.0)[:, None]
    square = (ON_GRID.synthesis(known) ** 2).mean(1) @ torch.as_tensor(WEIGHTS) / 2
    torch.testing.assert_close(square, (known.abs() ** 2 * twice).sum() / (4 * np.pi))


def test_the_slope_is_the_derivative_in_the_sine_of_latitude():
    known, step = coefficients(), 1e-5
    at = lambda shift: Harmonics(np.rad2deg(np.arcsin(np.sin(np.deg2rad(ANYWHERE)) + shift)), 24, T)
    difference = (at(step).synthesis(known) - at(-step).synthesis(known)) / (2 * step)
    here = Harmonics(ANYWHERE, 24, T)
    expected = (1 - here.sine[:, None] ** 2) * difference
    torch.testing.assert_close(here.synthesis(known, slope=True), expected, atol=1e-6, rtol=0)


def test_eigenvalues_are_those_of_legendres_equation():
    """d/dmu ((1 - mu^2) dP/dmu) - m^2 P / (1 - mu^2) = -l (l + 1) P, the derivative by finite differences."""
    step, mu = 1e-5, np.sin(np.deg2rad(ANYWHERE))
    here, north, south = (Harmonics(np.rad2deg(np.arcsin(mu + shift)), 24, T) for shift in (0, step, -step))
    bend = (north.slope - south.slope) / (2 * step)
    round_the_axis = here.order[:, None, None] ** 2 / (1 - here.sine**2) * here.table
    expected = -here.eigenvalues()[:, None] * here.table
    torch.testing.assert_close(bend - round_the_axis, expected, atol=2e-6, rtol=0)


def test_latitudes_are_independent_and_may_be_the_poles():
    known = coefficients()
    with_poles, alone = Harmonics(np.linspace(90, -90, 19), 24, T), Harmonics(np.array([50.0]), 24, T)
    torch.testing.assert_close(with_poles.synthesis(known)[4:5], alone.synthesis(known), atol=1e-13, rtol=0)
    degree = np.arange(T + 1)
    at_pole = np.sqrt((2 * degree + 1) / (4 * np.pi)) @ known[0].real.numpy()
    np.testing.assert_allclose(with_poles.synthesis(known)[0], at_pole, atol=1e-12)
    assert with_poles.synthesis(known, slope=True)[[0, -1]].abs().max() < 1e-12
    north = np.sqrt(3 / (4 * np.pi)) * with_poles.sine[:, None].expand(-1, 24)
    torch.testing.assert_close(with_poles.synthesis(single(0, 1)), north, atol=1e-13, rtol=0)


def test_the_first_longitude_turns_the_field():
    known = coefficients()
    whole, shifted = (
        Harmonics(LATITUDE, 24, T).synthesis(known),
        Harmonics(LATITUDE, 24, T, first=45.0).synthesis(known),
    )
    torch.testing.assert_close(shifted, whole.roll(-3, -1), atol=1e-12, rtol=0)


def test_single_precision_is_kept_and_near():
    single_precision = Harmonics(LATITUDE, 24, T, dtype=torch.float32).synthesis(coefficients().to(torch.complex64))
    assert single_precision.dtype == torch.float32
    torch.testing.assert_close(single_precision.double(), ON_GRID.synthesis(coefficients()), atol=1e-5, rtol=0)


def test_a_circle_with_too_few_points_is_refused():
    Harmonics(LATITUDE, 2 * T + 1, T)
    with pytest.raises(ValueError, match="20 points on a circle are too few for truncation 10"):
        Harmonics(LATITUDE, 2 * T, T)


def test_gaussian_latitudes_integrate_polynomials_exactly():
    assert (np.diff(LATITUDE) > 0).all() and np.isclose(WEIGHTS.sum(), 2)
    mu = np.sin(np.deg2rad(LATITUDE))
    for power in range(0, 32, 2):
        assert np.isclose(WEIGHTS @ mu**power, 2 / (power + 1), rtol=1e-12)


def test_functions_of_winds_are_derivatives_of_the_harmonics_at_every_latitude():
    """A - B and A + B with A = dP/dtheta, by finite differences, and B = m P / sin(theta); at a pole their limits."""
    latitude, step = np.array([-90.0, -89.9, -50.0, 3.0, 77.0, 90.0]), 1e-5
    minus, plus = wind_functions(latitude, T)
    slope, across = (plus + minus) / 2, (plus - minus) / 2
    theta, order = np.deg2rad(90 - latitude), np.arange(T + 1)[:, None, None]
    table = lambda theta: Harmonics(90 - np.rad2deg(theta), 2 * T + 1, T).table.numpy()
    inside = slice(1, 5)
    numerical = (table(theta[inside] + step) - table(theta[inside] - step)) / (2 * step)
    np.testing.assert_allclose(slope[:, 1:, inside], numerical[:, 1:], atol=1e-6)
    np.testing.assert_allclose(
        across * np.sin(theta), (order * table(theta) * (np.arange(T + 1) > 0)[:, None]), atol=1e-12
    )
    # only waves of order 1 have a wind on the pole, and there only one of u + i v and u - i v
    assert np.abs(np.delete(minus.numpy(), 1, 0)[:, :, [0, -1]]).max() < 1e-12
    assert np.abs(minus[1, :, 0] * plus[1, :, 0]).max() < 1e-12 < np.abs(minus[1, 1:, 0] + plus[1, 1:, 0]).min()
