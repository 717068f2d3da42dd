"""The quasi-geostrophic equations: conservation laws, exact solutions, and each term separately."""

import numpy as np
import pytest
import scipy.linalg
import torch

from hindsight.dynamics.integrate import runge_kutta_4
from hindsight.dynamics.quasi_geostrophic import DAY, RADIUS, ROTATION, Physics, QuasiGeostrophic, grid
from hindsight.harmonics import Harmonics

T, LEVELS = 10, 3
LATITUDE, WEIGHTS, WIDTH = grid(T)
MU = torch.as_tensor(np.sin(np.deg2rad(LATITUDE)))[:, None]
EAST = torch.arange(WIDTH, dtype=torch.float64) * 2 * np.pi / WIDTH
PLANE = Harmonics(LATITUDE, WIDTH, T)
FOREVER = float("inf")
NOW = torch.tensor(0.0, dtype=torch.float64)
MOUNTAINS = (3000 * torch.exp(-(((MU - 0.5) / 0.3) ** 2) - 4 * torch.sin((EAST - 1.5) / 2) ** 2)).numpy()
LAND = (0.5 + 0.5 * torch.tanh(4 * torch.sin(EAST) * (1 - MU**2) + MU)).numpy()


def weather(seed=0, size=2e7, truncation=T, leading=()):
    """A random streamfunction, smooth enough and as strong as the atmosphere's (m2 s-1)."""
    shape = (2, *leading, LEVELS, truncation + 1, truncation + 1)
    draws = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    psi = torch.complex(*draws).triu() * size * torch.exp(-torch.arange(truncation + 1) / 4)
    psi[..., 0, :].imag = 0
    psi[..., 0, 0] = 0
    return psi


def equilibrium(time):
    """Radiation towards a sheared zonal flow, in a season that changes within days."""
    found = torch.zeros(2, T + 1, T + 1, dtype=torch.complex128)
    found[:, 0, 3] = 4e7
    return found * (1 + 0.3 * torch.cos(2 * np.pi * time / (5 * DAY)))


def at_rest(time):
    """Radiation towards no difference between the levels."""
    return torch.zeros(2, T + 1, T + 1, dtype=torch.complex128)


def only(**terms):
    """Physics with the given terms only."""
    return Physics(**({"radiation_days": FOREVER, "friction_days": FOREVER, "smoothing_days": FOREVER} | terms))


def run(model, state, days, step):
    steps = round(days * DAY / step)
    for k in range(steps):
        state = runge_kutta_4(model.tendency, state, torch.tensor(k * step, dtype=torch.float64), step)
    return state


def mean(field):
    """Over the sphere, of fields (…, H, W)."""
    return field.mean(-1) @ torch.as_tensor(WEIGHTS) / 2


def wind(psi):
    """Eastward and northward, on the grid: u = -dpsi/dy, v = dpsi/dx."""
    cosine = torch.sqrt(1 - MU**2)
    return -PLANE.synthesis(psi, slope=True) / (RADIUS * cosine), PLANE.synthesis(psi * 1j * PLANE.order[:, None]) / (
        RADIUS * cosine
    )


def analysis(fields):
    return PLANE.project(PLANE.waves(fields), PLANE.table, torch.as_tensor(WEIGHTS))


def close(found, expected, part):
    """Assert equality to a small fraction of the largest value."""
    assert (found - expected).abs().max() < part * expected.abs().max()


def test_potential_vorticity_is_that_of_the_paper_and_can_be_inverted():
    model, psi = QuasiGeostrophic(T), weather(leading=(2,))
    laplacian = -PLANE.eigenvalues() / RADIUS**2 * psi
    upper, lower = (psi[:, 0] - psi[:, 1]) / 7.0e5**2, (psi[:, 1] - psi[:, 2]) / 4.5e5**2
    expected = laplacian + torch.stack([-upper, upper - lower, lower], 1)
    close(model.vorticity(psi), expected, 1e-13)
    close(model.streamfunction(model.vorticity(psi)), psi, 1e-11)


def test_a_mean_difference_between_levels_is_kept_and_a_mean_of_all_is_dropped():
    model, psi = QuasiGeostrophic(T), torch.zeros(LEVELS, T + 1, T + 1, dtype=torch.complex128)
    psi[:, 0, 0] = torch.tensor([5.0, 1.0, 3.0])
    found = model.streamfunction(model.vorticity(psi))
    torch.testing.assert_close(found[:, 0, 0].real, torch.tensor([2.0, -2.0, 0.0]).double(), atol=1e-10, rtol=0)


