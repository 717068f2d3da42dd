"""Functions of latitude: a wind over the pole, and what is orthogonal to them."""

import numpy as np
import pytest
import torch

from hindsight.fields.grid import Grid
from hindsight.settings.train import LinearPrior
from hindsight.train import latitudes, linear_prior
from tests.train import helpers

WINDS = [(0, 1)]
CENTRES = Grid(-90 + 180 / 32 * (np.arange(32) + 0.5), np.arange(64) * 360 / 64)
POLES = Grid(np.linspace(-90, 90, 121), np.arange(240) * 1.5)
GRIDS = pytest.mark.parametrize("grid", [CENTRES, POLES], ids=["32 x 64", "121 x 240 with poles"])


def rotations(grid, axes):
    """Winds u, v (n, 2, H, W) of solid-body rotations about axes (n, 3): omega x r, eastward and northward."""
    latitude, longitude = np.deg2rad(np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    sine, cosine, zero = np.sin(longitude), np.cos(longitude), np.zeros_like(longitude)
    here = np.stack([np.cos(latitude) * cosine, np.cos(latitude) * sine, np.sin(latitude)])
    east = np.stack([-sine, cosine, zero])
    north = np.stack([-np.sin(latitude) * cosine, -np.sin(latitude) * sine, np.cos(latitude)])
    wind = np.cross(axes[:, :, None, None], here[None], axis=1)
    return np.stack([(wind * east).sum(1), (wind * north).sum(1)], 1)


def left(grid, fields, winds):
    """What the harmonics of all orders do not represent of fields (n, 2, H, W), weighted by area; as fields."""
    bases = latitudes.harmonic(grid, LinearPrior(basis="waves"))
    weighted = torch.as_tensor(fields * np.sqrt(grid.weights)).flatten(1)
    waves = torch.fft.rfft(weighted.unflatten(1, fields.shape[1:]), norm="ortho").permute(3, 1, 0, 2)
    waves = torch.stack([latitudes.to_spin(x, winds) if m else x for m, x in enumerate(waves[: len(bases)])])
    rest = waves.clone()
    for m, basis in enumerate(bases):
        for c in range(2):
            functions = basis.of(c, winds).to(waves.dtype)
            rest[m, c] -= waves[m, c] @ functions @ functions.mT
    return rest.abs().numpy() / np.sqrt(grid.weights[:, 0]) / np.sqrt(grid.shape[1])


AXES = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, -0.5, 0.8]])


@GRIDS
def test_solid_body_rotation_across_the_pole_is_represented_to_rounding(grid):
    """As scalars it is not: of the first order all harmonics are zero at a pole, where the wind is not."""
    fields = rotations(grid, AXES)
    assert left(grid, fields, WINDS).max() < 1e-12
    as_scalars = left(grid, fields, [])
    if grid is POLES:
        assert as_scalars[1, :, 0, [0, -1]].max() > 0.49  # all of the wave (amplitude 1, so 1 / 2)
    assert as_scalars.max() > 0.1


@GRIDS
def test_the_fitted_prior_reproduces_a_rotation_that_it_has_not_seen(grid):
    generator = np.random.default_rng(0)
    measure = np.sqrt(grid.weights)
    values = (rotations(grid, generator.standard_normal((40, 3))) * measure).astype("float32")
    settings = LinearPrior(basis="waves", coupled_modes=2)
    process = linear_prior.fit(helpers.Held(values, grid), settings, winds=WINDS)
    unseen = torch.as_tensor((rotations(grid, AXES) * measure).astype("float32")).flatten(1)
    found = process.modes.expand(process.modes.project(unseen))
    off = (found - unseen).view(4, 2, *grid.shape) / torch.as_tensor(measure)
    assert off.abs().max() < 3e-4 if grid is POLES else off.abs().max() < 2e-5


def test_functions_are_orthonormal_and_those_of_winds_are_smooth_together():
    """u + i v and u - i v of order m have as many functions as there are degrees, at least 1."""
    for m, basis in enumerate(latitudes.harmonic(CENTRES, LinearPrior(basis="waves", truncation=9))):
        assert basis.scalar.shape[1] == 10 - m and basis.plus.shape == basis.minus.shape == (32, 10 - max(m, 1))
        for functions in (basis.scalar, basis.plus, basis.minus):
            torch.testing.assert_close(functions.T @ functions, torch.eye(functions.shape[1], dtype=torch.float64))
        assert basis.of(0, WINDS) is basis.plus and basis.of(1, WINDS) is basis.minus
        assert basis.of(2, WINDS) is basis.scalar


def test_turning_winds_is_unitary_and_has_an_inverse():
    random = lambda seed: torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(seed))
    circles, winds = torch.complex(random(0), random(1)), [(0, 2)]
    turned = latitudes.to_spin(circles, winds)
    torch.testing.assert_close(turned.abs().square().sum(), circles.abs().square().sum())
    torch.testing.assert_close(latitudes.from_spin(turned, winds), circles)
    assert torch.equal(turned[1], circles[1])
    torch.testing.assert_close(turned[0] * 2**0.5, circles[0] + 1j * circles[2])
