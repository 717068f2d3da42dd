"""A trained controller and its file."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hindsight import controller as controllers
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.settings.controller import ControlNetwork
from hindsight.settings.reanalyse import Sampling
from tests.train import helpers

NETWORK = ControlNetwork(width=8, blocks=2, embedding=16)
SAMPLING = Sampling(
    regime="fixed_lag", lag_hours=48, past="fixed", context=4, steps=4, sigma_max=3.0, sampler={"step": "ddim"}
)


def busy(prior, network=NETWORK, sampling=SAMPLING):
    """A controller whose output is not zero."""
    torch.manual_seed(5)
    made = controllers.build(prior, "abc", network, sampling)
    for parameter in made.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


def inputs(controller, count=3):
    generator = torch.Generator().manual_seed(2)
    fields = 3 + 2 * (controller.look_ahead + 1)
    size = controller.measure.numel() * len(controller.metadata.channels)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    return draw(count, fields, size), draw(count), draw(count, 2)


def test_it_begins_with_zero_and_stays_within_its_bounds():
    prior = helpers.prior()
    begun = controllers.build(prior, "abc", NETWORK, SAMPLING)
    assert all((part == 0).all() for part in begun(*inputs(begun)))
    made = busy(prior)
    torch.nn.init.normal_(made.network.leave.weight, std=5.0)
    found = made(*inputs(begun))
    assert all(0.9 < part.abs().max() <= 1 for part in found) and begun.limits == (0.1, 2.0)


def test_look_ahead_is_the_lag_of_the_roll_outs():
    assert controllers.build(helpers.prior(), "abc", NETWORK, SAMPLING).look_ahead == 2
    nowcast = SAMPLING.model_copy(update={"regime": "nowcast", "lag_hours": None})
    assert controllers.build(helpers.prior(), "abc", NETWORK, nowcast).look_ahead == 0


def test_a_file_holds_the_controller(tmp_path):
    prior = helpers.prior()
    made = busy(prior)
    controllers.save(made, tmp_path / "controller")
    found = controllers.load(tmp_path / "controller", prior, "abc", SAMPLING)
    for one, other in zip(made(*inputs(made)), found(*inputs(made))):
        assert torch.equal(one, other)
    assert found.metadata == made.metadata and not any(p.requires_grad for p in found.parameters())


@pytest.mark.parametrize(
    ("digest", "change", "says"),
    [
        ("xyz", {}, r"another prior \(SHA-256 abc…, and here it is xyz…\)"),
        ("abc", {"lag_hours": 24}, "a look-ahead, in frames, of 2, and here it is 1"),
        ("abc", {"steps": 5}, "reanalyse.steps 4, and here it is 5"),
        ("abc", {"sigma_max": 4.0}, "reanalyse.sigma_max 3.0, and here it is 4.0"),
        ("abc", {"context": 8}, "reanalyse.context 4, and here it is 8"),
    ],
)
def test_one_of_another_prior_or_sampling_is_refused(tmp_path, digest, change, says):
    prior = helpers.prior()
    controllers.save(busy(prior), tmp_path / "controller")
    with pytest.raises(UserError, match=f"was trained for {says}.*; train again"):
        controllers.load(tmp_path / "controller", prior, digest, SAMPLING.model_copy(update=change))


def test_one_of_another_grid_step_or_channel_is_refused_with_all_differences(tmp_path):
    prior = helpers.prior()
    controllers.save(busy(prior), tmp_path / "controller")
    other = {"latitude": [10.0, 11.0, 12.0, 13.0], "step_hours": 12, "channels": ["t850"]}
    prior.metadata = replace(prior.metadata, **other)
    with pytest.raises(UserError) as error:
        controllers.load(tmp_path / "controller", prior, "abc", SAMPLING)
    for says in ("from 0 to 3 N", "from 10 to 13 N", "step|hours between frames 24, and here it is 12", "['z500']"):
        assert says.split("|")[-1] in f"{error.value}"


def test_a_file_that_is_no_controller_is_named(tmp_path):
    (tmp_path / "controller").write_bytes(b"nothing")
    with pytest.raises(UserError, match="controller is not a controller that can be read"):
        controllers.load(tmp_path / "controller", helpers.prior(), "abc", SAMPLING)


def test_weights_by_area_are_taken_out_of_the_inputs_and_put_on_the_shift():
    """The same fields without weights give the same scale, and the shift over these weights."""
    weighted, plain = helpers.globe(), helpers.globe()
    plain.measure = torch.ones_like(plain.measure)
    one, other = busy(weighted), busy(plain)
    fields, *rest = inputs(one)
    area = weighted.measure.flatten().repeat(2)
    state = fields.clone()
    state[:, :3] /= area
    scale, shift = one(fields, *rest)
    expected_scale, expected_shift = other(state, *rest)
    torch.testing.assert_close(scale, expected_scale)
    torch.testing.assert_close(shift, expected_shift * area)
    assert area.std() > 0.1 and np.ptp(helpers.GLOBE.weights) > 0.01 and isinstance(helpers.GLOBE, Grid)
