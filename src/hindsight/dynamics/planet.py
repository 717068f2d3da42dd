"""The built-in planet: rough continents and mountains of the Earth, and radiative forcing through the year.

Land and mountains are sums of smooth ellipses, so that they exist at any resolution and need no file.
"""

import numpy as np
import torch

from hindsight.dynamics.quasi_geostrophic import DAY, RADIUS, ROTATION
from hindsight.harmonics import Harmonics

YEAR = 365.2425 * DAY  # s
COLDEST = 15.0  # days from 1 January to the middle of the northern winter

LAND = (  # longitude, latitude, half-widths to the east and north (degrees of arc), then turned anticlockwise (degrees)
    (-103, 45, 19, 13, 0),  # North America
    (-108, 62, 24, 9, 0),
    (-150, 65, 8, 5, 0),
    (-72, 52, 10, 9, 0),
    (-101, 23, 9, 5, -40),
    (-86, 14, 7, 2.5, -30),
    (-41, 72, 9, 12, 0),  # Greenland
    (-60, -8, 17, 14, 0),  # South America
    (-65, -30, 8, 16, 0),
    (-70, -45, 4, 10, 0),
    (8, 18, 24, 15, 0),  # Africa
    (24, -12, 14, 22, 0),
    (42, 8, 7, 6, 0),
    (47, -19, 2.5, 6, 10),
    (47, 24, 10, 9, -30),  # Arabia
    (-4, 40, 5, 4, 0),  # Europe
    (15, 50, 15, 6, 0),
    (20, 64, 10, 7, 45),
    (45, 55, 20, 12, 0),
    (70, 62, 25, 10, 0),  # Asia
    (115, 62, 28, 11, 0),
    (160, 66, 14, 5, 0),
    (85, 42, 28, 12, 0),
    (112, 35, 12, 13, 0),
    (55, 33, 12, 7, 0),
    (78, 21, 7, 12, 0),
    (102, 18, 6, 9, 0),
    (102, 1, 4, 5, 45),
    (114, 1, 5, 5, 0),
    (140, -5, 9, 3, -15),
    (138, 37, 3, 8, -35),
    (134, -25, 18, 11, 0),  # Australia
    (172, -42, 2.5, 6, -30),
    (90, -90, 20, 20, 0),  # Antarctica
    (0, -85, 18, 16, 0),
)
MOUNTAINS = (  # the same, then the height (m)
    (-112, 43, 7, 17, 20, 2300),  # Rocky Mountains
    (-130, 60, 6, 9, 30, 1200),
    (-40, 73, 7, 11, 0, 2800),  # Greenland
    (-69, -20, 4, 20, 0, 3400),  # Andes
    (-72, -42, 3, 9, 0, 1300),
    (90, 33, 14, 6, 0, 5200),  # Tibet
    (72, 38, 6, 5, 0, 2600),
    (98, 48, 13, 6, 0, 1700),
    (130, 62, 14, 8, 0, 900),
    (53, 33, 9, 6, -20, 1300),
    (38, 6, 6, 11, 0, 1500),  # East Africa
    (26, -25, 8, 9, 0, 1300),
    (10, 46, 6, 3, 0, 900),  # Alps
    (13, 64, 4, 7, 45, 800),
    (80, -82, 26, 14, 0, 3300),  # Antarctica
)


def _inside(latitude: np.ndarray, longitude: np.ndarray, ellipse: tuple) -> np.ndarray:
    """How far each point lies inside an ellipse: 1 at the centre, 0 on the edge, negative outside."""
    east, north, along, across, turned = ellipse[:5]
    here, there, gap = np.deg2rad(latitude), np.deg2rad(north), np.deg2rad(longitude - east)
    cosine = np.sin(here) * np.sin(there) + np.cos(here) * np.cos(there) * np.cos(gap)
    arc = np.rad2deg(np.arccos(cosine.clip(-1, 1)))
    heading = np.arctan2(
        np.cos(here) * np.sin(gap), np.cos(there) * np.sin(here) - np.sin(there) * np.cos(here) * np.cos(gap)
    )
    x, y, a = arc * np.sin(heading), arc * np.cos(heading), np.deg2rad(turned)
    return 1 - np.hypot((x * np.cos(a) + y * np.sin(a)) / along, (y * np.cos(a) - x * np.sin(a)) / across)


def land(latitude: np.ndarray, longitude: np.ndarray, shore: float = 2.5) -> np.ndarray:
    """Land fraction, 0 to 1.

    Args:
        latitude: degrees north, any shape.
        longitude: degrees east, the same shape.
        shore: width of the transition from land to sea (degrees of arc).
    """
    sea = np.ones(np.shape(latitude))
    for ellipse in LAND:
        distance = _inside(latitude, longitude, ellipse) * min(ellipse[2:4])
        sea = sea / (1 + np.exp(np.clip(4 * distance / shore, -50, 50)))
    return 1 - sea