def test_the_planetary_part_is_f_and_the_mountains():
    height = 1000 * (1 + 0.5 * MU * torch.ones(WIDTH) + 0.3 * torch.sqrt(1 - MU**2) * torch.cos(EAST))
    found = PLANE.synthesis(QuasiGeostrophic(T, height.numpy()).planetary)
    coriolis = 2 * ROTATION * MU * torch.ones(WIDTH)
    close(found, torch.stack([coriolis, coriolis, coriolis * (1 + height / 9000)]), 1e-12)


def test_energy_and_enstrophy_are_the_means_of_the_fields_on_the_grid():
    model, psi = QuasiGeostrophic(T, MOUNTAINS), weather()
    state = model.vorticity(psi)
    u, v = wind(psi)
    upper, lower = (PLANE.synthesis(psi[k] - psi[k + 1]) for k in (0, 1))
    expected = mean(u**2 + v**2).sum() + mean(upper**2) / 7.0e5**2 + mean(lower**2) / 4.5e5**2
    torch.testing.assert_close(model.energy(state), expected / 2)
    whole = PLANE.synthesis(state + model.planetary)
    torch.testing.assert_close(model.enstrophy(state), mean(whole**2) / 2)


def test_without_forcing_energy_and_every_levels_potential_enstrophy_are_kept_to_the_order_of_the_step():
    model = QuasiGeostrophic(T, MOUNTAINS)
    state = model.vorticity(weather())
    before = torch.cat([model.energy(state)[None], model.enstrophy(state)])

    def drift(step):
        after = run(model, state, 1.0, step)
        assert (after - state).abs().max() > 0.1 * state.abs().max()
        return ((torch.cat([model.energy(after)[None], model.enstrophy(after)]) - before) / before).abs()

    coarse, half, fine = drift(7200.0), drift(3600.0), drift(600.0)
    order = (coarse / half).log2()
    assert (order > 4.5).all() and (order < 6.3).all()
    assert coarse.max() < 1e-5 and fine.max() < 1e-10


def test_the_energy_of_the_semi_discrete_equations_does_not_change_at_all():
    """<psi, dq/dt> and <q, dq/dt> vanish exactly, because the quadratic terms are; and so does every level's mean."""
    model = QuasiGeostrophic(T, MOUNTAINS)
    psi = weather(leading=(4,))
    state = model.vorticity(psi)
    change, twice = model.tendency(state, NOW), torch.where(torch.arange(T + 1) > 0, 2.0, 1.0)[:, None]
    product = lambda a: (a.conj() * change).real * twice
    assert product(psi).sum((-3, -2, -1)).abs().max() < 1e-12 * product(psi).abs().sum()
    whole = state + model.planetary
    assert product(whole).sum((-2, -1)).abs().max() < 1e-12 * product(whole).abs().sum()
    assert change[..., 0, 0].abs().max() < 1e-12 * change.abs().max()


@pytest.mark.parametrize("degree", [4, 7])
def test_rossby_haurwitz_waves_turn_without_change_of_shape(degree):
    """On solid-body rotation omega all harmonics of one degree l turn together, at angular speed
    omega - 2 (Omega + omega) / (l (l + 1)), however strong they are."""
    omega, model = 12.0 / RADIUS, QuasiGeostrophic(T)
    one = torch.zeros(T + 1, T + 1, dtype=torch.complex128)
    one[: degree + 1, degree] = weather(size=3e7)[0, : degree + 1, degree]
    body = analysis(-(RADIUS**2) * omega * MU * torch.ones(WIDTH))
    days = 1.5
    after = model.streamfunction(run(model, model.vorticity((one + body).expand(LEVELS, -1, -1)), days, 900.0))
    speed = omega - 2 * (ROTATION + omega) / (degree * (degree + 1))
    turned = one * torch.exp(-1j * PLANE.order * speed * days * DAY)[:, None]
    assert (turned - one).abs().max() > 0.3 * one.abs().max()
    assert (after - turned - body).abs().max() < 1e-7 * one.abs().max()


