"""Steps in time against equations with a known solution."""

import pytest
import torch

from hindsight.dynamics.integrate import runge_kutta_4


def run(tendency, state, until, steps):
    step = until / steps
    for k in range(steps):
        state = runge_kutta_4(tendency, state, torch.tensor(k * step, dtype=torch.float64), step)
    return state


def test_a_non_linear_equation_is_solved_to_fourth_order():
    """y' = -2 t y^2 has y = y_0 / (1 + y_0 t^2), and the time counts."""
    start = torch.tensor([1.0, 0.8, 2.0], dtype=torch.float64)
    exact = start / (1 + start * 1.5**2)
    errors = [(run(lambda y, t: -2 * t * y**2, start, 1.5, n) - exact).abs() for n in (20, 40, 80)]
    for coarse, fine in zip(errors, errors[1:]):
        assert ((coarse / fine).log2() - 4).abs().max() < 0.2
    assert errors[-1].max() < 1e-6


def test_a_quadrature_of_cubics_is_exact():
    found = run(lambda y, t: 4 * t**3 - 3 * t**2 + 1, torch.zeros(2, dtype=torch.float64), 2.0, 1)
    assert found.tolist() == pytest.approx([2.0**4 - 2.0**3 + 2.0] * 2, rel=1e-14)


def test_complex_states_turn_with_the_amplitude_of_the_method():
    """y' = i y: one step multiplies by the Taylor polynomial of e^{ih} up to fourth order, and by nothing else."""
    h = 0.7
    found = run(lambda y, t: 1j * y, torch.tensor([1.0 + 0j], dtype=torch.complex128), h, 1)
    expected = sum((1j * h) ** n / f for n, f in enumerate((1, 1, 2, 6, 24)))
    assert found.item() == pytest.approx(expected, rel=1e-14)
