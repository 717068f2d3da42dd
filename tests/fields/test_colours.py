"""Colour maps: the order of values is seen as an order of lightness, by colour-blind readers too."""

import numpy as np
import pytest

from hindsight.fields import colours

DEUTERANOPIA = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]  # of linear RGB, Vienot 1999


def lightness(shades, seen):
    """CIE L* of colours, as seen through a matrix of linear RGB."""
    srgb = np.array([[int(one[k : k + 2], 16) / 255 for k in (1, 3, 5)] for one in shades])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4) @ np.transpose(seen)
    return 116 * np.cbrt(np.clip(linear, 0, 1) @ [0.2126, 0.7152, 0.0722]) - 16


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA])
@pytest.mark.parametrize("name", [colours.FIELD, colours.AMOUNT])
def test_amounts_are_lighter_the_larger_they_are(name, seen):
    assert (np.diff(lightness(colours.sample(name, 33), seen)) > 0).all()


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA])
def test_differences_are_lightest_where_they_are_zero(seen):
    found = lightness(colours.sample(colours.DIFFERENCE, 33), seen)
    assert (np.diff(found[:17]) > 0).all() and (np.diff(found[16:]) < 0).all()


def test_the_ends_are_those_of_the_colour_map():
    assert colours.sample("viridis", 3) == ["#440154", "#21918c", "#fde725"]
