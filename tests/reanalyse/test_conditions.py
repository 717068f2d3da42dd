"""Observations as tensors."""

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.reanalyse.conditions import observed

GRID = Grid(np.arange(4.0), np.arange(5.0))
TIMES = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(1, "D")
SCALING = Scaling(np.random.default_rng(0).standard_normal((1, 2, 4, 5)), np.array([2.0, 10.0]), 0, 0)


def table(rows):
    columns = ["time", "channel", "latitude", "longitude", "value", "error"]
    return pd.DataFrame([[TIMES[t], *rest] for t, *rest in rows], columns=columns)


def test_rows_go_to_their_frames_and_the_operator_sees_what_was_measured():
    """The truth's own values, observed, have no departure from the normalised truth."""
    truth = SCALING.climatology(TIMES) + np.random.default_rng(1).standard_normal((3, 2, 4, 5)) * [[[3.0]], [[5.0]]]
    at = lambda t, c, lat, lon: (truth[t, c, lat, lon] + truth[t, c, lat + 1, lon]) / 2
    rows = [
        (2, "msl", 1.5, 3.0, at(2, 1, 1, 3), 0.5),
        (0, "z500", 0.5, 2.0, at(0, 0, 0, 2), 0.1),
        (2, "z500", 2.5, 0.0, at(2, 0, 2, 0), 0.1),
        (1, "q", 1.0, 1.0, 9.0, 1.0),
    ]
    seen = observed(table(rows), TIMES, ["z500", "msl"], GRID, SCALING)
    assert seen.present.sum(1).tolist() == [1, 0, 2]
    state = torch.tensor(SCALING.normalise(truth, TIMES)).view(1, 3, -1)
    np.testing.assert_allclose(seen.forward(state)[0], seen.value * seen.present, atol=1e-5)
    assert sorted(seen.error[2].tolist()) == pytest.approx([0.05, 0.05])


def test_a_place_outside_the_grid_is_refused():
    with pytest.raises(UserError, match="lies outside"):
        observed(table([(0, "z500", 9.0, 1.0, 0.0, 1.0)]), TIMES, ["z500"], GRID, SCALING)


def test_no_observation_at_all_is_no_error():
    assert not observed(table([]), TIMES, ["z500"], GRID, SCALING).present.any()
