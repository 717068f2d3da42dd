"""Padding that knows what lies beyond the edge."""

import torch

from hindsight.backbones.padding import pad

X = torch.arange(12.0).view(1, 1, 3, 4)


def test_an_open_edge_is_zero_or_repeats():
    assert pad(X, 1, 0, 0, 0, ("open", "open"))[0, 0, 0].tolist() == [0, 0, 0, 0]
    assert pad(X, 0, 1, 0, 0, ("open", "open"), "replicate")[0, 0, -1].tolist() == [8, 9, 10, 11]


def test_longitudes_come_round():
    assert pad(X, 0, 0, 1, 2, ("open", "periodic"))[0, 0, 0].tolist() == [3, 0, 1, 2, 3, 0, 1]


def test_beyond_the_pole_lies_the_other_side():
    found = pad(X, 2, 1, 0, 0, ("pole", "periodic"))[0, 0]
    assert found[1].tolist() == [2, 3, 0, 1]  # the first row, half-way round
    assert found[0].tolist() == [6, 7, 4, 5]
    assert found[-1].tolist() == [10, 11, 8, 9]
