"""Two-dimensional turbulence on a doubly periodic square with random forcing.

d omega = (-v . grad omega + nu lap omega - alpha omega) dt + eps d eta on [0, 2 pi)^2; eta has one Wiener process for
the cosine and one for the sine of each wave in `WAVES`: Chen et al. (2024), Probabilistic forecasting with stochastic
interpolants and Foellmer processes, arXiv:2403.13724. Their states have a standard deviation of 3.07.
"""

import numpy as np
import torch

from hindsight.dynamics.world import World
from hindsight.settings.download import NavierStokes, Synthetic

WAVES = ((6, 0), (7, 0), (5, 5), (8, 8))  # forced wavenumbers along x and y
DISTURBANCE = 1.0  # standard deviation of the vorticity at the start of the spin-up, in wavenumbers up to LARGE
LARGE = 8
STIRRING = 1  # in the counter of the random numbers of the forcing; 0 in that of the disturbance
BEFORE = 2**40  # added to the number of a step, so that it is positive before 1 January 2000


class Square:
    """The equations on N x N points, de-aliased: states are Fourier coefficients (…, N, N // 2 + 1) of the vorticity.

    Coefficients belong to exp(i (k x + m y)), x along the last axis; those with wavenumbers below N / 3 are kept, so
    that products of two are exact (Orszag 1971).
    """

    def __init__(self, points: int, settings: NavierStokes, like: torch.Tensor) -> None:
        self.points, self.settings = points, settings
        waves = torch.fft.fftfreq(points, 1 / points, dtype=like.dtype, device=like.device)
        self.k, self.m = waves[: points // 2 + 1].abs(), waves[:, None]
        self.square = self.k**2 + self.m**2
        self.kept = (self.k.abs() < points / 3) & (self.m.abs() < points / 3)
        inverse = self.kept / self.square.clamp(min=1)
        self._velocity = torch.stack([1j * self.m * inverse, -1j * self.k * inverse])[:, None]
        self._curl = torch.stack([self.k * self.m * self.kept, (self.k**2 - self.m**2) * self.kept])[:, None]
        self.decay = settings.viscosity * self.square + settings.drag
        self.stirred = self.coefficients(self._patterns())

    def _patterns(self) -> torch.Tensor:
        """Patterns of the forcing, (8, N, N): the cosines of the waves, then their sines."""
        x = torch.arange(self.points, device=self.k.device).to(self.k) * 2 * torch.pi / self.points
        phase = torch.stack([k * x + m * x[:, None] for k, m in WAVES])
        return torch.cat([phase.cos(), phase.sin()])

    def coefficients(self, fields: torch.Tensor) -> torch.Tensor:
        """Fourier coefficients of fields (…, N, N)."""
        return torch.fft.rfft2(fields, norm="forward")

    def fields(self, states: torch.Tensor, points: int | None = None) -> torch.Tensor:
        """Fields of states on the grid, (…, N, N), or on a coarser grid, with the waves that it resolves."""
        if points not in (None, self.points):
            states = _resized(states, points)
        points = points or self.points
        return torch.fft.irfft2(states, s=(points, points), norm="forward")

    def velocity(self, states: torch.Tensor) -> torch.Tensor:
        """Velocity of states (S, …) along x and y, (2, S, N, N)."""
        return torch.fft.irfft2(self._velocity * states, s=(self.points, self.points), norm="forward")

    def advection(self, states: torch.Tensor) -> torch.Tensor:
        """-v . grad omega of states (S, …) as minus the curl of the divergence of v v, with two transforms each way."""
        u, v = self.velocity(states)
        stress = self.coefficients(torch.stack([(v - u) * (v + u), u * v]))
        return (self._curl * stress).sum(0)

    def step(self, states: torch.Tensor, step: float) -> torch.Tensor:
        """Step without forcing: advection by fourth-order Runge-Kutta, viscosity and drag by an integrating factor."""
        half = torch.exp(-self.decay * step / 2)
        k1 = self.advection(states)
        decayed = half * states
        k2 = self.advection(decayed + step / 2 * half * k1)
        k3 = self.advection(decayed + step / 2 * k2)
        k4 = self.advection(half * (decayed + step * k3))
        return half * (decayed + step / 6 * (half * k1 + 2 * (k2 + k3))) + step / 6 * k4

    def stirring(self, white: torch.Tensor, step: float) -> torch.Tensor:
        """What the forcing adds in a step, from white noise (S, 8); its decay within the step is exact."""
        squares = torch.tensor([k**2 + m**2 for k, m in WAVES] * 2)
        rate = 2 * (self.settings.viscosity * squares + self.settings.drag).double()
        spread = self.settings.stirring * (-torch.expm1(-rate * step) / rate).sqrt()
        return torch.einsum("sw,wij->sij", (white * spread.to(white)).to(self.stirred), self.stirred)


def _resized(states: torch.Tensor, points: int) -> torch.Tensor:
    """Coefficients on another grid, without the Nyquist wave of the coarser one."""
    half = min(points, states.shape[-2]) // 2
    found = torch.zeros(*states.shape[:-2], points, points // 2 + 1, dtype=states.dtype, device=states.device)
    found[..., :half, :half] = states[..., :half, :half]
    found[..., 1 - half :, :half] = states[..., 1 - half :, :half]
    return found


class NavierStokesWorld(World):
    """The square as a world: one degree by one degree at 0 N 0 E, x eastward and y northward.

    Its cells have equal area to within 4e-5. States are in single precision, since double precision costs twice as much
    and the random forcing hides rounding errors.
    """

    levels: list[int] = []
    variables = {"vorticity": ("", "1")}
    fixed: dict[str, tuple[str, str]] = {}
    title = "Stirred turbulence on a doubly periodic square (synthetic)"
    equations = "the Navier-Stokes equations in two dimensions, stirred at random as by Chen et al. (2024)"

    def __init__(self, settings: Synthetic) -> None:
        super().__init__(settings)
        self.flow = settings.navier_stokes
        self.square = Square(self.flow.points * self.flow.fine, self.flow, torch.zeros((), device=self.device))
        self.latitude = self.longitude = (np.arange(self.flow.points) + 0.5) / self.flow.points - 0.5
        self.instability_advice = (
            f"with {self.flow.substeps} step(s) a frame of {settings.step_hours / self.flow.unit_hours:g} time units; "
            "raise download.synthetic.navier_stokes.substeps"
        )

    def disturbance(self, segment: int) -> torch.Tensor:
        """Random vorticity of the large scales."""
        points, square = self.square.points, self.square.square
        white = torch.from_numpy(self.draws(segment).standard_normal((points, points))).to(square)
        state = self.square.coefficients(white) * ((square > 0) & (square <= LARGE**2))
        return state * DISTURBANCE / self.square.fields(state).std()

    def advance(self, states: torch.Tensor, time: torch.Tensor, interval: float) -> torch.Tensor:
        """Integrate over an interval (s), with `substeps` steps per frame; states are in the order of the segments."""
        frame = round(self.settings.step.total_seconds())
        first = [int(t) * self.flow.substeps // frame for t in time.tolist()]
        step = self.settings.step_hours / self.flow.unit_hours / self.flow.substeps
        for n in range(round(interval * self.flow.substeps / frame)):
            white = np.stack([self.white(segment, number + n) for segment, number in enumerate(first)])
            stirred = self.square.stirring(torch.from_numpy(white).to(self.device), step)
            states = self.square.step(states, step) + stirred
        return states

    def white(self, segment: int, number: int) -> np.ndarray:
        """White noise (8,) for a step, counted from 1 January 2000."""
        counter = [0, number + BEFORE, segment, STIRRING]
        return np.random.Generator(np.random.Philox(key=self.settings.seed, counter=counter)).standard_normal(8)

    def weather(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """The vorticity on the output grid, (…, H, W)."""
        return {"vorticity": self.square.fields(states, self.flow.points).to(torch.float32).cpu().numpy()}

    def states(self, weather: dict[str, np.ndarray]) -> torch.Tensor:
        """Fourier coefficients of the vorticity, without the waves that de-aliasing removes."""
        fields = torch.from_numpy(weather["vorticity"]).to(self.device, torch.float32)
        return _resized(self.square.coefficients(fields), self.square.points) * self.square.kept
