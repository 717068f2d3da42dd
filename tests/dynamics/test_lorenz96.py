"""Lorenz's ring: the equations against brute force and theory, the climate and its chaos against what is published."""

import numpy as np
import pytest
import torch

from hindsight.dynamics import lorenz96
from hindsight.dynamics.lorenz96 import Lorenz96World, advance, tendency
from hindsight.settings.download import Synthetic

BEGINS = np.array(["1900-01-01", "1950-06-01T06"], "datetime64[ns]")


def make(ring=None, **settings):
    return Lorenz96World(Synthetic(world="lorenz96", spin_up_days=60, lorenz96=ring or {}, **settings))


@pytest.fixture(scope="module")
def climate():
    """128 states of the attractor, far apart in time and seed, (128, 40)."""
    x = 8 + torch.randn(128, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return advance(x, 8.0, 20.0, 400)


def white(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_tendency_is_the_published_one_variable_by_variable():
    x = white(2, 7)
    found = tendency(x, 8.0)
    for k in range(2):
        for i in range(7):
            v = x[k].tolist()
            expected = (v[(i + 1) % 7] - v[i - 2]) * v[i - 1] - v[i] + 8.0
            assert found[k, i].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("forcing", [0.0, 0.5, 8.0])
def test_a_ring_at_its_forcing_stays_there(forcing):
    rest = torch.full((40,), forcing, dtype=torch.float64)
    assert tendency(rest, forcing).abs().max() == 0
    assert torch.equal(advance(rest, forcing, 1.0, 20), rest)


def test_the_quadratic_terms_conserve_energy():
    """Only forcing and damping contribute to d(x.x / 2)/dt."""
    x = white(5, 40)
    change = (x * (tendency(x, 3.0) + x - 3.0)).sum(-1)
    assert change.abs().max() < 1e-12 * (x**2).sum()


def test_shifting_the_ring_shifts_its_future():
    x = 8 + white(40)
    torch.testing.assert_close(advance(x.roll(7), 8.0, 1.0, 20), advance(x, 8.0, 1.0, 20).roll(7))


def test_steps_are_of_fourth_order(climate):
    exact = advance(climate, 8.0, 0.4, 256)
    errors = [(advance(climate, 8.0, 0.4, n) - exact).norm().item() for n in (8, 16, 32)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.2)


def test_the_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(lambda x: advance(x, 8.0, 0.1, 2), (8 + white(2, 6)).requires_grad_())


def test_the_climate_is_the_published_one(climate):
    """Mean 2.34 and standard deviation 3.64; Lorenz and Emanuel (1998) say 2.3 and 3.6.

    doi:10.1175/1520-0469(1998)055<0399:OSFSWO>2.0.CO;2
    """
    x, mean, square = climate, 0.0, 0.0
    for _ in range(200):
        x = advance(x, 8.0, 0.25, 5)
        mean, square = mean + x.mean().item() / 200, square + (x**2).mean().item() / 200
    assert mean == pytest.approx(2.34, abs=0.03) and np.sqrt(square - mean**2) == pytest.approx(3.64, abs=0.03)


def test_small_errors_double_in_two_days(climate):
    """The leading exponent is 1.68 a time unit (Lorenz 1996: doubling in 0.42 units), once errors have turned to it."""
    wrong, rate = climate + 1e-8 * white(128, 40), []
    x = climate
    for _ in range(40):
        x, wrong = advance(x, 8.0, 0.25, 5), advance(wrong, 8.0, 0.25, 5)
        size = (wrong - x).norm(dim=-1, keepdim=True)
        rate.append((size / 1e-8).log().mean().item() / 0.25)
        wrong = x + (wrong - x) * 1e-8 / size
    assert np.log(2) / np.mean(rate[10:]) == pytest.approx(0.42, abs=0.04)


def test_a_frame_has_the_requested_hours_and_substeps_change_little():
    made = make()
    start = made.spin_up(BEGINS)
    state, found = made.frames(start, BEGINS, 0, 3)
    assert found["x"].shape == (2, 3, 1, 40) and found["x"].dtype == np.float32
    expected = torch.stack([start, advance(start, 8.0, 0.05, 1), advance(start, 8.0, 0.1, 2)], 1)
    np.testing.assert_allclose(found["x"][:, :, 0], expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state, advance(start, 8.0, 0.15, 3))
    finer, _ = make({"substeps": 4}).frames(start, BEGINS, 0, 3)
    torch.testing.assert_close(finer, advance(start, 8.0, 0.15, 12))
    assert 0 < (finer - state).abs().max() < 0.02
    slower, _ = make({"unit_hours": 240.0}).frames(start, BEGINS, 0, 2)
    torch.testing.assert_close(slower, advance(start, 8.0, 0.05, 2))


def test_segments_begin_differently_depending_on_the_seed():
    one, again, other = (make(seed=seed).spin_up(BEGINS) for seed in (1, 1, 2))
    assert torch.equal(one, again) and (one[0] - one[1]).std() > 3 and (one - other).std() > 3
    assert make().disturbance(0).sub(8).std() == pytest.approx(lorenz96.DISTURBANCE, rel=0.5)


def test_the_ring_lies_on_the_equator():
    made = make({"variables": 12})
    assert made.latitude.tolist() == [0.0] and made.longitude.tolist() == [30.0 * k for k in range(12)]
    assert made.static() == {} and made.levels == []


def test_the_variables_are_the_state():
    made, state = make(), white(3, 40)
    found = made.states(made.weather(state))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, state, rtol=1e-6, atol=1e-6)
