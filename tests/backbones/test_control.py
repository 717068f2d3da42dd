"""The network of a controller."""

import pytest
import torch

from hindsight.backbones.control import ControlNet
from hindsight.backbones.padding import Poles

LINE = {"edges": ("open", "periodic"), "shape": (1, 24)}
SQUARE = {"edges": ("periodic", "periodic"), "shape": (12, 12)}


def made(about, dilations=(1, 2), blocks=2, busy=True, poles=Poles()):  # noqa: B008 (frozen)
    torch.manual_seed(3)
    network = ControlNet(
        3, 2, 2, width=8, blocks=blocks, dilations=list(dilations), embedding=16, poles=poles, **about
    ).double()
    if busy:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return network


def inputs(shape, count=2):
    generator = torch.Generator().manual_seed(1)
    draw = lambda *size: torch.randn(*size, generator=generator, dtype=torch.float64)
    return draw(count, 3, *shape), draw(count), draw(count, 2)


@pytest.mark.parametrize("about", [LINE, SQUARE])
def test_it_begins_with_zero(about):
    found = made(about, busy=False)(*inputs(about["shape"]))
    assert found.shape == (2, 2, *about["shape"]) and (found == 0).all()


@pytest.mark.parametrize(("about", "turn"), [(LINE, (0, 7)), (SQUARE, (5, -4))])
def test_on_a_periodic_domain_moved_fields_give_moved_fields(about, turn):
    network, (fields, *rest) = made(about), inputs(about["shape"])
    moved = network(fields.roll(turn, (2, 3)), *rest)
    torch.testing.assert_close(moved, network(fields, *rest).roll(turn, (2, 3)))
    assert network(fields, *rest).std() > 0.05


def test_it_reaches_as_far_as_its_dilations_and_no_further():
    """1 + 2 (1 + 2) points: each block has two convolutions."""
    network, (fields, *rest) = made({"edges": ("open", "open"), "shape": (1, 24)}), inputs((1, 24))
    other = fields.clone()
    other[..., 12] += 1
    moved = (network(other, *rest) - network(fields, *rest)).abs().amax((0, 1, 2))
    assert torch.nonzero(moved)[:, 0].tolist() == list(range(12 - 7, 12 + 8))


def test_frames_do_not_depend_on_each_other():
    network, (fields, noise, conditions) = made(SQUARE), inputs((12, 12), 3)
    alone = network(fields[1:2], noise[1:2], conditions[1:2])
    torch.testing.assert_close(network(fields, noise, conditions)[1:2], alone)


@pytest.mark.parametrize("which", [1, 2])
def test_noise_and_waiting_time_change_the_output(which):
    given = list(inputs((12, 12)))
    before = made(SQUARE)(*given)
    given[which] = given[which] + 1
    assert (made(SQUARE)(*given) - before).abs().max() > 1e-3


def test_along_a_line_there_are_no_weights_across_it():
    assert made(LINE).enter.convolution.weight.shape[-2:] == (1, 3)
    assert made(SQUARE).enter.convolution.weight.shape[-2:] == (3, 3)


def test_across_a_pole_winds_turn():
    """A channel whose sign changes across the poles changes the result in the rows next to them, and only there."""
    globe = {"edges": ("pole", "periodic"), "shape": (6, 8)}
    fields, *rest = inputs((6, 8))
    plain, turned = (made(globe, poles=Poles((0, 0), turned)).enter(fields) for turned in ((), (1,)))
    near = (plain - turned).abs().amax((0, 1, 3))
    assert (near[[0, 5]] > 1e-3).all() and (near[1:5] < 1e-12).all()
