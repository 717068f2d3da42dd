"""Stirred turbulence: the equations against brute force and closed forms, what they conserve, what stirring gives."""

import numpy as np
import pytest
import torch

from hindsight.dynamics.navier_stokes import WAVES, NavierStokesWorld, Square
from hindsight.settings.download import NavierStokes, Synthetic

DOUBLE = torch.zeros((), dtype=torch.float64)
BEGINS = np.array(["2000-01-01", "2001-06-01T06"], "datetime64[ns]")
STILL = NavierStokes(viscosity=0.0, drag=1e-300, stirring=0.0)  # as good as no drag: it may not be nought


def injected(settings):
    """Mean injection by stirring per time unit, of energy <v.v> / 2 and of enstrophy <omega^2> / 2.

    A cosine and a sine of unit amplitude have a mean square of one half each: eps^2 / 2 a wave of enstrophy, and of
    energy that over its squared wavenumber.
    """
    of_wave = settings.stirring**2 / 2
    return of_wave * sum(1 / (k**2 + m**2) for k, m in WAVES), of_wave * len(WAVES)


def square(points=32, settings=STILL):
    return Square(points, settings, DOUBLE)


def flow(made, seed=0, largest=None):
    """A random state (1, N, N // 2 + 1) of all waves that are kept, or of those up to a wavenumber."""
    generator = torch.Generator().manual_seed(seed)
    state = made.coefficients(torch.randn(1, made.points, made.points, dtype=torch.float64, generator=generator))
    within = (made.k < made.points / 3) & (made.m.abs() < made.points / 3) & (made.square > 0)
    return state * within * (made.square <= (largest or made.points) ** 2)


def make(flow=None, **settings):
    chosen = {"points": 26, "substeps": 10} | (flow or {})
    return NavierStokesWorld(
        Synthetic(**{"world": "navier_stokes", "spin_up_days": 1, "navier_stokes": chosen} | settings)
    )


def places(points):
    x = torch.arange(points, dtype=torch.float64) * 2 * np.pi / points
    return x[None, :].expand(points, points), x[:, None].expand(points, points)


def energy(made, state):
    return made.velocity(state).square().sum(0).mean((-2, -1)) / 2


def enstrophy(made, state):
    return made.fields(state).square().mean((-2, -1)) / 2


def test_advection_is_the_sum_over_all_pairs_of_waves():
    """Of exp(i p.x) and exp(i q.x): d omega_k = -sum_{p + q = k} omega_p omega_q (p_y q_x - p_x q_y) / |p|^2 i^2."""
    made = square(12)
    state = flow(made)
    whole = torch.fft.fft2(made.fields(state)[0], norm="forward").numpy()
    waves = [(k, m) for k in range(-3, 4) for m in range(-3, 4)]
    expected = np.zeros((12, 12), complex)
    for pk, pm in waves:
        for qk, qm in waves:
            k, m = pk + qk, pm + qm
            if (pk, pm) != (0, 0) and max(abs(k), abs(m)) <= 3:
                turn = (pm * qk - pk * qm) / (pk**2 + pm**2)  # v = (i p_y, -i p_x) omega_p / |p|^2; v . i q
                expected[m, k] += whole[pm, pk] * whole[qm, qk] * turn
    np.testing.assert_allclose(made.advection(state)[0], expected[:, :7], atol=1e-13)


def test_vorticity_is_the_curl_of_a_velocity_without_divergence():
    """psi = sin(2x) cos(3y): u = -d psi/dy, v = d psi/dx, omega = -13 psi."""
    made, (x, y) = square(), places(32)
    u, v = made.velocity(made.coefficients(-13 * torch.sin(2 * x) * torch.cos(3 * y))[None])
    torch.testing.assert_close(u[0], 3 * torch.sin(2 * x) * torch.sin(3 * y))
    torch.testing.assert_close(v[0], 2 * torch.cos(2 * x) * torch.cos(3 * y))


@pytest.mark.parametrize("steps", [1, 7])
def test_a_wave_that_does_not_advect_itself_decays_exactly(steps):
    """Taylor-Green: omega = cos(3x) cos(3y) is carried along its own contours."""
    settings = NavierStokes(viscosity=0.02, drag=0.1)
    made, (x, y) = square(settings=settings), places(32)
    wave = torch.cos(3 * x) * torch.cos(3 * y)
    state = made.coefficients(wave)[None]
    for _ in range(steps):
        state = made.step(state, 2.0 / steps)
    torch.testing.assert_close(made.fields(state)[0], wave * np.exp(-(0.02 * 18 + 0.1) * 2.0), rtol=1e-12, atol=1e-13)


