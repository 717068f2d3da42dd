"""Time stepping."""

from collections.abc import Callable

import torch

Tendency = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (state, seconds) -> change per second


def runge_kutta_4(tendency: Tendency, state: torch.Tensor, time: torch.Tensor, step: float) -> torch.Tensor:
    """One step of the classical Runge-Kutta method, of fourth order (Kutta 1901).

    Args:
        tendency: the equations.
        state: state at `time`, any shape.
        time: time (s).
        step: time step (s).
    """
    half = step / 2
    k1 = tendency(state, time)
    k2 = tendency(state + half * k1, time + half)
    k3 = tendency(state + half * k2, time + half)
    k4 = tendency(state + step * k3, time + step)
    return state + step / 6 * (k1 + 2 * (k2 + k3) + k4)
