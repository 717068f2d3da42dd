"""The video U-Net."""

import pytest
import torch

from hindsight.backbones.padding import Poles, pad
from hindsight.backbones.unet import VideoUNet
from tests.backbones.test_padding import vector


def make(edges=("open", "open"), **settings):
    torch.manual_seed(0)
    network = VideoUNet(
        **{
            "inputs": 3,
            "outputs": 2,
            "conditions": 4,
            "patch": 1,
            "width": 8,
            "multipliers": [1, 2],
            "blocks": 1,
            "embedding": 16,
            "dropout": 0.0,
            "edges": edges,
        }
        | settings
    ).eval()
    for parameter in network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def run(network, fields, noise=None, conditions=None):
    b, t = fields.shape[:2]
    noise = torch.zeros(b, t) if noise is None else noise
    return network(fields, noise, torch.zeros(b, t, 4) if conditions is None else conditions)


def test_an_untrained_network_is_zero():
    network = VideoUNet(3, 2, 4, 1, 8, [1, 2], 1, 16, 0.0, ("open", "open"))
    assert run(network, torch.randn(2, 3, 3, 7, 9)).abs().max() == 0


@pytest.mark.parametrize("patch", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (21, 24)])
def test_sizes_that_cannot_be_halved_are_kept(size, patch):
    assert run(make(patch=patch), torch.randn(2, 3, 3, *size)).shape == (2, 3, 2, *size)


def test_every_frame_depends_on_its_own_noise_and_date_and_on_its_neighbours():
    network, x = make(), torch.randn(1, 6, 3, 8, 8)
    base = run(network, x)
    noise = torch.zeros(1, 6)
    noise[0, 2] = 1
    changed = (run(network, x, noise) - base).abs().amax((0, 2, 3, 4))
    assert changed[2] > 0 and changed[1] > 0
    conditions = torch.zeros(1, 6, 4)
    conditions[0, 4] = 1
    assert (run(network, x, conditions=conditions) - base).abs().amax((0, 2, 3, 4))[4] > 0


def test_windows_of_a_batch_are_independent():
    network, x = make(), torch.randn(3, 4, 3, 8, 8)
    torch.testing.assert_close(run(network, x)[1:2], run(network, x[1:2]), atol=1e-5, rtol=1e-4)


def test_on_a_ring_the_origin_does_not_matter():
    network, x = make(("open", "periodic")), torch.randn(1, 2, 3, 8, 8)
    torch.testing.assert_close(run(network, x.roll(4, -1)), run(network, x).roll(4, -1), atol=1e-5, rtol=1e-4)


def test_with_open_edges_the_origin_matters():
    network, x = make(), torch.randn(1, 2, 3, 8, 8)
    assert (run(network, x.roll(4, -1)) - run(network, x).roll(4, -1)).abs().max() > 1e-3


def busy(network):
    """Weights that are zero at the start would hide what the network does."""
    for parameter in network.parameters():
        if parameter.abs().max() == 0:
            torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize("edges", [("periodic", "periodic"), ("pole", "periodic")])
def test_on_a_torus_and_a_sphere_the_origin_does_not_matter(edges):
    network, x = busy(make(edges)), torch.randn(1, 2, 3, 8, 8)
    for turn in ((4, 2), (2, 6)) if edges[0] == "periodic" else ((0, 2), (0, 4)):
        rolled = run(network, x.roll(turn, (-2, -1)))
        torch.testing.assert_close(rolled, run(network, x).roll(turn, (-2, -1)), atol=1e-5, rtol=1e-4)


def test_recomputing_gives_the_same_gradient():
    """Dropout included: the same features are dropped again."""
    x, noise, conditions, found = torch.randn(2, 3, 3, 8, 8), torch.randn(2, 3), torch.randn(2, 3, 4), []
    for recompute in (False, True):
        network = busy(make(dropout=0.3, recompute=recompute)).train()
        torch.manual_seed(5)
        network(x, noise, conditions).square().sum().backward()
        found.append([parameter.grad for parameter in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found))
    assert min(gradient.abs().max() for gradient in found[0]) > 0


def test_recomputing_saves_memory():
    assert kept_bytes(recompute=True) < kept_bytes(recompute=False) / 3


def kept_bytes(recompute):
    """Bytes kept for the gradient."""
    network, kept = make(recompute=recompute).train(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.nbytes) or x, lambda x: x):
        run(network, torch.randn(2, 3, 3, 8, 8))
    return sum(kept)


@pytest.mark.parametrize("rows", [7, 8])
def test_on_a_pole_a_convolution_sees_the_wind_beyond_it(rows):
    """The first layer, also after rows were added to halve the grid: the same as of a field that goes on."""
    poles, padding = Poles((1, 1), (0, 1)), -rows % 4
    latitude = torch.linspace(-90, 90, rows)
    network = make(("pole", "periodic"), multipliers=[1, 2, 2], shape=(rows, 8), poles=poles)
    step = latitude[1] - latitude[0]
    beyond = torch.cat([latitude[:1] - step, latitude, latitude[-1] + step * torch.arange(1, padding + 2)])
    inputs = lambda rows: torch.cat([vector(rows, 8).float(), torch.ones(1, 1, len(rows), 8)], 1)
    found = network.enter(network._to_size(inputs(latitude)))
    wide = pad(inputs(beyond), 0, 0, 1, 1, ("open", "periodic"))
    torch.testing.assert_close(found, network.enter.convolution(wide), atol=1e-5, rtol=0)
    x = torch.randn(1, 2, 3, rows, 8)
    torch.testing.assert_close(run(network, x.roll(4, -1)), run(network, x).roll(4, -1), atol=1e-5, rtol=1e-4)