def test_advection_neither_makes_nor_destroys_energy_or_enstrophy():
    """<omega, v . grad omega> = <psi, v . grad omega> = 0 to rounding, and of the whole to the order of the steps."""
    made = square()
    state = 10 * flow(made)
    change, omega = made.fields(made.advection(state)), made.fields(state)
    psi = made.fields(-state / made.square.clamp(min=1))
    for other in (omega, psi):
        assert (other * change).mean().abs() < 1e-13 * (other.square().mean() * change.square().mean()).sqrt()
    lost = []
    for steps in (40, 80):
        after = state
        for _ in range(steps):
            after = made.step(after, 0.4 / steps)
        lost.append([(1 - f(made, after) / f(made, state)).abs().item() for f in (energy, enstrophy)])
    assert (after - state).abs().max() > 0.5 * state.abs().max()
    for coarse, fine in zip(*lost):
        assert fine < 1e-4 and np.log2(coarse / fine) > 3.7


def test_steps_are_of_fourth_order_with_viscosity_and_drag():
    made = square(settings=NavierStokes(viscosity=0.01, drag=0.1))
    start, found = 3 * flow(made, largest=6), {}
    for steps in (10, 20, 40, 320):
        found[steps] = start
        for _ in range(steps):
            found[steps] = made.step(found[steps], 0.3 / steps)
    errors = [(found[n] - found[320]).abs().square().sum().sqrt().item() for n in (10, 20, 40)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.4)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.2)


def test_a_turned_or_moved_flow_has_a_turned_or_moved_future():
    """The square looks the same along x and y and from everywhere: a quarter turn keeps the sense of rotation."""
    made = square()
    omega = made.fields(flow(made))
    after = lambda field: made.fields(made.step(made.coefficients(field), 0.05))
    torch.testing.assert_close(after(omega.roll((5, -3), (1, 2))), after(omega).roll((5, -3), (1, 2)))
    torch.testing.assert_close(after(omega.rot90(1, (1, 2))), after(omega).rot90(1, (1, 2)))
    torch.testing.assert_close(after(-omega.flip(1)), -after(omega).flip(1))