def test_a_baroclinic_wave_on_a_resting_planet_drifts_as_the_linear_theory_says():
    """q = -(l (l + 1) / a^2 + k^2) psi for a vertical mode of eigenvalue k^2, and q_t = -beta v: angular speed
    -2 Omega / (l (l + 1) + a^2 k^2)."""
    model, (order, degree) = QuasiGeostrophic(T), (3, 5)
    first, second = 7.0e5**-2, 4.5e5**-2
    stretching = np.array([[first, -first, 0], [-first, first + second, -second], [0, -second, second]])
    eigenvalues, modes = np.linalg.eigh(stretching)
    for eigenvalue, mode in zip(eigenvalues, modes.T):
        psi = torch.zeros(LEVELS, T + 1, T + 1, dtype=torch.complex128)
        psi[:, order, degree] = 10.0 * torch.as_tensor(mode)  # too small to carry itself
        speed = -2 * ROTATION / (degree * (degree + 1) + RADIUS**2 * eigenvalue)
        rate = model.streamfunction(model.tendency(model.vorticity(psi), NOW))
        close(rate[:, order, degree], -1j * order * speed * psi[:, order, degree], 1e-5)


def test_the_forced_model_is_solved_to_fourth_order_in_time():
    model = QuasiGeostrophic(T, MOUNTAINS, LAND, equilibrium)
    state = model.vorticity(weather())
    ends = [run(model, state, 1.0, step) for step in (7200.0, 3600.0, 1800.0, 900.0)]
    gaps = [(a - b).abs().square().sum().sqrt() for a, b in zip(ends, ends[1:])]
    assert 12 < gaps[0] / gaps[1] < 20 and 13 < gaps[1] / gaps[2] < 19


def test_several_states_at_once_are_independent():
    model = QuasiGeostrophic(T, MOUNTAINS, LAND, lambda time: equilibrium(time[..., None, None, None]))
    states, times = model.vorticity(weather(leading=(3,))), torch.tensor([0.0, 1.5, 3.0], dtype=torch.float64) * DAY
    together = model.tendency(states, times)
    for state, time, found in zip(states, times, together):
        close(found, model.tendency(state, time), 1e-13)


def test_geopotential_of_solid_body_rotation_is_the_closed_form():
    """u = a omega cos(latitude); f u = -dphi/dy integrates to phi = -a^2 omega Omega mu^2, with mean zero."""
    omega = 15.0 / RADIUS
    found = PLANE.synthesis(QuasiGeostrophic(T).geopotential(analysis(-(RADIUS**2) * omega * MU * torch.ones(WIDTH))))
    close(found, -(RADIUS**2) * omega * ROTATION * (MU**2 - 1 / 3) * torch.ones(WIDTH), 1e-12)


def test_geopotential_is_in_linear_balance():
    """lap phi = f lap psi + grad f . grad psi, formed on the grid; the last degree would need the next one's."""
    psi = weather()
    psi[..., -1] = 0
    found = QuasiGeostrophic(T).geopotential(psi)
    laplacian = PLANE.synthesis(-PLANE.eigenvalues() / RADIUS**2 * psi)
    right = 2 * ROTATION * (MU * laplacian + PLANE.synthesis(psi, slope=True) / RADIUS**2)
    close(PLANE.synthesis(-PLANE.eigenvalues() / RADIUS**2 * found), right, 1e-12)
    assert found[..., 0, 0].abs().max() == 0


def test_radiation_brings_differences_between_levels_down_at_the_rate_of_the_equations():
    """Zonal flow does not advect itself, so the rest is linear: S dpsi/dt = R psi, a matrix exponential."""
    first, second, rate, degree = 7.0e5**-2, 4.5e5**-2, 1 / (25 * DAY), 4
    between = np.array([[-first, first, 0], [first, -first - second, second], [0, second, -second]])
    stretching = between - np.eye(3) * degree * (degree + 1) / RADIUS**2
    model = QuasiGeostrophic(T, None, None, at_rest, only(radiation_days=25.0))
    psi = torch.zeros(LEVELS, T + 1, T + 1, dtype=torch.complex128)
    psi[:, 0, degree] = torch.tensor([2.0, -1.0, 0.5]) * 1e6
    after = model.streamfunction(run(model, model.vorticity(psi), 10.0, 7200.0))
    step = scipy.linalg.expm(np.linalg.solve(stretching, -between * rate) * 10 * DAY)
    close(after[:, 0, degree].real, torch.as_tensor(step @ psi[:, 0, degree].real.numpy()), 1e-10)
    differences = lambda a: (a[:-1, 0, degree] - a[1:, 0, degree]).abs()
    assert (differences(after) < 0.8 * differences(psi)).all()


