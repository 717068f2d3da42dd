"""Kuramoto-Sivashinsky: the equation against brute force and closed forms, and its published chaos."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hindsight.dynamics import kuramoto_sivashinsky
from hindsight.dynamics.kuramoto_sivashinsky import KuramotoSivashinskyWorld, Line
from hindsight.settings.download import KuramotoSivashinsky, Synthetic

DOUBLE = torch.zeros((), dtype=torch.float64)
BEGINS = np.array(["2000-01-01", "2001-06-01T06"], "datetime64[ns]")
SMALL = {"points": 32, "length": 22.0}


def waves(line, size=1.0, seed=0, count=1):
    """Random states (S, N // 2 + 1), whose waves fall off as those of the equation do."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, line.points, dtype=torch.float64, generator=generator)
    return size * line.coefficients(white) * torch.exp(-line.wavenumber)


def after(line, state, time, steps):
    for _ in range(steps):
        state = line.step(state, time / steps)
    return state


def make(line=None, **settings):
    chosen = SMALL | (line or {})
    return KuramotoSivashinskyWorld(
        Synthetic(**{"world": "kuramoto_sivashinsky", "spin_up_days": 1, "kuramoto_sivashinsky": chosen} | settings)
    )


@pytest.fixture(scope="module")
def climate():
    """A line of length 128 and 48 of its states after 200 time units, and every fifth unit after that, (40, 48, …)."""
    line = Line(256, 128.0, DOUBLE)
    state, kept = after(line, waves(line, count=48), 200.0, 800), []
    for _ in range(40):
        kept.append(state := after(line, state, 5.0, 20))
    return line, torch.stack(kept)


def test_self_advection_is_the_sum_over_all_pairs_of_waves():
    """-(u^2 / 2)_x of exp(i p x) and exp(i q x): -i (p + q) u_p u_q / 2."""
    line = Line(16, 10.0, DOUBLE)
    state = waves(line)[0]
    whole = (
        {0: 0j} | {k: complex(state[k]) for k in range(1, 6)} | {-k: complex(state[k]).conjugate() for k in range(1, 6)}
    )
    expected = np.zeros(9, complex)
    for p, u in whole.items():
        for q, v in whole.items():
            if 0 < p + q < 6:
                expected[p + q] -= 0.5j * (p + q) * 2 * np.pi / 10 * u * v
    np.testing.assert_allclose(line.self_advection(state), expected, atol=1e-15)


def test_self_advection_neither_makes_nor_destroys_energy():
    line = Line(64, 22.0, DOUBLE)
    state = waves(line, 3.0)
    change, u = line.fields(line.self_advection(state)), line.fields(state)
    assert abs((u * change).mean()) < 1e-14 * u.square().mean().sqrt() * change.square().mean().sqrt() + 1e-16
    assert change.abs().max() > 0.1


@pytest.mark.parametrize("steps", [1, 7])
def test_small_waves_grow_by_the_exact_rate_whatever_the_step(steps):
    """exp((q^2 - q^4) t), also where that is 1 to within rounding and the weights' numerators would lose all digits."""
    line, time = Line(48, 2 * np.pi * 12, DOUBLE), 3.0
    state = line.coefficients(1e-9 * torch.randn(48, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    found = after(line, state, time, steps)
    q = line.wavenumber[1:16].numpy()
    ratio = (found[1:16] / state[1:16]).numpy()
    np.testing.assert_allclose(ratio, np.exp((q**2 - q**4) * time), rtol=1e-6, atol=1e-12)
    assert q.min() < 0.1 and q.max() > 1.2 and (found[16:] == 0).all()


def test_steps_are_of_fourth_order():
    line = Line(24, 22.0, DOUBLE)
    start = after(line, waves(line), 50.0, 400)
    exact = after(line, start, 4.0, 2048)
    errors = [(after(line, start, 4.0, n) - exact).abs().square().sum().sqrt().item() for n in (64, 128, 256)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.15)


def test_a_moved_or_mirrored_wave_has_a_moved_or_mirrored_future():
    """u(x) -> u(x + s) and u(x) -> -u(-x) leave the equation as it is."""
    line = Line(64, 22.0, DOUBLE)
    u = line.fields(waves(line, 3.0))
    future = lambda field: line.fields(after(line, line.coefficients(field), 5.0, 20))
    torch.testing.assert_close(future(u.roll(7, -1)), future(u).roll(7, -1), rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(future(-u.flip(-1)), -future(u).flip(-1), rtol=1e-8, atol=1e-9)


def test_in_the_long_run_growth_balances_damping(climate):
    """d<u^2> / dt = 2 (<u_x^2> - <u_xx^2>) = 0 on the mean."""
    line, states = climate
    power = states.abs().square().mean((0, 1))
    gained, lost = ((line.wavenumber**n * power).sum().item() for n in (2, 4))
    assert gained == pytest.approx(lost, rel=0.02) and gained > 0.3


def test_the_spectrum_is_flat_then_peaks_and_falls_exponentially(climate):
    """Flat, a maximum at about 0.7, then exponential: Wittenberg and Holmes (1999, doi:10.1063/1.166419)."""
    line, states = climate
    power, q = states.abs().square().mean((0, 1)).numpy(), line.wavenumber.numpy()
    band = lambda low, high: power[(q >= low) & (q < high)].mean()
    assert 0.5 < band(0.04, 0.15) / band(0.15, 0.3) < 2
    assert 0.65 < q[power.argmax()] < 0.95 and power.max() > 3 * band(0.04, 0.3)
    slope = [np.log(band(a, a + 0.2) / band(a + 0.5, a + 0.7)) for a in (1.2, 1.7, 2.2, 2.7)]
    assert min(slope) > 2 and max(slope) < 1.6 * min(slope)  # the same factor again and again


def test_small_errors_grow_by_the_published_exponent():
    """At L = 22, 0.048 (Cvitanovic et al. 2010, doi:10.1137/070705623); Edson et al. (2019) give 0.043."""
    line = Line(32, 22.0, DOUBLE)
    right = after(line, waves(line, count=200), 200.0, 800)
    both, rate = torch.cat([right, right + waves(line, 1e-7, 1, 200)]), []
    for _ in range(75):
        both = after(line, both, 8.0, 32)
        right, wrong = both.chunk(2)
        size = (wrong - right).abs().square().sum(-1, keepdim=True).sqrt()
        rate.append((size / 1e-7).log().mean().item() / 8.0)
        both = torch.cat([right, right + (wrong - right) * 1e-7 / size])
    assert np.mean(rate[15:]) == pytest.approx(0.048, abs=0.003)


def test_a_frame_has_the_requested_hours_and_substeps():
    made = make({"unit_hours": 12.0})
    start = made.spin_up(BEGINS)
    state, found = made.frames(start, BEGINS, 0, 3)
    assert found["velocity"].shape == (2, 3, 1, 32) and found["velocity"].dtype == np.float32
    torch.testing.assert_close(state, after(made.line, start, 1.5, 12))
    np.testing.assert_allclose(found["velocity"][:, 2, 0], made.line.fields(after(made.line, start, 1.0, 8)), atol=1e-6)


def test_segments_begin_differently_depending_on_the_seed():
    one, again, other = (make(seed=seed, spin_up_days=40).spin_up(BEGINS) for seed in (1, 1, 2))
    fields = lambda made: make().line.fields(made)
    assert torch.equal(one, again) and (fields(one)[0] - fields(one)[1]).std() > 0.5
    assert (fields(one) - fields(other)).std() > 0.5
    assert make().line.fields(make().disturbance(0)).std() == pytest.approx(kuramoto_sivashinsky.DISTURBANCE)


def test_a_finer_line_writes_the_waves_that_the_output_grid_resolves():
    made = make({"fine": 4})
    x = torch.arange(128, dtype=torch.float64) * 2 * np.pi / 128
    shown = lambda x: 1.5 * torch.cos(3 * x) - torch.sin(15 * x)
    state = made.line.coefficients(shown(x) + torch.cos(16 * x) + torch.sin(30 * x))
    found = made.weather(state)["velocity"]
    np.testing.assert_allclose(found[0], shown(x[::4]), atol=1e-6)
    assert made.line.points == 128 and found.shape == (1, 32)


@pytest.mark.parametrize("fine", [1, 4])
def test_the_velocity_is_the_state_as_far_as_the_grid_resolves_it(fine):
    made = make({"fine": fine})
    state = waves(made.line, count=3)
    state[:, 32 // 2 :] = 0
    found = made.states(made.weather(state))
    assert found.dtype == torch.complex128 and found.shape == state.shape
    torch.testing.assert_close(found, state, rtol=1e-5, atol=1e-6)


def test_the_line_lies_on_the_equator():
    made = make({"points": 36})
    assert made.latitude.tolist() == [0.0] and made.longitude.tolist() == [10.0 * k for k in range(36)]
    assert made.static() == {} and made.levels == []


def test_a_line_that_does_not_resolve_the_damping_is_refused():
    with pytest.raises(
        ValidationError, match=r"points \(64\) times fine \(1\) resolve wavenumbers up to 1.34 on a line"
    ):
        KuramotoSivashinsky(points=64, length=100.0)
    assert KuramotoSivashinsky(points=64, length=100.0, fine=2).fine == 2
