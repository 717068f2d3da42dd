"""Memory, before training begins."""

import pytest
import torch
from torch import nn

from hindsight.errors import UserError
from hindsight.train import batches, memory
from hindsight.train.loop import Loss
from tests.train import helpers


class Squares(nn.Module):
    """A sum of squares of a linear layer: the way back needs its input and its output."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(100, 50, bias=False)

    def forward(self, x):
        return self.layer(x).square().sum()


def test_what_the_way_back_needs_is_counted_once_and_weights_not():
    assert memory.activations(Squares(), torch.zeros(7, 100)) == 4 * (7 * 100 + 7 * 50)


def test_weights_that_the_way_back_needs_are_not_counted_with_the_window():
    """The second layer's are kept for the gradient of the first."""
    deep = Squares()
    deep.layer = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 50, bias=False))
    assert memory.activations(deep, torch.zeros(7, 100)) == 4 * 7 * (100 + 100 + 50)


def test_what_training_takes_grows_with_what_was_counted():
    """Brute force: tensors alive after the way forward, by their storages."""
    loss = Loss(helpers.prior().train(), helpers.SETTINGS)
    one, four = (batches.make(helpers.windows(), helpers.SETTINGS, helpers.SHAPE, 0, range(n)) for n in (1, 4))
    assert memory.activations(loss, four) == pytest.approx(4 * memory.activations(loss, one), rel=0.2)


def test_a_batch_that_does_not_fit_says_how_many_windows_would():
    loss, one = Squares(), torch.zeros(1, 100)
    weights, each = 6 * 4 * 5000, 4 * 150
    room = int((weights + 10.5 * each) / 0.9)
    memory.check(loss, one, 10, room)
    with pytest.raises(UserError, match=r"11 windows together need about .* and 10 would fit: lower train.batch"):
        memory.check(loss, one, 11, room)
    with pytest.raises(UserError, match="a single one does not fit: set train.recompute"):
        memory.check(loss, one, 1, weights)


def test_some_memory_is_free():
    assert memory.free(torch.device("cpu")) > 1e7


def test_a_jobs_own_limit_counts(tmp_path, monkeypatch):
    """What its processes have taken is taken; without a limit it is the machine's memory."""
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path)
    machine = memory.free(torch.device("cpu"))
    for limit, expected in (("7000000\n", 4_000_000), ("max\n", pytest.approx(machine, rel=0.5))):
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text("3000000\n")
        assert memory.free(torch.device("cpu")) == expected
