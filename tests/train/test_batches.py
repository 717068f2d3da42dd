"""Batches."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import sigmoid
from hindsight.settings import Train
from hindsight.settings.train import Points
from hindsight.train import batches
from tests.train import helpers

SHAPE = helpers.SHAPE
POINTS = helpers.SETTINGS.model_copy(update={"points": Points(share=0.7)})


def make(step=3, rows=range(4), settings=POINTS, windows=None):
    return batches.make(windows or helpers.windows(), settings, SHAPE, step, rows)


def test_rows_made_separately_are_the_rows_of_the_whole_batch():
    """So that processes can share a batch, and a resumed run gets the same batches."""
    whole, parts = make(), [make(rows=range(2)), make(rows=range(2, 4))]
    for name in ("clean", "noisy", "sigma", "conditions", "value", "inverse_variance"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(p, name) for p in parts])), name


@pytest.mark.parametrize("change", [{"step": 4}, {"settings": POINTS.model_copy(update={"seed": 2})}])
def test_another_step_and_another_seed_have_other_windows_and_other_noise(change):
    here, there = make(), make(**change)
    assert not torch.equal(here.clean, there.clean) and not torch.equal(here.sigma, there.sigma)
    assert not torch.equal(here.noisy - here.clean, there.noisy - there.clean)


def test_the_windows_of_the_next_step_are_prefetched():
    """Each is read once, during the step before."""
    windows, read = helpers.windows(), []
    plain = windows.read
    windows.read = lambda first, last: read.append(first) or plain(first, last)
    for step in range(3, 6):
        assert torch.equal(make(step, windows=windows).clean, make(step).clean)
    windows._prefetched[1].result()
    order = windows.shuffled(POINTS.seed, 3 * 4, 4 * 4)
    assert read == [int(windows.starts[n]) for n in order]


def test_rows_differ_from_each_other():
    noise = (lambda b: (b.noisy - b.clean) / b.sigma[..., None])(make(settings=helpers.SETTINGS, rows=range(4)))
    assert all(not torch.allclose(noise[0], noise[k]) for k in (1, 2, 3))


def test_noise_is_white_with_the_standard_deviation_of_its_level():
    rows = [make(step, settings=helpers.SETTINGS) for step in range(300)]
    white = torch.cat([(b.noisy - b.clean) / b.sigma[..., None] for b in rows]).flatten()
    assert abs(white.mean()) < 0.01 and abs(white.std() - 1) < 0.01


def test_noise_can_be_clipped():
    cut = helpers.SETTINGS.model_copy(update={"noise_limit": 1.0})
    plain, batch = make(settings=helpers.SETTINGS), make(settings=cut)
    white = lambda b: (b.noisy - b.clean) / b.sigma[..., None]
    torch.testing.assert_close(white(batch), white(plain).clamp(-1, 1), atol=1e-4, rtol=1e-4)


def test_observed_points_have_errors_of_their_variance():
    found = [make(step) for step in range(100)]
    column = lambda name: torch.cat([getattr(batch, name) for batch in found])
    clean, value, inverse_variance = column("clean"), column("value"), column("inverse_variance")
    observed = inverse_variance > 0
    off = ((value - clean) * inverse_variance.sqrt())[observed]
    assert abs(off.mean()) < 0.05 and abs(off.std() - 1) < 0.05
    assert torch.equal(value[~observed], clean[~observed]) and 0.1 < observed.float().mean() < 0.6
    assert make(settings=helpers.SETTINGS).points is None


def levels(**settings):
    chosen = Train.model_validate(settings)
    generator = torch.Generator().manual_seed(0)
    return torch.cat([batches.noise_levels(chosen, 6, generator) for _ in range(500)])


def test_noise_levels_follow_the_settings():
    even = levels(equal_share=1.0, staircase_share=0.0)
    assert (even == even[:, :1]).all() and even.min() >= 0.02 and even.max() <= 40
    own = torch.as_tensor(sigmoid.sigmas(), dtype=torch.float32)
    published = levels(design="forcingdas")
    assert torch.isin(published, own).all()
    rising = levels(design="forcingdas", staircase_share=1.0, noise_levels={"staircase": "sorted"})
    assert (rising.diff(dim=1) >= 0).all() and not (published.diff(dim=1) >= 0).all(1).float().mean() > 0.5


@pytest.mark.parametrize(("staircase", "between"), [("pyramid", 4), ("autoregressive", 1)])
def test_staircases_have_the_steps_the_context_and_the_share_of_the_settings(staircase, between):
    """After at most two frames of context, levels of a four-step schedule; elsewhere one level in 200 is one."""
    chosen = {"staircase": staircase, "steps": 4, "context": 2}
    rungs = torch.tensor(sigmoid.sigmas()[[0, 249, 499, 749, 999]], dtype=torch.float32)
    found = levels(design="forcingdas", staircase_share=1.0, noise_levels=chosen)[:, 2:]
    assert torch.isin(found, rungs).all()
    assert ((found > rungs[0]) & (found < rungs[-1])).sum(1).max() == min(between, 3)
    half = levels(design="forcingdas", staircase_share=0.5, noise_levels=chosen)[:, 2:]
    assert torch.isin(half, rungs).all(1).float().mean() == pytest.approx(0.5, abs=0.08)


def test_a_loader_gives_the_steps_in_order():
    made = []
    loader = batches.Loader(lambda step: made.append(step) or make(step), 2, 6, torch.device("cpu"))
    for step, batch in loader:
        assert made[-1] == step and torch.equal(batch.noisy, make(step).noisy)
    assert made == [2, 3, 4, 5] and loader.wait_seconds > 0


def test_batches_made_ahead_are_the_same():
    loader = batches.Loader(make, 2, 6, torch.device("cpu"))
    assert [torch.equal(batch.noisy, make(step).noisy) for step, batch in zip(range(2, 6), loader._made_ahead())] == [
        True
    ] * 4
    assert list(batches.Loader(make, 6, 6, torch.device("cpu"))._made_ahead()) == []


def test_a_split_batch_keeps_its_order():
    whole = make()
    assert torch.equal(torch.cat([part.noisy for part in whole.split(2)]), whole.noisy)
    assert whole.split(2)[1].points.inverse_variance.shape[0] == 2 and np.isfinite(whole.noisy).all()
