"""The Lorenz-96 model: variables on a ring with advection, damping and forcing, chaotic like the weather.

dx_i/dt = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F, indices modulo N. Lorenz (1996), Predictability: a problem partly
solved, ECMWF Seminar on Predictability 1, 1-18: with 40 variables and F = 8 small errors double in 0.42 time units,
or in 2.1 days if a time unit stands for five days of weather, as he suggests.
"""

import numpy as np
import torch

from hindsight.dynamics.integrate import runge_kutta_4
from hindsight.dynamics.world import World
from hindsight.settings.download import Synthetic

DISTURBANCE = 1e-2  # standard deviation about the fixed point x = F at the start of the spin-up


def tendency(x: torch.Tensor, forcing: float) -> torch.Tensor:
    """dx/dt of states (…, N), per time unit."""
    return (x.roll(-1, -1) - x.roll(2, -1)) * x.roll(1, -1) - x + forcing


def advance(x: torch.Tensor, forcing: float, interval: float, steps: int) -> torch.Tensor:
    """Integrate states (…, N) over an interval (time units) in `steps` steps; differentiable."""
    now = torch.zeros((), dtype=x.dtype, device=x.device)  # the equations do not depend on time
    for _ in range(steps):
        x = runge_kutta_4(lambda state, _: tendency(state, forcing), x, now, interval / steps)
    return x


class Lorenz96World(World):
    """The Lorenz-96 world: variables on the equator, frames `step_hours` apart, time units of `unit_hours`."""

    levels: list[int] = []
    variables = {"x": ("", "1")}
    fixed: dict[str, tuple[str, str]] = {}
    title = "Lorenz's ring of 1996 (synthetic)"
    equations = "the equations of Lorenz (1996), variables on a ring"

    def __init__(self, settings: Synthetic) -> None:
        super().__init__(settings)
        self.ring = settings.lorenz96
        self.latitude = np.zeros(1)
        self.longitude = np.arange(self.ring.variables) * 360 / self.ring.variables
        self.instability_advice = (
            f"with {self.ring.substeps} step(s) a frame of {settings.step_hours / self.ring.unit_hours:g} time units; "
            "raise download.synthetic.lorenz96.substeps"
        )

    def disturbance(self, segment: int) -> torch.Tensor:
        """The fixed point x = F plus small random numbers, (N,)."""
        white = torch.from_numpy(self.draws(segment).standard_normal(self.ring.variables))
        return (self.ring.forcing + DISTURBANCE * white).to(self.device)

    def advance(self, states: torch.Tensor, time: torch.Tensor, interval: float) -> torch.Tensor:
        """Integrate over an interval (s), with `substeps` steps per frame; the equations do not depend on time."""
        steps = -(-self.ring.substeps * interval // self.settings.step.total_seconds())
        return advance(states, self.ring.forcing, interval / (self.ring.unit_hours * 3600.0), int(steps))

    def weather(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """The variables along the one latitude, (…, 1, N)."""
        return {"x": states[..., None, :].to(torch.float32).cpu().numpy()}

    def states(self, weather: dict[str, np.ndarray]) -> torch.Tensor:
        """The variables, (S, N), in double precision."""
        return torch.from_numpy(weather["x"][:, 0]).to(self.device, torch.float64)
