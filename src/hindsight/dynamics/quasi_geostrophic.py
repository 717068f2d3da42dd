"""Three-level quasi-geostrophic flow on the sphere (Marshall and Molteni 1993).

doi:10.1175/1520-0469(1993)050<1792:TADUOP>2.0.CO;2.

Potential vorticity on the levels 1 (200 hPa), 2 (500 hPa) and 3 (850 hPa; 800 hPa in the paper),

    q_1 = lap psi_1 - (psi_1 - psi_2) / R_1^2 + f
    q_2 = lap psi_2 + (psi_1 - psi_2) / R_1^2 - (psi_2 - psi_3) / R_2^2 + f
    q_3 = lap psi_3 + (psi_2 - psi_3) / R_2^2 + f (1 + h / H),

is advected by the flow, relaxed towards prescribed differences between the levels (radiation), slowed at the lowest
level (friction, stronger over land and mountains) and smoothed at the smallest scales (hyperdiffusion):

    dq/dt = -div(u q) - D(psi),

with u the wind, and D radiation, friction and hyperdiffusion together.

The state is q without f and mountains, as coefficients (…, 3, T + 1, T + 1) of `Harmonics`. Products are
computed on a Gaussian grid fine enough for exact quadratic terms, so that without forcing and friction only errors of
the time step change energy and potential enstrophy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from hindsight.harmonics import Harmonics, gaussian

RADIUS = 6.371e6  # m
ROTATION = 7.292e-5  # s-1
DAY = 86400.0
LEVELS = (200, 500, 850)  # hPa


@dataclass(frozen=True)
class Physics:
    """Parameters of the model; the defaults are those of the paper."""

    deformation_radii: tuple[float, float] = (7.0e5, 4.5e5)  # R_1, R_2 (m)
    scale_height: float = 9.0e3  # H (m)
    radiation_days: float = 25.0
    friction_days: float = 3.0
    smoothing_days: float = 2.0  # at the smallest scale
    smoothing_order: int = 4  # of the Laplacian


# radiative equilibrium: time (…,) in seconds -> psi_1 - psi_2 and psi_2 - psi_3
Equilibrium = Callable[[torch.Tensor], torch.Tensor]


class QuasiGeostrophic:
    """The equations for one planet.

    Args:
        truncation: T.
        orography: height of the surface on the Gaussian grid (H, W), m; none: flat.
        land: land fraction on the same grid, for the friction; none: ocean.
        equilibrium: radiative equilibrium (2, T + 1, T + 1) at a time; none: no radiation, friction or smoothing.
        physics: parameters.
        dtype: type of real numbers.
        device: device of all tensors.
    """

    def __init__(
        self,
        truncation: int = 21,
        orography: np.ndarray | None = None,
        land: np.ndarray | None = None,
        equilibrium: Equilibrium | None = None,
        physics: Physics | None = None,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
    ) -> None:
        latitude, weights, width = grid(truncation)
        self.harmonics = Harmonics(latitude, width, truncation, dtype=dtype, device=device)
        self.weights = torch.as_tensor(weights, dtype=dtype, device=device)
        self.physics, self.equilibrium = physics or Physics(), equilibrium
        self._psi_to_q = self._stretching()
        self._q_to_psi = torch.linalg.pinv(self._psi_to_q.double(), hermitian=True).to(dtype)
        self._smoothing = self._hyperdiffusion()
        flat = np.zeros((len(latitude), width))
        height = torch.as_tensor(flat if orography is None else orography, dtype=dtype, device=device)
        self.planetary = self._planetary(height)
        self._drag = self._friction(height, torch.as_tensor(flat if land is None else land, dtype=dtype, device=device))
        self._to_grid, self._from_grid = self._transforms()
        self._linear = torch.cat([self._q_to_psi, self._relaxation()], 1)

    def vorticity(self, streamfunction: torch.Tensor) -> torch.Tensor:
        """The state q of a streamfunction (…, 3, T + 1, T + 1), m2 s-1."""
        return torch.einsum("lij,...jml->...iml", self._complex(self._psi_to_q), streamfunction)

    def streamfunction(self, state: torch.Tensor) -> torch.Tensor:
        """The streamfunction psi of a state q; its mean over the sphere and the levels is zero."""
        return torch.einsum("lij,...jml->...iml", self._complex(self._q_to_psi), state)

    def tendency(self, state: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """dq/dt (…, 3, T + 1, T + 1), s-2, at times (…,), seconds.

        Written for few operations, since many small ones are slow: real numbers replace complex ones, and matrix
        products replace Fourier transforms and include the derivatives with respect to longitude.
        """
        parts = torch.view_as_real(state).reshape(-1, *state.shape[-3:], 2)  # (S, 3, m, l, 2)
        count, levels, orders = parts.shape[:3]
        by_degree = parts.permute(3, 1, 0, 2, 4).flatten(2)  # (l, 3, S m 2)
        psi, relaxed = (self._linear @ by_degree).unflatten(2, (count, orders, 2)).split(levels, 1)
        total = parts + torch.view_as_real(self.planetary)
        change = self._advection(psi.permute(3, 0, 2, 1, 4).flatten(2), total.permute(2, 3, 0, 1, 4).flatten(2))
        change = change.unflatten(2, (count, levels, 2)).permute(2, 3, 0, 1, 4)
        if self.equilibrium:
            change = change + relaxed.permute(2, 1, 3, 0, 4)
        change = torch.view_as_complex(change.contiguous()).view(state.shape)
        return change + self._heating(self.equilibrium(time)) if self.equilibrium else change

    def _advection(self, psi: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        """Minus the divergence of the fluxes of q (f and mountains included) and of friction; all (m, l, S 3 2)."""
        slope, table, waves = self._to_grid
        three = torch.stack([slope @ psi, table @ psi, table @ q])  # (3, m, H, S 3 2)
        rows = three.unflatten(3, (-1, 3, 2)).permute(0, 3, 4, 2, 1, 5)  # (3, S, 3, H, m, 2)
        fields = rows.flatten(1, 3).flatten(2) @ waves
        u, v, q = fields.unflatten(1, rows.shape[1:4])  # the winds times cos(latitude)
        friction = self._drag if self.equilibrium else torch.zeros_like(self._drag)
        along = torch.addcmul(u * q, friction, v)
        across = torch.addcmul(v * q, friction, u, value=-1)
        circles, project = self._from_grid
        found = torch.stack([along, across]).flatten(1, 3) @ circles
        found = found.unflatten(2, (-1, 2)).unflatten(1, u.shape[:3])  # (2, S, 3, H, m, 2)
        return project @ found.permute(4, 0, 3, 1, 2, 5).flatten(1, 2).flatten(2)

    def _heating(self, equilibrium: torch.Tensor) -> torch.Tensor:
        """The part of radiation that depends on its equilibrium (…, 2, T + 1, T + 1)."""
        first, second = self._radiation()
        upper, lower = first * equilibrium[..., 0, :, :], second * equilibrium[..., 1, :, :]
        return torch.stack([-upper, upper - lower, lower], -3)

    def geopotential(self, psi: torch.Tensor) -> torch.Tensor:
        """Geopotential in linear balance with a streamfunction, lap phi = div(f grad psi), m2 s-2; coefficients.

        The balance does not determine its mean over the sphere, which is zero here.
        """
        coriolis = 2 * ROTATION * self.harmonics.sine[:, None]
        east = self.harmonics.synthesis(psi * (1j / RADIUS * self.harmonics.order[:, None]))
        north = self.harmonics.synthesis(psi, slope=True) / RADIUS
        laplacian = -self.harmonics.eigenvalues().clamp(min=1) / RADIUS**2
        return self._divergence(coriolis * east, coriolis * north) / laplacian

    def energy(self, state: torch.Tensor) -> torch.Tensor:
        """Mean kinetic and available potential energy of the three levels together, (…), m2 s-2."""
        product = -(self.streamfunction(state).conj() * state).real
        return self._mean(product) / 2

    def enstrophy(self, state: torch.Tensor) -> torch.Tensor:
        """Half the mean square of potential vorticity, f and mountains included, of each level, (…, 3), s-2."""
        total = state + self.planetary
        return self._mean((total.conj() * total).real, levels=False) / 2

    def _divergence(self, along: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
        """Coefficients of the divergence of a flux, given times cos(latitude); integrated by parts."""
        waves, scale = self.harmonics.waves(torch.stack([along, across])), RADIUS * (1 - self.harmonics.sine**2)
        east = self.harmonics.project(waves[0], self.harmonics.table / scale, self.weights)
        north = self.harmonics.project(waves[1], self.harmonics.slope / scale, self.weights)
        return 1j * self.harmonics.order[:, None] * east - north

    def _radiation(self) -> tuple[float, float]:
        """Rates of the relaxation of the levels' differences, in potential vorticity (s-1 m-2)."""
        rate = 1 / (self.physics.radiation_days * DAY)
        first, second = self.physics.deformation_radii
        return rate / first**2, rate / second**2

    def _relaxation(self) -> torch.Tensor:
        """Linear tendency from radiation towards zero difference and from smoothing, for each degree; (T + 1, 3, 3)."""
        first, second = self._radiation()
        differences = [[first, -first, 0], [-first, first + second, -second], [0, -second, second]]
        table = torch.tensor(differences, dtype=self.weights.dtype, device=self.weights.device)
        eye = torch.eye(3, dtype=table.dtype, device=table.device)
        return table @ self._q_to_psi - self._smoothing[:, None, None] * eye

    def _transforms(self) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Matrices from coefficients to the grid, and from fluxes on it to minus their divergence.

        To the grid: from degrees to latitudes (m, H, l) for u cos(latitude) and for the others; from real and imaginary
        parts of the orders to the points of a circle, (3, 2 m, W), for u cos(latitude), v cos(latitude) and potential
        vorticity. Back: from the points to the orders, (2, W, 2 m), with the derivative for the flux along the circle;
        from latitudes to degrees (m, l, 2 H), for fluxes along and across.
        """
        harmonics = self.harmonics
        order = harmonics.order
        angle = torch.outer(order, torch.arange(harmonics.width, dtype=order.dtype, device=order.device))
        angle = angle * (2 * torch.pi / harmonics.width)
        twice = torch.where(order > 0, 2.0, 1.0).to(order.dtype)[:, None]
        real, imaginary = twice * angle.cos(), -twice * angle.sin()
        turned = order[:, None] / RADIUS
        plain, east = torch.stack([real, imaginary], 1), torch.stack([imaginary * turned, -real * turned], 1)
        to_grid = torch.stack([plain, east, plain]).flatten(1, 2)
        cosine, sine = angle.cos() / harmonics.width, -angle.sin() / harmonics.width
        straight = torch.stack([cosine, sine], 1).flatten(0, 1).mT
        along = torch.stack([-order[:, None] * sine, order[:, None] * cosine], 1).flatten(0, 1).mT
        scale = 2 * torch.pi * self.weights / (RADIUS * (1 - harmonics.sine**2))
        project = torch.cat([-harmonics.table * scale, harmonics.slope * scale], 2)
        tables = (-harmonics.slope.mT / RADIUS).contiguous(), harmonics.table.mT.contiguous(), to_grid.contiguous()
        return tables, (torch.stack([along, straight]).contiguous(), project.contiguous())

    def _stretching(self) -> torch.Tensor:
        """The matrix from psi to q, for every degree; (T + 1, 3, 3)."""
        first, second = (1 / radius**2 for radius in self.physics.deformation_radii)
        between = [[-first, first, 0], [first, -first - second, second], [0, second, -second]]
        table = torch.tensor(between, dtype=self.weights.dtype, device=self.weights.device)
        laplacian = -self.harmonics.eigenvalues() / RADIUS**2
        return table + laplacian[:, None, None] * torch.eye(3, dtype=table.dtype, device=table.device)

    def _hyperdiffusion(self) -> torch.Tensor:
        eigenvalues = self.harmonics.eigenvalues()
        return (eigenvalues / eigenvalues[-1]) ** self.physics.smoothing_order / (self.physics.smoothing_days * DAY)

    def _planetary(self, height: torch.Tensor) -> torch.Tensor:
        """Coefficients of f, and on the lowest level of f (1 + h / H); (3, T + 1, T + 1)."""
        coriolis = 2 * ROTATION * self.harmonics.sine[:, None].expand(height.shape)
        fields = torch.stack([coriolis, coriolis, coriolis * (1 + height / self.physics.scale_height)])
        return self.harmonics.project(self.harmonics.waves(fields), self.harmonics.table, self.weights)

    def _friction(self, height: torch.Tensor, land: torch.Tensor) -> torch.Tensor:
        """Rate of the friction, s-1, on the lowest level alone; (3, H, W)."""
        rough = 1 + 0.5 * land + 0.5 * (1 - torch.exp(-height / 1000))
        rate = rough / (self.physics.friction_days * DAY)
        return torch.stack([torch.zeros_like(rate), torch.zeros_like(rate), rate])

    def _mean(self, power: torch.Tensor, levels: bool = True) -> torch.Tensor:
        """Mean over the sphere, from products of coefficients, summed over the levels if `levels`.

        Orders above 0 count twice, as they stand for the negative orders too.
        """
        twice = torch.where(self.harmonics.order > 0, 2.0, 1.0)[:, None]
        total = (power * twice).sum((-2, -1)) / (4 * torch.pi)
        return total.sum(-1) if levels else total

    def _complex(self, matrix: torch.Tensor) -> torch.Tensor:
        return torch.complex(matrix, torch.zeros_like(matrix))


def grid(truncation: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Gaussian latitudes, their weights and the number of longitudes, for exact quadratic terms."""
    rows = -(-(3 * truncation + 1) // 2)
    rows += rows % 2
    latitude, weights = gaussian(rows)
    return latitude, weights, 2 * rows