def test_radiation_vanishes_in_its_equilibrium():
    model = QuasiGeostrophic(T, None, None, equilibrium, only(radiation_days=25.0))
    psi = torch.zeros(LEVELS, T + 1, T + 1, dtype=torch.complex128)
    psi[0] = equilibrium(NOW).sum(0)
    psi[1] = equilibrium(NOW)[1]
    assert model.tendency(model.vorticity(psi), NOW).abs().max() < 1e-12 * model.vorticity(psi).abs().max() / DAY


def test_friction_is_the_divergence_of_the_drag_on_the_lowest_level():
    """-div(k grad psi_3) = -(k lap psi_3 + grad k . grad psi_3), formed on the grid, k larger over land."""
    land = 0.4 + 0.3 * MU + 0.2 * torch.sqrt(1 - MU**2) * torch.sin(EAST)
    rough = only(friction_days=3.0)
    with_drag = QuasiGeostrophic(T, None, land.numpy(), at_rest, rough)
    without = QuasiGeostrophic(T, None, land.numpy(), at_rest, only())
    psi = weather()
    state = with_drag.vorticity(psi)
    found = with_drag.tendency(state, NOW) - without.tendency(state, NOW)
    assert found[:2].abs().max() < 1e-12 * found[2].abs().max()
    rate = (1 + 0.5 * land) / (3 * DAY)
    k = analysis(rate)
    gradient = lambda a: (PLANE.synthesis(a, slope=True), PLANE.synthesis(a * 1j * PLANE.order[:, None]))
    inner = sum(a * b for a, b in zip(gradient(k), gradient(psi[2]))) / (RADIUS**2 * (1 - MU**2))
    laplacian = PLANE.synthesis(-PLANE.eigenvalues() / RADIUS**2 * psi[2])
    close(found[2], analysis(-(rate * laplacian + inner)), 1e-11)
    u, v = wind(psi[2])
    change = DAY * found
    work = with_drag.energy(state + change) - with_drag.energy(state) - with_drag.energy(change)
    torch.testing.assert_close(work, -DAY * mean(rate * (u**2 + v**2)), rtol=1e-9, atol=0)


@pytest.mark.parametrize(("height", "land", "factor"), [(0.0, 0.0, 1.0), (0.0, 1.0, 1.5), (1000.0, 1.0, 1.816060)])
def test_friction_is_stronger_over_land_and_mountains(height, land, factor):
    level = lambda value: np.full((len(LATITUDE), WIDTH), value)
    psi = torch.zeros(LEVELS, T + 1, T + 1, dtype=torch.complex128)
    psi[:, 0, 3] = 1e6  # zonal: nothing is carried
    model = QuasiGeostrophic(T, level(height), level(land), at_rest, only(friction_days=3.0))
    found = model.tendency(model.vorticity(psi), NOW)[2, 0, 3]
    torch.testing.assert_close(found.real, psi[2, 0, 3].real * 12 / RADIUS**2 * factor / (3 * DAY), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("degree", "rate"), [(T, 1.0), (5, (30 / 110) ** 4)])
def test_smoothing_damps_the_smallest_scale_in_its_time_and_larger_ones_hardly(degree, rate):
    model = QuasiGeostrophic(T, None, None, at_rest, only(smoothing_days=2.0))
    psi = torch.zeros(LEVELS, T + 1, T + 1, dtype=torch.complex128)
    psi[:, 0, degree] = torch.tensor([2.0, -1.0, 0.5]) * 1e6
    state = model.vorticity(psi)
    close(run(model, state, 2.0, 3600.0), state * np.exp(-rate), 1e-7)


def test_a_resting_planet_without_forcing_stays_at_rest():
    model = QuasiGeostrophic(T, MOUNTAINS)
    assert model.tendency(torch.zeros(LEVELS, T + 1, T + 1, dtype=torch.complex128), NOW).abs().max() == 0


@pytest.mark.parametrize("truncation", [5, 10, 21, 42])
def test_the_grid_has_just_enough_rows_for_quadratic_terms(truncation):
    latitude, _, width = grid(truncation)
    assert 2 * len(latitude) - 1 >= 3 * truncation and width >= 3 * truncation + 1
    assert len(latitude) % 2 == 0 and 2 * (len(latitude) - 2) < 3 * truncation + 1
