"""Taps of every network: what is read there is what its late blocks compute."""

import pytest
import torch
import torch.nn.functional as functional

from hindsight.backbones import taps
from hindsight.backbones.dit import VideoTransformer
from hindsight.backbones.line import LineNet
from hindsight.backbones.unet import VideoUNet

EDGES = ("open", "periodic")
NETWORKS = {
    "unet": lambda: VideoUNet(3, 2, 4, 1, 8, [1, 2], 2, 16, 0.0, EDGES, shape=(6, 8)),
    "line": lambda: LineNet(3, 2, 4, 8, 3, [1, 2], 16, EDGES),
    "transformer": lambda: VideoTransformer(3, 2, 4, 2, 16, 3, 2, "full", "rotary", "logarithm", 16, EDGES, (6, 8)),
}
NAMES = {
    "unet": ["bottom.0", "bottom.1", "up.0.0", "up.0.1"],
    "line": ["blocks.1", "blocks.2"],
    "transformer": ["blocks.1", "blocks.2"],
}
HEIGHT = {"line": 1}


def make(kind):
    torch.manual_seed(0)
    network = NETWORKS[kind]().eval()
    for parameter in network.parameters():
        if parameter.abs().max() == 0:
            torch.nn.init.normal_(parameter, std=0.3)
    fields = torch.randn(2, 5, 3, HEIGHT.get(kind, 6), 8)
    return network, (fields, torch.randn(2, 5), torch.randn(2, 5, 4))


def block_of(network, name):
    """The block of a tap, by its name."""
    for part in name.split("."):
        network = network[int(part)] if part.isdigit() else getattr(network, part)
    return network


def expected(kind, block, inputs):
    """Activations inside a block, from its inputs, as its definition says; (B, T, features, places)."""
    if kind == "unet":
        x, embedding, _ = inputs
        scale, shift = block.modulate(embedding)[..., None, None].chunk(2, 1)
        h = functional.silu(block.between(block.first(functional.silu(block.before(x)))) * (1 + scale) + shift)
        return torch.stack([torch.stack([h[b * 5 + t].flatten(1) for t in range(5)]) for b in range(2)])
    if kind == "line":
        x, embedding = inputs
        scale, shift = block.modulate(embedding).transpose(1, 2)[..., None].chunk(2, 1)
        h = functional.silu(block.first(block.norm(x) * (1 + scale) + shift))
        return torch.stack([h[:, :, t] for t in range(5)], 1)
    x, embedding, angles, times = inputs
    h, gate = block.before_space(x, embedding)
    x = x + gate * block.in_space(h, angles)
    h, gate = block.before_time(x, embedding)
    x = x + gate * block.in_time(h.transpose(1, 2), times).transpose(1, 2)
    h = functional.gelu(block.layers[0](block.before_layers(x, embedding)[0]), approximate="tanh")
    return torch.stack([h[..., k] for k in range(h.shape[-1])], 2)


@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_taps_are_the_activations_of_late_blocks_with_their_maximum_over_places(kind):
    network, inputs = make(kind)
    assert list(network.taps) == NAMES[kind]
    given = {}
    hooks = [
        block_of(network, name).register_forward_pre_hook(lambda _, args, name=name: given.update({name: args}))
        for name in network.taps
    ]
    with taps.pooled(network.taps, 5) as found:
        before = network(*inputs)
    for hook in hooks:
        hook.remove()
    for name in NAMES[kind]:
        h = expected(kind, block_of(network, name), given[name])
        torch.testing.assert_close(found[name], h.amax(-1))
        assert found[name].std() > 0
    assert torch.equal(network(*inputs), before)  # reading changes nothing


@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_nothing_is_read_after_the_context(kind):
    network, inputs = make(kind)
    with pytest.raises(RuntimeError), taps.pooled(network.taps, 5) as found:
        raise RuntimeError
    network(*inputs)
    assert not found


@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_a_shift_is_added_to_every_feature_of_each_frame_at_all_places(kind):
    network, inputs = make(kind)
    with taps.pooled(network.taps, 5, taps.mean) as before:
        output = network(*inputs)
    for name in network.taps:
        shift = torch.randn(before[name].shape)
        with taps.shifted(network.taps, {name: shift}), taps.pooled(network.taps, 5, taps.mean) as after:
            assert not torch.equal(network(*inputs), output)
        torch.testing.assert_close(after[name], before[name] + shift)
    with taps.shifted(network.taps, {name: torch.zeros_like(shift)}):
        assert torch.equal(network(*inputs), output)
    assert torch.equal(network(*inputs), output)