def orography(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Height of the surface (m): mountains on a plain of 200 m, 0 over the sea."""
    height = 200 * np.ones(np.shape(latitude))
    for ellipse in MOUNTAINS:
        out = 1 - _inside(latitude, longitude, ellipse)
        height += ellipse[5] * np.exp(-(out**2))
    return height * land(latitude, longitude)


class Seasons:
    """Radiative equilibrium of the streamfunction differences between the levels, through the year.

    Its zonal means balance westerlies in the middle latitudes, stronger in winter; in addition land is colder than the
    sea in winter and warmer in summer.

    Args:
        harmonics: spherical harmonics of the model.
        weights: quadrature weights of its latitudes.
        shear: westerly wind at 200 minus that at 500 hPa, and at 500 minus 850 hPa, where it is largest (m s-1).
        seasonal_amplitude: of the seasonal cycle of the shear, relative to the shear.
        contrast: seasonal amplitude of the layer-mean temperature of the sea minus that of land (K), which is
            multiplied by sin^2(latitude).
    """

    def __init__(
        self,
        harmonics: Harmonics,
        weights: torch.Tensor,
        shear: tuple[float, float] = (26.0, 17.0),
        seasonal_amplitude: float = 0.3,
        contrast: float = 30.0,
    ) -> None:
        parts = self._zonal(harmonics, shear, seasonal_amplitude), self._land_contrast(harmonics, contrast)
        self._mean, self._seasonal = (
            harmonics.project(harmonics.waves(zonal + asymmetric), harmonics.table, weights)
            for zonal, asymmetric in zip(*parts)
        )

    def __call__(self, time: torch.Tensor) -> torch.Tensor:
        """The equilibrium at times (…,), seconds from a 1 January: (…, 2, T + 1, T + 1), m2 s-1."""
        phase = 2 * torch.pi * (time / YEAR - COLDEST / 365.2425)
        return self._mean + self._seasonal * torch.cos(phase)[..., None, None, None]

    @staticmethod
    def _zonal(
        harmonics: Harmonics, shear: tuple[float, float], seasonal_amplitude: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Streamfunctions of the sheared zonal wind, (2, H, W): the annual mean and the northern winter's excess."""
        angle = np.linspace(-np.pi / 2, np.pi / 2, 2001)
        profile = np.cos(angle) ** 5 * np.sin(angle) ** 2 * 8.1  # largest value: 1, at latitude 32
        here = np.arcsin(harmonics.sine.double().cpu().numpy())

        def balanced(wind: np.ndarray) -> torch.Tensor:
            total = -RADIUS * np.concatenate([[0], np.cumsum((wind[1:] + wind[:-1]) / 2 * np.diff(angle))])
            line = torch.as_tensor(np.interp(here, angle, total - total.mean()), dtype=harmonics.sine.dtype)
            return torch.stack([line * amount for amount in shear])[..., None].expand(-1, -1, harmonics.width)

        device = harmonics.sine.device
        return balanced(profile).to(device), balanced(profile * seasonal_amplitude * np.tanh(3 * angle)).to(device)

    @staticmethod
    def _land_contrast(harmonics: Harmonics, contrast: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Streamfunctions of land colder than the sea, (2, H, W): the annual mean and the northern winter's excess."""
        latitude = np.rad2deg(np.arcsin(harmonics.sine.double().cpu().numpy()))
        longitude = np.arange(harmonics.width) * 360 / harmonics.width
        places = np.meshgrid(latitude, longitude, indexing="ij")
        share = land(*places)
        share = (share - share.mean(1, keepdims=True)) * np.sin(np.deg2rad(places[0])) ** 2
        thickness = np.array([287 * np.log(500 / 200), 287 * np.log(850 / 500)])[:, None, None]  # m2 s-2 K-1
        colder = -contrast * thickness * share / (2 * ROTATION * np.sin(np.pi / 4))
        # psi = phi / f: cold air has low psi in the north and high psi in the south, where the seasons are reversed,
        # so that the northern winter's excess has one sign everywhere; in the annual mean land is colder, too, by a
        # quarter of that
        mean, winter = 0.25 * np.sign(places[0]) * colder, colder
        as_tensor = lambda part: torch.as_tensor(part, dtype=harmonics.sine.dtype).to(harmonics.sine.device)
        return as_tensor(mean), as_tensor(winter)
