"""The running average of the weights."""

import copy

import torch
from torch import nn

from hindsight.train import average


def test_the_average_forgets_the_initial_weights_and_follows_with_the_decay():
    model = nn.Linear(1, 1, bias=False)
    mean = copy.deepcopy(model)
    nn.init.constant_(mean.weight, 100.0)
    nn.init.constant_(model.weight, 2.0)
    for step in range(2000):
        average.update(mean, model, step, 0.99)
    torch.testing.assert_close(mean.weight, model.weight, atol=1e-5, rtol=0)
    nn.init.constant_(model.weight, 3.0)
    average.update(mean, model, 10_000, 0.99)
    torch.testing.assert_close(mean.weight.item(), 2.0 + 0.01, atol=1e-4, rtol=0)
