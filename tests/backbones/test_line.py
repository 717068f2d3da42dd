"""The residual network over time and space."""

import pytest
import torch

from hindsight.backbones.line import LineNet


def make(edge="periodic", busy=True, dilations=(1, 2), blocks=2):
    torch.manual_seed(0)
    edges = ("open", edge)
    network = LineNet(3, 2, 4, 8, blocks, list(dilations), 16, edges).eval()
    if busy:
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                torch.nn.init.normal_(parameter, std=0.3)
    return network


def run(network, fields, noise=None, conditions=None):
    b, t = fields.shape[:2]
    noise = torch.zeros(b, t) if noise is None else noise
    return network(fields, noise, torch.zeros(b, t, 4) if conditions is None else conditions).detach()


def fields(frames=6, width=10, windows=1, seed=1):
    return torch.randn(windows, frames, 3, 1, width, generator=torch.Generator().manual_seed(seed))


def test_an_untrained_network_is_zero():
    fresh = make(busy=False)
    assert torch.equal(run(fresh, fields()), torch.zeros(1, 6, 2, 1, 10))
    assert run(make(), fields()).abs().max() > 0.1


def test_untrained_blocks_are_the_identity():
    """So depth does no harm at the start of training."""
    fresh, x, conditions = make(busy=False), torch.randn(2, 8, 5, 7), torch.randn(2, 5, 16)
    for block in fresh.blocks:
        assert torch.equal(block(x, conditions), x)


def test_on_a_ring_the_origin_does_not_matter():
    network, x = make(), fields()
    for turn in range(1, 10):
        torch.testing.assert_close(run(network, x.roll(turn, -1)), run(network, x).roll(turn, -1), atol=1e-5, rtol=1e-4)


def test_with_open_edges_the_origin_matters():
    network, x = make("open"), fields()
    assert (run(network, x.roll(5, -1)) - run(network, x).roll(5, -1)).abs().max() > 1e-2


def reach(dilations, blocks):
    """Frames on either side that affect a frame: one at the entrance, then two convolutions in each block."""
    return 1 + sum(2 * dilations[k % len(dilations)] for k in range(blocks))


@pytest.mark.parametrize(("dilations", "blocks"), [((1,), 1), ((1, 2), 2), ((1, 2), 3), ((3,), 1), ((1, 2, 4), 2)])
def test_dilations_reach_as_far_as_they_say_and_no_further(dilations, blocks):
    network, x, frames = make(dilations=dilations, blocks=blocks), fields(40, 16), 40
    other = x.clone()
    other[:, 20, :, :, 3] += 1
    changed = (run(network, other) - run(network, x)).abs().amax((0, 2, 3)) > 0
    far = reach(dilations, blocks)
    heard = changed.any(1).nonzero()[:, 0]
    assert (heard.min().item(), heard.max().item()) == (20 - far, 20 + far) and frames > 2 * far
    distances = {abs(t - 20) for t in heard.tolist()}
    if dilations == (3,):
        assert distances == set(range(far + 1))  # the first convolution fills the dilated ones' gaps
    across = 1 + 2 * blocks
    near = {(3 + k) % 16 for k in range(-across, across + 1)}
    assert set(changed.any(0).nonzero()[:, 0].tolist()) == near


@pytest.mark.parametrize("dilations", [(1, 2), (2,)])
def test_a_stretch_longer_than_in_training_agrees_in_its_interior(dilations):
    """A frame does not depend on where the window begins; only frames near an end differ."""
    network, x, far = make(dilations=dilations), fields(40, 8), reach(dilations, 2)
    noise, conditions = torch.randn(1, 40), torch.randn(1, 40, 4)
    whole, part = run(network, x, noise, conditions), run(network, x[:, 10:35], noise[:, 10:35], conditions[:, 10:35])
    torch.testing.assert_close(part[:, far:-far], whole[:, 10 + far : 35 - far], atol=1e-5, rtol=1e-4)
    assert (part[:, 0] - whole[:, 10]).abs().max() > 1e-2


def test_every_frame_depends_on_its_own_noise_and_date():
    network, x = make(dilations=(1,), blocks=1), fields(12)
    base, noise, conditions = run(network, x), torch.zeros(1, 12), torch.zeros(1, 12, 4)
    noise[0, 3], conditions[0, 8] = 1, 1
    for each in (run(network, x, noise=noise), run(network, x, conditions=conditions)):
        heard = ((each - base).abs().amax((0, 2, 3, 4)) > 0).nonzero()[:, 0].tolist()
        middle = 3 if heard[0] < 5 else 8
        assert middle in heard and set(heard) <= set(range(middle - 2, middle + 3))


def test_windows_of_a_batch_are_independent():
    network, x = make(), fields(windows=3)
    torch.testing.assert_close(run(network, x)[1:2], run(network, x[1:2]), atol=1e-5, rtol=1e-4)


def test_recomputing_gives_the_same_gradient():
    x, noise, conditions, found = fields(windows=2), torch.randn(2, 6), torch.randn(2, 6, 4), []
    for recompute in (False, True):
        network = make().train()
        network.recompute = recompute
        network(x, noise, conditions).square().sum().backward()
        found.append([parameter.grad for parameter in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found))
    assert min(gradient.abs().max() for gradient in found[0]) > 0


def test_recomputing_runs_each_block_twice():
    for recompute, runs in ((False, 1), (True, 2)):
        network = LineNet(3, 2, 4, 8, 2, [1], 16, ("open", "periodic"), recompute).train()
        count = []
        for block in network.blocks:
            block.register_forward_pre_hook(lambda *_, count=count: count.append(1))
        network(fields(), torch.zeros(1, 6), torch.zeros(1, 6, 4)).sum().backward()
        assert len(count) == runs * 2
        network.eval()(fields(), torch.zeros(1, 6), torch.zeros(1, 6, 4)).sum().backward()
        assert len(count) == runs * 2 + 2
