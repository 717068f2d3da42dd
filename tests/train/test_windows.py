"""Windows to learn from."""

import numpy as np
import pytest
import torch

from hindsight.errors import UserError
from hindsight.train.windows import Windows

TIMES = np.datetime64("2000-01-01T12", "ns") + np.arange(20) * np.timedelta64(1, "D")
VALUES = np.arange(20 * 6, dtype=np.float32).reshape(20, 1, 2, 3)


def test_a_window_is_consecutive_frames_with_their_dates():
    windows = Windows(TIMES, VALUES, 5, "training")
    fields, told = windows.at(torch.tensor([3, 15]))
    assert len(windows) == 16
    assert torch.equal(fields[1, :, 0], torch.arange(15, 20) * 6.0)
    assert torch.equal(told[0], windows.conditions[3:8])


def test_every_window_is_drawn_alike():
    windows = Windows(TIMES, VALUES, 5, "training")
    fields, _ = windows.draw(8000, torch.Generator().manual_seed(0))
    counts = torch.bincount((fields[:, 0, 0] / 6).long(), minlength=16)
    assert len(counts) == 16 and abs(counts / 500 - 1).max() < 0.25


def test_a_period_shorter_than_a_window_is_refused():
    with pytest.raises(UserError, match="validation period has 20 frames, fewer than a window"):
        Windows(TIMES, VALUES, 21, "validation")
