"""Padding by the edges of the domain."""

import pytest
import torch
import torch.nn.functional as functional

from hindsight.backbones.padding import Poles, pad

X = torch.arange(12.0).view(1, 1, 3, 4)


def test_an_open_edge_is_zero_or_repeats():
    assert pad(X, 1, 0, 0, 0, ("open", "open"))[0, 0, 0].tolist() == [0, 0, 0, 0]
    assert pad(X, 0, 1, 0, 0, ("open", "open"), "replicate")[0, 0, -1].tolist() == [8, 9, 10, 11]


def test_longitudes_are_periodic():
    assert pad(X, 0, 0, 1, 2, ("open", "periodic"))[0, 0, 0].tolist() == [3, 0, 1, 2, 3, 0, 1]


def test_rows_beyond_the_pole_come_from_the_other_side():
    found = pad(X, 2, 1, 0, 0, ("pole", "periodic"))[0, 0]
    assert found[1].tolist() == [2, 3, 0, 1]  # the first row, half-way round
    assert found[0].tolist() == [6, 7, 4, 5]
    assert found[-1].tolist() == [10, 11, 8, 9]


def test_corners_beyond_the_pole_lie_half_way_round_too():
    """Every point of the padded field has the value of its latitude and longitude: over the pole, then round."""
    x = torch.randn(1, 1, 5, 6)
    found = pad(x, 2, 1, 2, 3, ("pole", "periodic"))[0, 0]
    for row in range(-2, 6):
        for column in range(-2, 9):
            over = row < 0 or row > 4
            there = -1 - row if row < 0 else 9 - row if row > 4 else row
            assert found[row + 2, column + 2] == x[0, 0, there, (column + 3 * over) % 6]


def test_on_a_torus_both_axes_are_periodic():
    found = pad(X, 1, 2, 2, 1, ("periodic", "periodic"))[0, 0]
    for row in range(-1, 5):
        for column in range(-2, 5):
            assert found[row + 1, column + 2] == X[0, 0, row % 3, column % 4]


def test_on_a_torus_a_convolution_is_a_product_of_spectra():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 6, 8, dtype=torch.float64, generator=generator)
    weight = torch.randn(1, 1, 3, 3, dtype=torch.float64, generator=generator)
    convolve = lambda x: functional.conv2d(pad(x, 1, 1, 1, 1, ("periodic", "periodic")), weight)
    kernel = functional.pad(weight, (0, 5, 0, 3)).roll((-1, -1), (-2, -1))  # its middle at the origin
    product = torch.fft.fft2(x) * torch.fft.fft2(kernel).conj()
    torch.testing.assert_close(convolve(x), torch.fft.ifft2(product).real)
    for turn in ((1, 0), (0, 3), (4, 5)):
        torch.testing.assert_close(convolve(x.roll(turn, (-2, -1))), convolve(x).roll(turn, (-2, -1)))


def vector(latitude, width):
    """u, v and a scalar of a solid-body rotation about a horizontal axis and a plane wave, which go on past a pole."""
    lat, lon = torch.meshgrid(torch.deg2rad(latitude), torch.arange(width) * 2 * torch.pi / width, indexing="ij")
    u, v = -torch.sin(lat) * torch.cos(lon - 0.3), torch.sin(lon - 0.3)
    return torch.stack([u, v, torch.cos(lat) * torch.cos(lon) + torch.sin(lat)])[None].double()


@pytest.mark.parametrize("on_pole", [0, 1])
def test_winds_and_scalars_go_on_smoothly_past_the_pole(on_pole):
    """Rows beyond a pole are what the field is there; a row on the pole itself is not repeated."""
    step = 15.0
    latitude = torch.arange(-90.0 + (0 if on_pole else step / 2), 90.1, step)
    beyond = torch.cat(
        [latitude[0] - step * torch.arange(2, 0, -1), latitude, latitude[-1] + step * torch.arange(1, 4)]
    )
    poles = Poles((on_pole, on_pole), (0, 1))
    found = pad(vector(latitude, 12), 2, 3, 0, 0, ("pole", "periodic"), poles=poles)
    torch.testing.assert_close(found, vector(beyond, 12), atol=1e-6, rtol=0)
    again = pad(found[..., 2:, :], 0, 2, 0, 0, ("pole", "periodic"), poles=poles.extended(3))
    more = torch.cat([beyond[2:], beyond[-1] + step * torch.arange(1, 3)])
    torch.testing.assert_close(again, vector(more, 12), atol=1e-6, rtol=0)


def test_merged_rows_keep_their_place_and_lose_their_sign():
    assert Poles((1, 1), (0,)).extended(3) == Poles((1, 7), (0,))
    assert Poles((1, 1), (0,)).extended(3).coarser(2) == Poles((0, 3), ())
