"""The check of memory before training."""

import pytest
import torch
from torch import nn

from hindsight.errors import UserError
from hindsight.train import batches, memory
from hindsight.train.loop import Loss
from tests.train import helpers


class Squares(nn.Module):
    """A sum of squares of a linear layer: the backward pass needs its input and its output."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(100, 50, bias=False)

    def forward(self, x):
        return self.layer(x).square().sum()


def test_activations_are_counted_once_and_without_weights():
    assert memory.activations(Squares(), torch.zeros(7, 100)) == 4 * (7 * 100 + 7 * 50)


def test_weights_kept_for_the_backward_pass_are_not_activations():
    """Those of the second layer are kept for the gradient of the first."""
    deep = Squares()
    deep.layer = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 50, bias=False))
    assert memory.activations(deep, torch.zeros(7, 100)) == 4 * 7 * (100 + 100 + 50)


def test_memory_grows_by_the_counted_activations():
    """Brute force: storages of all tensors alive after the forward pass."""
    loss = Loss(helpers.prior().train(), helpers.SETTINGS)
    one, four = (batches.make(helpers.windows(), helpers.SETTINGS, helpers.SHAPE, 0, range(n)) for n in (1, 4))
    assert memory.activations(loss, four) == pytest.approx(4 * memory.activations(loss, one), rel=0.2)


def test_the_error_of_a_batch_that_does_not_fit_says_how_many_windows_would():
    loss, one = Squares(), torch.zeros(1, 100)
    weights, each = 6 * 4 * 5000, 4 * 150
    room = int((weights + 10.5 * each) / 0.9)
    memory.check(loss, one, 10, room)
    with pytest.raises(UserError, match=r"11 windows at once need about .* and 10 would fit: lower train.batch"):
        memory.check(loss, one, 11, room)
    with pytest.raises(UserError, match="not even one fits: set train.recompute"):
        memory.check(loss, one, 1, weights)


def test_some_memory_is_free():
    assert memory.free(torch.device("cpu")) > 1e7


def test_the_limit_of_the_job_counts(tmp_path, monkeypatch):
    """Minus the memory that its processes use; without a limit it is the memory of the machine."""
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path)
    machine = memory.free(torch.device("cpu"))
    for limit, expected in (("7000000\n", 4_000_000), ("max\n", pytest.approx(machine, rel=0.5))):
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text("3000000\n")
        assert memory.free(torch.device("cpu")) == expected
