"""The quasi-geostrophic world: the model on its planet, with output on a regular latitude-longitude grid."""

import numpy as np
import torch

from hindsight.dynamics import planet
from hindsight.dynamics.integrate import runge_kutta_4
from hindsight.dynamics.quasi_geostrophic import LEVELS, RADIUS, Physics, QuasiGeostrophic, grid
from hindsight.dynamics.world import World
from hindsight.harmonics import Harmonics
from hindsight.settings.download import Synthetic
from hindsight.settings.units import GRAVITY

MEAN = {200: 1.158e5, 500: 5.49e4, 850: 1.43e4}  # global mean geopotential of the levels (m2 s-2)
DISTURBANCE = 1e5  # scale of the streamfunction coefficients at the start of the spin-up (m2 s-1)


class QuasiGeostrophicWorld(World):
    """A simulation of the quasi-geostrophic model."""

    variables = {  # WeatherBench 2's names
        "geopotential": ("geopotential", "m2 s-2"),
        "u_component_of_wind": ("eastward_wind", "m s-1"),
        "v_component_of_wind": ("northward_wind", "m s-1"),
    }
    fixed = {
        "land_sea_mask": ("land_binary_mask", "1"),
        "geopotential_at_surface": ("surface_geopotential", "m2 s-2"),
    }
    title = "hindsight's built-in world (synthetic)"
    equations = "quasi-geostrophic flow of Marshall and Molteni (1993) on an Earth-like planet"

    def __init__(self, settings: Synthetic, physics: Physics | None = None) -> None:
        super().__init__(settings)
        truncation, self.levels = settings.truncation, list[int](settings.levels)
        self.step = settings.step_minutes * 60.0
        self.model = build(truncation, physics, self.device)
        width = 2 * settings.latitudes
        self.latitude = -90 + 180 / settings.latitudes * (np.arange(settings.latitudes) + 0.5)
        self.longitude = np.arange(width) * 360 / width
        self.output_harmonics = Harmonics(self.latitude, width, truncation, device=self.device)
        self.instability_advice = (
            f"at truncation {truncation} with steps of {settings.step_minutes:g} minutes; "
            "lower download.synthetic.step_minutes"
        )

    def static(self) -> dict[str, np.ndarray]:
        """Land fraction and surface geopotential (m2 s-2) on the output grid, (H, W)."""
        places = np.meshgrid(self.latitude, self.longitude, indexing="ij")
        height = planet.orography(*places)
        return {"land_sea_mask": planet.land(*places), "geopotential_at_surface": GRAVITY * height}

    def disturbance(self, segment: int) -> torch.Tensor:
        """Random waves of all scales in a fluid at rest; a function of the seed and the number of the segment."""
        count = self.settings.truncation + 1
        white = torch.from_numpy(self.draws(segment).standard_normal((2, 3, count, count)))
        waves = torch.complex(white[0], white[1]).triu() * DISTURBANCE
        waves[:, 0] = waves[:, 0].real + 0j
        waves[:, 0, 0] = 0
        return self.model.vorticity(waves.to(self.device))

    def advance(self, states: torch.Tensor, time: torch.Tensor, interval: float) -> torch.Tensor:
        """Integrate from `time` (S,) over an interval (s)."""
        steps = round(interval / self.step)
        for k in range(steps):
            states = runge_kutta_4(self.model.tendency, states, time + k * interval / steps, interval / steps)
        return states

    def weather(self, states: torch.Tensor) -> dict[str, np.ndarray]:
        """Variables of WeatherBench 2 on the output grid, float32, (…, level, H, W)."""
        chosen = [LEVELS.index(level) for level in self.levels]
        psi = self.model.streamfunction(states)[..., chosen, :, :]
        cosine = torch.as_tensor(np.cos(np.deg2rad(self.latitude)), device=self.device)[:, None]
        mean = torch.tensor([MEAN[level] for level in self.levels], dtype=torch.float64, device=self.device)
        east = psi * (1j / RADIUS * self.output_harmonics.order[:, None])
        fields = {
            "geopotential": self.output_harmonics.synthesis(self.model.geopotential(psi)) + mean[:, None, None],
            "u_component_of_wind": -self.output_harmonics.synthesis(psi, slope=True) / (RADIUS * cosine),
            "v_component_of_wind": self.output_harmonics.synthesis(east) / cosine,
        }
        return {name: values.to(torch.float32).cpu().numpy() for name, values in fields.items()}


def build(truncation: int, physics: Physics | None = None, device: str | torch.device = "cpu") -> QuasiGeostrophic:
    """The model with the planet's land, mountains and seasons."""
    latitude, weights, width = grid(truncation)
    places = np.meshgrid(latitude, np.arange(width) * 360 / width, indexing="ij")
    harmonics = Harmonics(latitude, width, truncation, device=device)
    seasons = planet.Seasons(harmonics, torch.as_tensor(weights, device=device))
    return QuasiGeostrophic(
        truncation, planet.orography(*places), planet.land(*places), seasons, physics, device=device
    )
