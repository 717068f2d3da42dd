"""Weights of frames: their text, means over days, and interpolation between frames."""

import numpy as np
import pandas as pd
import pytest

from hindsight.operators import time_weights

TIMES = np.datetime64("2000-01-01T12", "ns") + np.arange(4) * np.timedelta64(24, "h")


def test_weights_as_text_and_back():
    weights = {-1: 0.06, 0: 0.87, 1: 0.07}
    assert time_weights.text(weights) == "-1:0.06 0:0.87 1:0.07"
    assert time_weights.parse(time_weights.text(weights)) == weights and time_weights.parse("") == {0: 1.0}


@pytest.mark.parametrize("text", ["0.5", "-1:a", "0:1,1:0", "1.5:1"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="expected frames and weights"):
        time_weights.parse(text)


def test_rows_have_as_many_weights_as_the_longest_needs():
    frames, weights = time_weights.arrays(pd.DataFrame({"time_weights": ["", "-1:0.25 0:0.75", None]}))
    assert frames.tolist() == [[0, 0], [-1, 0], [0, 0]] and weights.tolist() == [[1, 0], [0.25, 0.75], [1, 0]]
    frames, weights = time_weights.arrays(pd.DataFrame({"time": TIMES}))
    assert frames.tolist() == [[0]] * 4 and weights.tolist() == [[1.0]] * 4


def test_between_frames_weights_interpolate_linearly():
    table = pd.DataFrame(
        {"time": [TIMES[0], TIMES[1] + np.timedelta64(6, "h"), TIMES[3], TIMES[3] + np.timedelta64(1, "h")]}
    )
    found = time_weights.to_frames(table, TIMES)
    assert found["time"].tolist() == [*map(pd.Timestamp, TIMES[[0, 1, 3]])], "the last one lies after the last frame"
    assert found["time_weights"].tolist() == ["", "0:0.75 1:0.25", ""]
    frames, weights = time_weights.arrays(found)
    np.testing.assert_allclose((weights * (np.array([0, 1, 3])[:, None] + frames)).sum(1), [0, 1.25, 3])


def test_rows_with_weights_of_their_own_are_assigned_to_the_nearest_frame():
    times = np.datetime64("2000-01-01T00", "ns") + np.arange(3) * np.timedelta64(6, "h")
    when = times[0] + np.array([2, 5], "timedelta64[h]")
    found = time_weights.to_frames(pd.DataFrame({"time": when, "time_weights": "-1:0.5,0:0.5"}), times)
    assert list(found["time"]) == [times[0], times[1]] and set(found["time_weights"]) == {"-1:0.5,0:0.5"}