def test_the_forces_are_the_published_eight():
    (x, y), made = places(32), square(settings=NavierStokes(stirring=2.0))
    published = [x.mul(6).sin(), x.mul(7).cos(), (x + y).mul(5).sin(), (x + y).mul(8).cos()]
    published += [x.mul(6).cos(), x.mul(7).sin(), (x + y).mul(5).cos(), (x + y).mul(8).sin()]
    ours = made.fields(made.stirring(torch.eye(8, dtype=torch.float64), 1e-9)) / (2 * 1e-9**0.5)
    overlap = torch.einsum("aij,bij->ab", ours, torch.stack(published)) / (32**2 / 2)
    torch.testing.assert_close(overlap.sum(0), torch.ones(8, dtype=torch.float64), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(overlap.sum(1), torch.ones(8, dtype=torch.float64), rtol=1e-6, atol=1e-9)


def test_stirring_over_a_step_is_that_over_its_halves():
    """A wave of decay r gains variance (1 - exp(-2 r h)) / 2 r: what it gained in the first half has decayed since."""
    made = square(settings=NavierStokes(viscosity=0.03, drag=0.2, stirring=1.5))
    power = lambda h: made.stirring(torch.eye(8, dtype=torch.float64), h).abs().square()
    whole, half = power(0.8), power(0.4)
    torch.testing.assert_close(whole, half * torch.exp(-2 * made.decay * 0.4) + half)


def test_stirring_injects_the_energy_of_the_closed_form():
    """The sum over the eight forces of a small step: eps^2 / 2 a wave of enstrophy, over its square of energy."""
    settings = NavierStokes(stirring=1.3)
    made, step = square(settings=settings), 1e-6
    each = made.stirring(torch.eye(8, dtype=torch.float64), step)
    found = [f(made, each).sum().item() / step for f in (energy, enstrophy)]
    assert found == pytest.approx(injected(settings), rel=1e-5)
    assert injected(settings)[1] == pytest.approx(4 * 1.3**2 / 2) and len(WAVES) == 4


def test_in_the_long_run_drag_and_viscosity_balance_stirring():
    """d<Z> / dt = injected - 2 alpha Z - nu <|grad omega|^2> = 0 on the mean, and of energy alike."""
    settings = NavierStokes(viscosity=5e-3, drag=0.3)
    made, generator = Square(32, settings, torch.zeros(())), torch.Generator().manual_seed(0)
    states, step, means = torch.zeros(48, 32, 17, dtype=torch.complex64), 0.05, []
    states = states + made.stirring(torch.randn(48, 8, generator=generator), 1.0)
    for n in range(700):
        states = made.step(states, step) + made.stirring(torch.randn(48, 8, generator=generator), step)
        if n >= 200 and n % 10 == 0:
            gradient = made.fields(states * made.square.sqrt()).square().mean((-2, -1))
            lost = 2 * 0.3 * enstrophy(made, states) + 5e-3 * gradient
            drained = 2 * 0.3 * energy(made, states) + 5e-3 * 2 * enstrophy(made, states)
            means.append([drained.mean().item(), lost.mean().item()])
    np.testing.assert_allclose(np.mean(means, 0), injected(settings), rtol=0.05)


def test_a_frame_has_the_requested_hours_and_substeps():
    made = make({"unit_hours": 12.0})
    start = made.spin_up(BEGINS)
    state, found = made.frames(start, BEGINS, 0, 2)
    expected = start
    for n in range(10):
        number = [int(t) * 10 // 21600 + n for t in made.seconds(BEGINS).tolist()]
        white = torch.tensor(np.stack([made.white(k, number[k]) for k in range(2)]))
        expected = made.square.step(expected, 0.05) + made.square.stirring(white, 0.05)
    np.testing.assert_allclose(found["vorticity"][:, 1], made.square.fields(expected), rtol=1e-5, atol=1e-5)
    assert found["vorticity"].dtype == np.float32 and state.dtype == torch.complex64


def test_random_numbers_are_a_function_of_seed_segment_and_step():
    """For any number of segments and any pieces."""
    made = make()
    both, alone = made.spin_up(BEGINS), made.spin_up(BEGINS[:1])
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-5)  # arithmetic in other batches rounds otherwise
    _, whole = made.frames(alone, BEGINS[:1], 0, 5)
    middle, first = made.frames(alone, BEGINS[:1], 0, 2)
    _, rest = made.frames(middle, BEGINS[:1], 2, 3)
    np.testing.assert_array_equal(np.concatenate([first["vorticity"], rest["vorticity"]], 1), whole["vorticity"])
    numbers = {tuple(make(seed=s).white(k, n)) for s in (1, 2) for k in (0, 1) for n in (-7, 0, 1)}
    assert len(numbers) == 12 and make().disturbance(0).ne(make().disturbance(1)).any()
    assert abs(np.mean([made.white(0, n) for n in range(4000)])) < 4 / 32000**0.5
    assert np.std([made.white(0, n) for n in range(4000)]) == pytest.approx(1, abs=0.02)


def test_a_finer_square_writes_the_waves_that_the_output_grid_resolves():
    made, (x, y) = make({"fine": 2}), places(52)
    shown = lambda x, y: 1.5 * torch.cos(3 * x - 12 * y) + torch.sin(5 * x + 4 * y)
    hidden = torch.cos(13 * x) + torch.cos(14 * y) + torch.sin(2 * x + 13 * y)
    found = made.weather(made.square.coefficients((shown(x, y) + hidden).float())[None])["vorticity"][0]
    np.testing.assert_allclose(found, shown(*places(26)), atol=1e-5)
    assert made.square.points == 52 and made.disturbance(0).shape == (52, 27)


def test_the_square_is_a_tile_of_a_degree_on_the_equator_with_cells_of_equal_area():
    made = make({"points": 64})
    assert made.latitude.mean() == pytest.approx(0, abs=1e-15) and np.ptp(made.latitude) == pytest.approx(63 / 64)
    np.testing.assert_array_equal(made.latitude, made.longitude)
    area = np.cos(np.deg2rad(made.latitude))
    assert np.ptp(area) < 4e-5 and made.static() == {} and made.levels == []


def test_the_disturbance_is_of_unit_size_and_of_large_scale():
    made = make()
    state = made.disturbance(3)
    assert made.square.fields(state).std().item() == pytest.approx(1) and state[0, 0] == 0
    assert state[made.square.square > 64].abs().max() == 0


@pytest.mark.parametrize("fine", [1, 2])
def test_the_vorticity_is_the_state_as_far_as_the_grid_resolves_it(fine):
    """The state has no waves that the output grid does not resolve."""
    made = make({"fine": fine})
    state = flow(made.square, largest=made.square.points // fine / 3).to(torch.complex64)[None]
    found = made.states(made.weather(state))
    assert found.shape == state.shape
    torch.testing.assert_close(found, state, rtol=1e-4, atol=1e-5)


def test_waves_that_de_aliasing_removes_are_no_part_of_a_state():
    made = make()
    x, y = (axis.float() for axis in places(26))
    found = made.weather(made.states({"vorticity": (torch.cos(3 * x) + torch.cos(12 * y)).numpy()[None]}))
    np.testing.assert_allclose(found["vorticity"][0], torch.cos(3 * x).expand(26, 26), atol=1e-5)
