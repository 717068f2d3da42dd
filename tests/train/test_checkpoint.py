"""Checkpoints."""

from pathlib import Path

import pytest
import torch
from torch import nn

from hindsight.train import checkpoint


def make(steepness=1.0):
    model = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.full((1, 3), steepness)).sum().backward()
    optimiser.step()
    return model, optimiser


def test_everything_comes_back(tmp_path):
    model, optimiser = make()
    checkpoint.save(tmp_path / "c", 7, {"train": {"batch": 4}}, {"model": model}, optimiser, {"losses": [1.5]})
    other, fresh = make(2.0)
    assert checkpoint.resume(tmp_path / "c", {"train": {"batch": 4}}, {"model": other}, fresh) == (7, {"losses": [1.5]})
    assert torch.equal(model.weight, other.weight)
    for a, b in zip(optimiser.state_dict()["state"].values(), fresh.state_dict()["state"].values()):
        assert all(torch.equal(torch.as_tensor(a[k]), torch.as_tensor(b[k])) for k in a)


def test_a_missing_or_damaged_checkpoint_or_another_recipe_starts_anew_with_a_reason(tmp_path, capfd):
    model, optimiser = make()
    before = model.weight.clone()
    assert checkpoint.resume(tmp_path / "none", {}, {"model": model}, optimiser)[0] == 0
    assert capfd.readouterr().out == ""
    (tmp_path / "broken").write_bytes(b"nonsense")
    assert checkpoint.resume(tmp_path / "broken", {}, {"model": model}, optimiser)[0] == 0
    assert "broken cannot be read" in capfd.readouterr().out
    other = {"made_from": {"fields": "a" * 64}, "train": {"batch": 4, "backbone": {"width": 8}}}
    checkpoint.save(tmp_path / "c", 7, other, {"model": make()[0]}, optimiser, {})
    now = {"made_from": {"fields": "b" * 64}, "train": {"batch": 4, "backbone": {"width": 16}}}
    assert checkpoint.resume(tmp_path / "c", now, {"model": model}, optimiser)[0] == 0
    assert "made_from.fields aaaaaaaaaaaa… → bbbbbbbbbbbb…; train.backbone.width 8 → 16" in capfd.readouterr().out
    assert torch.equal(model.weight, before)


def test_a_checkpoint_of_another_network_starts_anew(tmp_path, capfd):
    """With the same settings, but from another version of the code or for another grid."""
    wide, optimiser = nn.Linear(4, 2), make()[1]
    checkpoint.save(tmp_path / "c", 7, {}, {"model": make()[0], "best": wide}, optimiser, {})
    model, best = make()[0], nn.Linear(3, 2)
    before = model.weight.clone()
    assert checkpoint.resume(tmp_path / "c", {}, {"model": model, "best": best}, optimiser) == (0, {})
    assert "has another network, so training starts anew: best.weight (2, 4) → (2, 3)" in capfd.readouterr().out
    assert torch.equal(model.weight, before)


def test_a_checkpoint_without_read_permission_is_an_error(tmp_path, monkeypatch):
    """It may be intact, with days of work, and merely belong to another user."""
    checkpoint.save(tmp_path / "c", 7, {}, {}, make()[1], {})

    def refuse(*given):
        raise PermissionError("Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        checkpoint.resume(tmp_path / "c", {}, {}, make()[1])


def test_differences_name_what_is_new_and_what_is_gone():
    assert checkpoint.differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"d": 3}}) == ["b.c 2 → None", "b.d None → 3"]
    assert checkpoint.differences({"a": [1, 2]}, {"a": [1, 2]}) == []
