"""Chunks: no larger than they may be, covering everything, as even as can be."""

import pytest

from hindsight.fields import chunks


@pytest.mark.parametrize("most", [1, 5, 16, 100])
def test_tiles_are_as_few_and_as_even_as_possible(most):
    for points in (1, 16, 17, 32, 64, 121, 241):
        (tile, _), (whole, _) = chunks.tiles((points, 8), most)
        count = whole // tile
        assert whole == count * tile >= points and tile <= most
        assert (count - 1) * most < points  # with one less they would be too large
        assert (tile - 1) * count < points  # with one point less they would not cover it
