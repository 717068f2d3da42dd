"""The prior's file, and the prior over a long stretch."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from hindsight import prior as priors
from hindsight.diffusion import composed
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from tests.train import helpers


def busy(prior):
    """A network that says something."""
    for parameter in prior.network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return prior.eval()


def test_a_prior_comes_back_from_its_file(tmp_path):
    made = busy(helpers.prior())
    priors.save(made, tmp_path / "p.safetensors")
    found = priors.load(tmp_path / "p.safetensors")
    x, sigma, told = torch.randn(2, 4, 16), torch.rand(2, 4) + 0.1, torch.randn(2, 4, 4)
    torch.testing.assert_close(found.denoise(x, sigma, told), made.denoise(x, sigma, told), rtol=0, atol=0)
    assert found.about == made.about
    with safe_open(tmp_path / "p.safetensors", "pt") as file:
        assert json.loads(file.metadata()["hindsight"])["channels"] == ["z500"]


def test_the_same_prior_gives_the_same_bytes(tmp_path):
    for name in "ab":
        priors.save(helpers.prior(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_that_is_no_prior_is_refused(tmp_path):
    (tmp_path / "p").write_bytes(b"nonsense")
    for name in ("p", "none"):
        with pytest.raises(UserError, match="not a prior"):
            priors.load(tmp_path / name)


def test_a_stretch_of_one_window_is_that_window():
    prior = busy(helpers.prior())
    x, sigma, told = torch.randn(3, 4, 16), torch.full((1, 4), 0.7), torch.randn(4, 4)
    whole = prior.denoise_stretch(x, prior.process.posterior(sigma), told, [0], 2)
    torch.testing.assert_close(whole, prior.denoise(x, sigma.expand(3, 4), told.expand(3, 4, 4)), atol=1e-5, rtol=1e-4)


def test_inside_a_long_stretch_the_cut_does_not_show():
    """Two stretches that share frames agree on them, away from their ends."""
    prior = busy(helpers.prior())
    x, told = torch.randn(1, 40, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(40, 4)

    def estimate(first, last):
        posterior = prior.process.posterior(torch.full((1, last - first), 0.7))
        windows = composed.starts(first, last - first, 4, 2)
        return prior.denoise_stretch(x[:, first:last], posterior, told[first:last], windows, 8)

    whole, left, right = estimate(0, 40), estimate(0, 26), estimate(14, 40)
    for part, frames, shift in ((left, slice(0, 20), 0), (right, slice(20, 40), 14)):
        same = part[:, frames.start - shift : frames.stop - shift]
        assert (same - whole[:, frames]).abs().max() < 0.02 * whole.std()


def test_conditions_say_when():
    noon = priors.conditions(np.array(["2000-01-01T12", "2000-07-01T12"], "datetime64[ns]"))
    torch.testing.assert_close(noon[:, 2], torch.tensor([-1.0, -1.0]))  # cosine of half a turn
    assert noon[0, 0] > 0.99 and noon[1, 0] < -0.99


def test_maps_say_where():
    grid = Grid(np.linspace(-80, 80, 9), np.arange(0, 360, 30.0))
    found = priors.maps(grid, orography=np.random.default_rng(0).random(grid.shape))
    assert found.shape == (4, 9, 12)
    assert found.mean((1, 2)).abs().max() < 1e-5 and (found.std((1, 2), correction=0) - 1).abs().max() < 1e-5
    assert (found[0].diff(dim=0) > 0).all()
