"""The training loop."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import denoiser
from hindsight.settings.train import Points
from hindsight.train import loop
from hindsight.train.windows import Windows
from tests.train import helpers


def weights(prior):
    return torch.cat([p.flatten() for p in prior.network.parameters()])


class Killed(Exception):
    """Stands for kill -9 in the middle of a step."""


def globe_windows(seed=0):
    prior, frames = helpers.globe(), 60
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(frames) * np.timedelta64(1, "D")
    return Windows(times, (helpers.red(frames, seed) * prior.scaling.measure).astype(np.float32), 4, "training")


POINTS = helpers.SETTINGS.model_copy(update={"points": Points(share=0.7)})


def with_points(seed=0):
    return helpers.prior(POINTS, seed)


WORLDS = {
    "region": (helpers.prior, helpers.windows),
    "globe": (helpers.globe, globe_windows),
    "points": (with_points, helpers.windows),
}


def run(path, seed=0, recipe="recipe", kill_at=None, world="region"):
    """Train the small prior; `seed` is of its weights before it takes up a checkpoint."""
    advance = loop._advance

    def stop(prior, training, settings, optimiser, step):
        if step == kill_at:
            raise Killed
        return advance(prior, training, settings, optimiser, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_advance", stop)
        prior, windows = WORLDS[world]
        settings = POINTS if world == "points" else helpers.SETTINGS
        return loop.train(prior(seed=seed), windows(), windows(seed=1), settings, path, recipe)


@pytest.mark.parametrize("world", WORLDS)
def test_a_killed_and_resumed_run_ends_with_the_same_bits(tmp_path, world):
    whole, curve = run(tmp_path / "whole", world=world)
    for step in (1, 3, 5):  # before the first checkpoint, after one, after two
        with pytest.raises(Killed):
            run(tmp_path / "part", kill_at=step, world=world)
    resumed, again = run(tmp_path / "part", seed=7, world=world)  # other weights: all must come from the checkpoint
    assert torch.equal(weights(whole), weights(resumed))
    assert str(curve) == str(again)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def test_a_checkpoint_of_another_recipe_is_not_taken_up(tmp_path):
    first, _ = run(tmp_path / "c", recipe="one")
    second, _ = run(tmp_path / "c", seed=5, recipe="two")
    assert not torch.equal(weights(first), weights(second))


def test_training_learns_what_no_linear_estimate_can(tmp_path):
    """Two states: the ideal denoiser is a tanh, and the closed form, which is linear, is far from it."""
    settings = helpers.SETTINGS.model_copy(
        update={
            "steps": 500,
            "batch": 16,
            "checkpoint_every": 1000,
            "validate_every": 1000,
            "average": 0.98,
            "sigma_max": 10.0,
        }
    )
    held_out = helpers.windows(seed=5)
    start = helpers.prior(settings)
    closed = loop.validate(start, held_out, closed_form=True)
    trained, _ = loop.train(start, helpers.windows(), held_out, settings, tmp_path / "c", "r")
    learnt = loop.validate(trained, held_out)
    assert learnt["sigma_3"] < 0.85 * closed["sigma_3"]
    assert learnt["sigma_1"] < 0.65 * closed["sigma_1"]


@pytest.mark.parametrize("world", WORLDS)
def test_an_untrained_prior_is_the_closed_form(world):
    make, windows = WORLDS[world]
    prior, held_out = make(), windows(seed=5)
    assert loop.validate(prior.eval(), held_out) == loop.validate(prior, held_out, closed_form=True)


def test_points_are_values_with_the_errors_that_they_say():
    clean, generator = torch.randn(400, 4, 16), torch.Generator().manual_seed(0)
    found = loop._points(with_points(), clean, POINTS, generator)
    seen = found.precision > 0
    off = ((found.value - clean) * found.precision.sqrt())[seen]
    assert abs(off.mean()) < 0.05 and abs(off.std() - 1) < 0.05
    assert torch.equal(found.value[~seen], clean[~seen]) and 0.1 < seen.float().mean() < 0.6
    assert loop._points(helpers.prior(), clean, helpers.SETTINGS, generator) is None


def test_training_learns_to_use_points(tmp_path):
    """Of two states one seen value tells which it is; the closed form can only add up precisions."""
    more = {"steps": 500, "batch": 16, "checkpoint_every": 1000, "validate_every": 1000, "average": 0.98}
    settings = POINTS.model_copy(update=more | {"sigma_max": 10.0, "points": Points(share=1.0, error_min=0.1)})
    prior = helpers.prior(settings)
    trained, _ = loop.train(prior, helpers.windows(), helpers.windows(seed=5), settings, tmp_path / "c", "r")
    clean, told = helpers.windows(seed=6).draw(64, torch.Generator().manual_seed(1))
    sigma, generator = torch.full((64, 4), 8.0), torch.Generator().manual_seed(2)
    noisy = clean + 8 * torch.randn(clean.shape, generator=generator)
    some = torch.zeros(16)
    some[::4] = 1 / 0.3**2
    value = clean + 0.3 * torch.randn(clean.shape, generator=generator)
    points = denoiser.Points(value, some.expand_as(clean))
    idle = lambda inputs, *_: torch.zeros_like(inputs[:, :, 0])
    wrong = lambda found: ((found - clean)[..., some == 0]).square().mean().sqrt().item()  # where nothing was seen
    closed = wrong(denoiser.denoise(prior.process, idle, noisy, sigma, told, points=points))
    with torch.no_grad():
        without, learnt = wrong(trained.denoise(noisy, sigma, told)), wrong(trained.denoise(noisy, sigma, told, points))
    assert learnt < 0.9 * without and learnt < 0.9 * closed


def test_the_pace_warms_up_and_ends_at_nothing():
    assert loop.pace(0, 10, 100) == pytest.approx(0.1)
    assert max(loop.pace(s, 10, 100) for s in range(100)) < 1
    assert loop.pace(100, 10, 100) == pytest.approx(0)
