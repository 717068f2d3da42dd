"""What a GPU computes: the CPU's numbers to rounding, and the same bytes again; without one, only that of the CPU."""

import copy

import numpy as np
import pytest
import torch

from hindsight import machine
from hindsight.diffusion.gauss_markov import GaussMarkov, ideal
from hindsight.prior import Prior
from hindsight.settings.train import LinearPrior
from hindsight.train import linear_prior, loop
from tests.reanalyse import worlds
from tests.reanalyse.test_assimilation import METHODS
from tests.reanalyse.test_checkpoint import REGIMES
from tests.train import helpers

ROUNDING = 2e-4  # of the largest value: sums in another order, of float32


@pytest.fixture(scope="module", params=[pytest.param("cpu", marks=pytest.mark.slow), "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    threads = torch.get_num_threads()
    machine.compute_reproducibly(threads)
    yield torch.device(request.param)
    torch.use_deterministic_algorithms(False)


def moved(prior: Prior, device: torch.device) -> Prior:
    """A copy on the device."""
    return copy.deepcopy(prior).to(device)


def assert_close(found, expected):
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=ROUNDING * float(expected.abs().max()))


def processes() -> dict[str, GaussMarkov]:
    """One of each kind of functions."""
    region, globe = helpers.Held(helpers.two_states(400, 0)), helpers.Held(helpers.red(300, 0), helpers.GLOBE)
    return {
        "values": linear_prior.white(16),
        "empirical": linear_prior.fit(region, LinearPrior(coupled_modes=4)),
        "waves": linear_prior.fit(globe, LinearPrior(basis="waves", coupled_modes=2)),
        "channelwise": linear_prior.fit(globe, LinearPrior(basis="waves", coupled_modes=2, modes=4, residual=True)),
    }


@pytest.mark.parametrize("kind", ["values", "empirical", "waves", "channelwise"])
def test_the_linear_prior_agrees(device, kind):
    process = processes()[kind]
    there, generator = process.to(device), torch.Generator().manual_seed(1)
    noisy, white = torch.randn(2, 2, 5, process.size, generator=generator).unbind(0)
    sigma = torch.rand(2, 5, generator=generator) + 0.1
    ours, theirs = process.posterior(sigma), there.posterior(sigma.to(device))
    for name, given in (("mean", noisy), ("covariance", noisy), ("draw", white)):
        assert_close(getattr(theirs, name)(given.to(device)), getattr(ours, name)(given))
    assert_close(ideal(there, noisy.to(device), sigma.to(device)), ideal(process, noisy, sigma))


@pytest.mark.parametrize("method", METHODS)
def test_an_analysis_agrees_with_every_guidance_and_repeats_itself(device, method):
    guidance, _, _ = METHODS[method]
    sampler = worlds.DETERMINISTIC if guidance["method"] != "analytic" else {}
    agrees(device, worlds.settings(guidance=guidance, sampler=sampler, sigma_min=0.2))


@pytest.mark.parametrize("regime", REGIMES)
def test_an_analysis_agrees_in_every_regime_and_repeats_itself(device, regime):
    agrees(device, worlds.settings(**REGIMES[regime]))


def agrees(device, chosen):
    prior = worlds.busy()
    there = moved(prior, device)
    ours, theirs, again = (worlds.analysed(p, chosen, worlds.table()).fields for p in (prior, there, there))
    assert theirs.tobytes() == again.tobytes()
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=ROUNDING * 10 * np.abs(ours).max())  # of several steps


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["unet", "transformer"])
def test_training_agrees_and_repeats_itself(device, precision, kind, tmp_path):
    changed = {"kind": kind, "width": 8, "depth": 1, "heads": 2, "dropout": 0.0}  # dropout draws others on a GPU
    backbone = helpers.SETTINGS.backbone.model_copy(update=changed)
    settings = helpers.SETTINGS.model_copy(update={"precision": precision, "backbone": backbone})

    def trained(where, name):
        made = helpers.prior(settings).to(where)
        made.precision = precision
        given = helpers.windows(), helpers.windows(seed=1), settings, tmp_path / name, {"recipe": "gpu"}
        found, curve = loop.train(made, *given)
        return torch.cat([p.detach().cpu().flatten() for p in found.network.parameters()]), curve

    (_, ours), (weights, theirs), (again, twice) = (trained(*w) for w in (("cpu", "a"), (device, "b"), (device, "c")))
    assert torch.equal(weights, again) and str(theirs) == str(twice)
    assert len(ours) == len(theirs) > 1
    for one, other in zip(ours[1:], theirs[1:]):  # before the first step there is no loss
        assert other["loss"] == pytest.approx(one["loss"], rel=0.05 if precision == "bfloat16" else 0.01)
