"""Checkpoints."""

import torch
from torch import nn

from hindsight.train import checkpoint


def make():
    model = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return model, optimiser


def test_everything_comes_back(tmp_path):
    model, optimiser = make()
    checkpoint.save(tmp_path / "c", 7, "recipe", {"model": model}, optimiser, {"losses": [1.5]})
    other, fresh = make()
    assert checkpoint.resume(tmp_path / "c", "recipe", {"model": other}, fresh) == (7, {"losses": [1.5]})
    assert torch.equal(model.weight, other.weight)
    for a, b in zip(optimiser.state_dict()["state"].values(), fresh.state_dict()["state"].values()):
        assert all(torch.equal(torch.as_tensor(a[k]), torch.as_tensor(b[k])) for k in a)


def test_no_checkpoint_a_broken_one_and_another_recipe_start_anew(tmp_path):
    model, optimiser = make()
    before = model.weight.clone()
    assert checkpoint.resume(tmp_path / "none", "r", {"model": model}, optimiser)[0] == 0
    (tmp_path / "broken").write_bytes(b"nonsense")
    assert checkpoint.resume(tmp_path / "broken", "r", {"model": model}, optimiser)[0] == 0
    checkpoint.save(tmp_path / "c", 7, "other", {"model": make()[0]}, optimiser, {})
    assert checkpoint.resume(tmp_path / "c", "r", {"model": model}, optimiser)[0] == 0
    assert torch.equal(model.weight, before)
