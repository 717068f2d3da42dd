"""Spherical harmonics on any regular global grid.

A real field is f(lambda, mu) = sum over m, l of a_lm P_lm(mu) e^{i m lambda}, the P_lm orthonormal on the sphere,
l <= T; coefficients are complex, shaped (…, T + 1 orders m, T + 1 degrees l), and only m >= 0 is kept. The
Legendre functions are SciPy's, without the phase of Condon and Shortley; they can be
evaluated at any latitudes.
"""

import numpy as np
import torch
import torch.nn.functional as functional
from scipy.special import sph_legendre_p_all


class Harmonics:
    """Spherical harmonics of one truncation, tabulated at one set of latitudes.

    Args:
        latitude: degrees north (H,), in any order.
        width: points on a circle of latitude, W, evenly spaced; at least 2 T + 1.
        truncation: T.
        first: longitude of the first point (degrees east).
        dtype: type of real numbers.
    """

    def __init__(
        self,
        latitude: np.ndarray,
        width: int,
        truncation: int,
        first: float = 0.0,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
    ) -> None:
        if width < 2 * truncation + 1:
            raise ValueError(f"{width} points on a circle are too few for truncation {truncation}")
        self.truncation, self.width = truncation, width
        self.order = torch.arange(truncation + 1, dtype=dtype, device=device)
        self.degree = self.order
        sine = torch.as_tensor(np.sin(np.deg2rad(latitude)), dtype=torch.float64)
        extended = _legendre(truncation + 1, latitude)
        table = extended[: truncation + 1, : truncation + 1]
        self.sine = sine.to(device, dtype)
        self.table = table.to(device, dtype).contiguous()
        self.slope = _slope(extended).to(device, dtype).contiguous()  # (1 - mu^2) dP/dmu
        self._turn = torch.polar(torch.ones_like(self.order), self.order * np.deg2rad(first))

    def synthesis(self, coefficients: torch.Tensor, slope: bool = False) -> torch.Tensor:
        """Coefficients (…, T + 1, T + 1) to fields (…, H, W); with `slope`, to (1 - mu^2) df/dmu."""
        return self.rows(self.legendre(coefficients, self.slope if slope else self.table))

    def legendre(self, coefficients: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Sum over degrees: (…, m, l) to (…, m, H)."""
        parts = torch.einsum("...mlc,mlh->...mhc", torch.view_as_real(coefficients), table)
        return torch.view_as_complex(parts.contiguous())

    def rows(self, waves: torch.Tensor) -> torch.Tensor:
        """Sum over orders: (…, m, H) to fields (…, H, W)."""
        turned = (waves * self._turn[:, None]).mT
        return torch.fft.irfft(turned, n=self.width, norm="forward")

    def waves(self, fields: torch.Tensor) -> torch.Tensor:
        """Fourier coefficients of circles: fields (…, H, W) to (…, m, H)."""
        transformed = torch.fft.rfft(fields, norm="forward")[..., : self.truncation + 1]
        return transformed.mT * self._turn.conj()[:, None]

    def project(self, waves: torch.Tensor, table: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Integrate Fourier coefficients (…, m, H) against Legendre functions: (…, m, l).

        Args:
            waves: Fourier coefficients from `waves`.
            table: Legendre functions (m, l, H).
            weights: quadrature weights of the latitudes (H,), which sum to 2.
        """
        parts = torch.einsum("...mhc,mlh->...mlc", torch.view_as_real(waves), table * (2 * torch.pi * weights))
        return torch.view_as_complex(parts.contiguous())

    def eigenvalues(self) -> torch.Tensor:
        """Minus the eigenvalues of the Laplacian on the unit sphere, l (l + 1); (T + 1,)."""
        return self.degree * (self.degree + 1)


def _legendre(truncation: int, latitude: np.ndarray) -> torch.Tensor:
    """Orthonormal Legendre functions of all orders and degrees up to a truncation, (m, l, H); zero for m > l."""
    found = sph_legendre_p_all(truncation, truncation, np.pi / 2 - np.deg2rad(latitude))[0]  # (l, m, H); m < 0 last
    phase = (-1.0) ** np.arange(truncation + 1)
    return torch.as_tensor(np.moveaxis(found[:, : truncation + 1], 1, 0) * phase[:, None, None])


def _slope(table: torch.Tensor) -> torch.Tensor:
    """(1 - mu^2) dP_lm/dmu = (l + 1) e_lm P_{l-1,m} - l e_{l+1,m} P_{l+1,m}, for all degrees except the last."""
    count = len(table) - 1
    order = torch.arange(count, dtype=table.dtype)[:, None]
    degree = torch.arange(count + 1, dtype=table.dtype)[None]
    share = ((degree**2 - order**2).clamp(min=0) / (4 * degree**2 - 1)).clamp(min=0).sqrt()  # e_lm
    below = torch.nn.functional.pad(table[:count, : count - 1], (0, 0, 1, 0))
    above = table[:count, 1 : count + 1]
    l = degree[:, :count]  # noqa: E741
    return ((l + 1) * share[:, :count])[..., None] * below - (l * share[:, 1 : count + 1])[..., None] * above


def wind_functions(latitude: np.ndarray, truncation: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Functions of latitude of winds whose streamfunction or velocity potential is P_lm e^{i m lambda}.

    With colatitude theta, A = dP_lm/dtheta and B = m P_lm / sin(theta), streamfunctions make u = A, v = i B and
    potentials u = i B, v = -A. So u + i v is a multiple of A - B, and u - i v one of A + B: spin-weighted harmonics
    (Goldberg et al. 1967, doi:10.1063/1.1705135), which are smooth across a pole where u and v are not.

    Args:
        latitude: degrees north (H,).
        truncation: T.

    Returns:
        A - B and A + B, each (T + 1 orders m, T + 1 degrees l, H); zero for m > l and for l = 0.
    """
    table = _legendre(truncation + 1, latitude)[:, : truncation + 1]
    order, degree = (torch.arange(truncation + 1, dtype=table.dtype) for _ in range(2))
    m, l = order[:, None, None], degree[:, None]  # noqa: E741
    root = lambda square: square.clamp(min=0).sqrt()
    less = torch.cat([-table[1:2], table[:truncation]])  # of order m - 1; P_{l,-1} = -P_l1
    more = table[1 : truncation + 2]
    lower = lambda values: functional.pad(values[:, :-1], (0, 0, 1, 0))  # of degree l - 1
    slope = (root((l + m) * (l - m + 1)) * less - root((l - m) * (l + m + 1)) * more) / 2
    share = root((2 * l + 1) / (2 * l - 1).clamp(min=1)) / 2
    across = share * (root((l + m) * (l + m - 1)) * lower(less) + root((l - m) * (l - m - 1)) * lower(more))
    valid = (m <= l) & (l > 0)
    across = across * (m > 0)
    return torch.where(valid, slope - across, 0.0), torch.where(valid, slope + across, 0.0)


def gaussian(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian latitudes (degrees, south to north) and their weights, which sum to 2."""
    sine, weights = np.polynomial.legendre.leggauss(count)
    return np.rad2deg(np.arcsin(sine)), weights
