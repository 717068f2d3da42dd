"""Showers that move over a doubly periodic square, grow and decay.

A Gaussian field g of mean 0 and variance 1 is carried with a constant velocity c, while each of its waves is a
first-order autoregressive process, as in the cascade of STEPS (Bowler et al. 2006, doi:10.1256/qj.04.100):

    g_k(t + dt) = exp(-i k.c dt) (r_k g_k(t) + (1 - r_k^2)^(1/2) s_k w),      r_k = exp(-dt / T_k),

with the spectrum s_k^2 flat up to the wavenumber of `outer_km` and falling with the power -slope beyond, and lifetimes
T_k that rise with a power of the wavelength. This is exact for any dt. It rains where g exceeds the number z that
a share `wet` of normal numbers exceeds, at the rate

    R = median (exp(tail (g - z)) - 1) / (exp(tail (h - z)) - 1),      h: exceeded by half of the wet numbers.
"""

import numpy as np
import torch
from scipy.stats import norm

from hindsight.dynamics.world import World
from hindsight.fields.grid import EARTH_RADIUS
from hindsight.settings.download import Rain, Synthetic

GROWTH = 1  # in the counter of the random numbers of growth and decay; 0 in that of the first state
BEFORE = 2**40  # added to the number of a minute, so that it is positive before 1 January 2000
DEGREE = EARTH_RADIUS * np.pi / 180  # km


class Showers:
    """The equations: states are Fourier coefficients (…, N, N // 2 + 1) of the Gaussian field g, x on the last axis."""

    def __init__(self, settings: Rain, like: torch.Tensor) -> None:
        self.settings, points = settings, settings.points
        waves = torch.fft.fftfreq(points, 1 / points, dtype=like.dtype, device=like.device)
        side = points * settings.spacing_km
        self.k, self.m = waves[: points // 2 + 1].abs() / side, waves[:, None] / side  # per km
        size = torch.sqrt(self.k**2 + self.m**2)
        outer = 1 / settings.outer_km
        inside = (self.k * side < points / 2) & (self.m.abs() * side < points / 2)  # without the Nyquist waves
        falling = (size.clamp(min=outer) / outer) ** -settings.slope
        self.scale = torch.sqrt(falling * inside * (size > 0))
        self.scale = self.scale / self.field_variance(self.scale).sqrt()
        self.lifetime = settings.lifetime_minutes * 60 * (size.clamp(min=outer) / outer) ** -settings.lifetime_power
        self.dry = float(norm.isf(settings.wet))
        self.middle = float(norm.isf(settings.wet / 2))

    def field_variance(self, scale: torch.Tensor) -> torch.Tensor:
        """Variance at a point of a field whose coefficients are `scale` times those of white noise."""
        both = torch.full_like(self.k, 2.0)  # half of the waves along x are not stored
        both[0] = 1.0
        both[-1] = 1.0 if self.settings.points % 2 == 0 else 2.0
        return (scale**2 * both).sum() / self.settings.points**2

    def coefficients(self, white: torch.Tensor) -> torch.Tensor:
        """Coefficients of a field of the right spectrum, from white noise (…, N, N)."""
        return torch.fft.rfft2(white) * self.scale

    def field(self, states: torch.Tensor) -> torch.Tensor:
        """The Gaussian field g, (…, N, N)."""
        return torch.fft.irfft2(states, s=(self.settings.points,) * 2)

    def moved(self, states: torch.Tensor, interval: float) -> torch.Tensor:
        """States carried along for an interval (s), without growth and decay."""
        east, north = (speed * interval / 1000 for speed in (self.settings.eastward, self.settings.northward))
        return states * torch.exp(-2j * torch.pi * (self.k * east + self.m * north))

    def step(self, states: torch.Tensor, white: torch.Tensor, interval: float) -> torch.Tensor:
        """States after an interval (s), from white noise (…, N, N)."""
        kept = torch.exp(-interval / self.lifetime)
        return self.moved(kept * states + torch.sqrt(1 - kept**2) * self.coefficients(white), interval)

    def rate(self, field: torch.Tensor) -> torch.Tensor:
        """The rain rate (mm/h) of a Gaussian field."""
        tail = self.settings.tail
        unit = self.settings.median / np.expm1(tail * (self.middle - self.dry))
        return unit * torch.expm1(tail * (field - self.dry).clamp(min=0))


class RainWorld(World):
    """The showers as a world: a plane at 0 N 0 E, x eastward and y northward, a degree for every `DEGREE` km.

    States are in double precision. They need no spin-up: the first one is already typical.
    """

    levels: list[int] = []
    variables = {"rain_rate": ("rainfall_rate", "mm h-1")}
    fixed: dict[str, tuple[str, str]] = {}
    title = "Showers on a doubly periodic square (synthetic)"
    equations = "a normal field that moves with a constant velocity, grows and decays, cut and stretched to a rain rate"
    instability_advice = "although its equations are stable; lower download.synthetic.rain.tail"

    def __init__(self, settings: Synthetic) -> None:
        super().__init__(settings)
        self.chosen = settings.rain
        self.showers = Showers(self.chosen, torch.zeros((), dtype=torch.float64, device=self.device))
        along = (np.arange(self.chosen.points) + 0.5 - self.chosen.points / 2) * self.chosen.spacing_km
        self.latitude = self.longitude = along / DEGREE

    def disturbance(self, segment: int) -> torch.Tensor:
        """A state of the right spectrum."""
        return self.showers.coefficients(self._white(self.draws(segment)))

    def advance(self, states: torch.Tensor, time: torch.Tensor, interval: float) -> torch.Tensor:
        """Move, grow and decay over an interval (s), in one step; states are in the order of the segments."""
        minutes = [int(t) // 60 for t in time.tolist()]
        white = torch.stack([self._white(self.noise(segment, minute)) for segment, minute in enumerate(minutes)])
        return self.showers.step(states, white, interval)

    def noise(self, segment: int, minute: int) -> np.random.Generator:
        """Random numbers of a step that begins at a minute, counted from 1 January 2000."""
        counter = [0, minute + BEFORE, segment, GROWTH]
        return np.random.Generator(np.random.Philox(key=self.settings.seed, counter=counter))

    def weather(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """The rain rate, (…, H, W)."""
        return {"rain_rate": self.showers.rate(self.showers.field(states)).to(torch.float32).cpu().numpy()}

    def _white(self, generator: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(generator.standard_normal((self.chosen.points,) * 2)).to(self.device)
