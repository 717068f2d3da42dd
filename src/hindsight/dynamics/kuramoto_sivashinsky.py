"""The Kuramoto-Sivashinsky equation: waves on a periodic line that grow, steepen and damp each other in chaos.

u_t + u u_x + u_xx + u_xxxx = 0 on [0, L): Kuramoto and Tsuzuki (1976), doi:10.1143/PTP.55.356; Sivashinsky (1977). A
small wave of wavenumber q grows by q^2 - q^4 per time unit. Time steps are exponential Runge-Kutta of fourth order,
ETDRK4: Cox and Matthews (2002), doi:10.1006/jcph.2002.6995, with coefficients by contour integrals: Kassam and
Trefethen (2005), doi:10.1137/S1064827502410633.
"""

import numpy as np
import torch

from hindsight.dynamics.world import World
from hindsight.settings.download import Synthetic

DISTURBANCE = 1e-1  # standard deviation at the start of the spin-up, in wavelengths above 2 pi, all of which grow
CONTOUR = 32  # points on the upper half of the unit circle about each eigenvalue


class Line:
    """The equation on N points of a periodic line: states are Fourier coefficients (…, N // 2 + 1) of u.

    Waves below N / 3 are kept, so that products of two are exact (Orszag 1971). The mean of u is zero: the equation
    keeps it, and looks the same to an observer who moves along.

    Args:
        points: N, even.
        length: L.
        like: a tensor of the type and device of fields.
    """

    def __init__(self, points: int, length: float, like: torch.Tensor) -> None:
        self.points = points
        number = torch.arange(points // 2 + 1, dtype=like.dtype, device=like.device)
        self.wavenumber = number * 2 * torch.pi / length
        self.kept = (number > 0) & (number < points / 3)
        self.growth = self.wavenumber**2 - self.wavenumber**4
        self._weights: dict[float, tuple[torch.Tensor, ...]] = {}

    def coefficients(self, fields: torch.Tensor) -> torch.Tensor:
        """Fourier coefficients of fields on the line or on fewer points; waves that these do not resolve are zero."""
        found = torch.fft.rfft(fields, norm="forward")
        half = fields.shape[-1] // 2  # the Nyquist wave of a coarser line has no phase
        states = found.new_zeros(*found.shape[:-1], self.points // 2 + 1)
        states[..., :half] = found[..., :half]
        return states * self.kept

    def fields(self, states: torch.Tensor, points: int | None = None) -> torch.Tensor:
        """Fields of states on the line, (…, N), or on fewer points, with the waves that these resolve."""
        points = points or self.points
        return torch.fft.irfft(states[..., : (points + 1) // 2], n=points, norm="forward")

    def self_advection(self, states: torch.Tensor) -> torch.Tensor:
        """-u u_x of states, as -(u^2 / 2)_x."""
        square = torch.fft.rfft(self.fields(states).square(), norm="forward")
        return -0.5j * self.wavenumber * self.kept * square

    def step(self, states: torch.Tensor, step: float) -> torch.Tensor:
        """States after a time step (time units)."""
        if step not in self._weights:
            self._weights[step] = self._weights_of(step)
        whole, half, weight, first, middle, last = self._weights[step]
        n0 = self.self_advection(states)
        a = half * states + weight * n0
        na = self.self_advection(a)
        nb = self.self_advection(half * states + weight * na)
        nc = self.self_advection(half * a + weight * (2 * nb - n0))
        return whole * states + first * n0 + middle * (na + nb) + last * nc

    def _weights_of(self, step: float) -> tuple[torch.Tensor, ...]:
        """exp(h l) and exp(h l / 2) of the growth rates l, and the weights of the step's parts, each (N // 2 + 1,).

        The weights are functions such as (exp(z) - 1) / z of z = h l, whose numerators lose all digits near z = 0. So
        each is computed as its mean over a circle about z, which is its value at z.
        """
        growth = step * self.growth
        angle = (torch.arange(CONTOUR, dtype=growth.dtype, device=growth.device) + 0.5) * torch.pi / CONTOUR
        z = growth[:, None] + torch.polar(torch.ones_like(angle), angle)
        e = z.exp()
        mean = lambda values: step * values.real.mean(-1)
        parts = (
            mean(((z / 2).exp() - 1) / z),
            mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3),
            mean(2 * (2 + z + e * (z - 2)) / z**3),
            mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3),
        )
        return growth.exp(), (growth / 2).exp(), *parts


class KuramotoSivashinskyWorld(World):
    """The line as a world: points around the equator, frames `step_hours` apart, time units of `unit_hours`."""

    levels: list[int] = []
    variables = {"velocity": ("", "1")}
    fixed: dict[str, tuple[str, str]] = {}
    title = "Waves of Kuramoto and Sivashinsky on a periodic line (synthetic)"
    equations = "the Kuramoto-Sivashinsky equation on a periodic line"

    def __init__(self, settings: Synthetic) -> None:
        super().__init__(settings)
        self.chosen = settings.kuramoto_sivashinsky
        like = torch.zeros((), dtype=torch.float64, device=self.device)
        self.line = Line(self.chosen.points * self.chosen.fine, self.chosen.length, like)
        self.latitude = np.zeros(1)
        self.longitude = np.arange(self.chosen.points) * 360 / self.chosen.points
        units = settings.step_hours / self.chosen.unit_hours
        self.instability_advice = (
            f"with {self.chosen.substeps} step(s) a frame of {units:g} time units; raise "
            "download.synthetic.kuramoto_sivashinsky.substeps"
        )

    def disturbance(self, segment: int) -> torch.Tensor:
        """Small random waves, of all the lengths that grow."""
        white = torch.from_numpy(self.draws(segment).standard_normal(self.line.points)).to(self.device)
        state = self.line.coefficients(white) * (self.line.wavenumber < 1)
        return state * DISTURBANCE / self.line.fields(state).std()

    def advance(self, states: torch.Tensor, time: torch.Tensor, interval: float) -> torch.Tensor:
        """Integrate over an interval (s), with `substeps` steps per frame; the equation does not depend on time."""
        steps = int(-(-self.chosen.substeps * interval // self.settings.step.total_seconds()))
        step = interval / (self.chosen.unit_hours * 3600.0) / steps
        for _ in range(steps):
            states = self.line.step(states, step)
        return states

    def weather(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """The velocity along the one latitude, (…, 1, N)."""
        fields = self.line.fields(states, self.chosen.points)
        return {"velocity": fields[..., None, :].to(torch.float32).cpu().numpy()}

    def states(self, weather: dict[str, np.ndarray]) -> torch.Tensor:
        """Fourier coefficients of the velocity (S, …), without its mean and the waves that de-aliasing removes."""
        return self.line.coefficients(torch.from_numpy(weather["velocity"][:, 0]).to(self.device, torch.float64))
