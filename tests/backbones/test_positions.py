"""Positions and noise levels as sines and cosines."""

import math

import pytest
import torch

from hindsight.backbones.positions import axis, plane, rotate, sinusoid


def test_a_level_is_cosines_then_sines_of_periods_up_to_ten_thousand():
    found = sinusoid(torch.tensor([0.0, 1.0, 37.0, 999.0], dtype=torch.float64), 8)
    for level, row in zip((0, 1, 37, 999), found.tolist()):
        angles = [level / 10000 ** (k / 4) for k in range(4)]
        assert row == pytest.approx([math.cos(a) for a in angles] + [math.sin(a) for a in angles], abs=1e-12)
    assert sinusoid(torch.tensor([3.0]), 4)[0].tolist() == pytest.approx(
        [-0.9899925, 0.9995500, 0.1411200, 0.0299955], abs=1e-6
    )  # 3 and 0.03, by hand


@pytest.mark.parametrize("count", [1, 2, 5, 8, 60])
def test_a_periodic_axis_has_whole_waves(count):
    angles = axis(count, 6, "periodic")
    beyond = torch.arange(count, 2 * count)[:, None] * angles[1 % count]  # once more round, straight on
    torch.testing.assert_close(beyond.cos(), angles.cos(), atol=1e-9, rtol=0)
    torch.testing.assert_close(beyond.sin(), angles.sin(), atol=1e-9, rtol=0)
    waves = angles[1 % count] * count / (2 * math.pi)
    torch.testing.assert_close(waves, waves.round())
    assert waves[0] == (1 if count > 1 else 0) and round(waves[-1].item()) == count // 2


def test_two_waves_of_an_open_axis_differ_tenfold():
    assert axis(4, 2, "open")[3].tolist() == pytest.approx([3, 0.3])
    assert axis(4, 2, "pole").tolist() == axis(4, 2, "open").tolist()


def test_a_plane_is_ordered_row_by_row():
    found = plane((3, 5), 8, ("pole", "periodic"))
    rows, columns = axis(3, 2, "open").float(), axis(5, 2, "periodic").float()
    for row in range(3):
        for column in range(5):
            assert found[5 * row + column].tolist() == [*rows[row].tolist(), *columns[column].tolist()]


def test_rotation_is_multiplication_by_a_complex_number():
    x, angles = torch.randn(2, 3, 5, 8, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    found = torch.complex(x[..., :4], x[..., 4:]) * torch.exp(1j * angles)
    torch.testing.assert_close(rotate(x, angles), torch.cat([found.real, found.imag], -1))


def test_products_of_rotated_features_depend_on_distance_only():
    query, key = torch.randn(2, 1, 8, dtype=torch.float64).expand(2, 12, 8)
    products = rotate(query, axis(12, 4, "open")) @ rotate(key, axis(12, 4, "open")).T
    for apart in range(-11, 12):
        line = products.diagonal(apart)
        torch.testing.assert_close(line, line[:1].expand_as(line))
    assert products[0].std() > 0.1
