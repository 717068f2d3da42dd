"""H U as matrices, in parts with slopes of each member, against H as a gather and dense conditioning."""

from dataclasses import replace

import pytest
import torch

from hindsight.diffusion import dense_rows
from hindsight.diffusion.dense_rows import Dense
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.observation_system import MatrixFree
from tests.diffusion.guidance import scenes
from tests.diffusion.test_information import days
from tests.oracles import linear_gaussian as oracle

SEEN = {"of a frame": scenes.seen(), "between frames": scenes.between(), "three frames back": days(3)}


def sloped(seen):
    """The same rows in two parts, with slopes and errors of each member."""
    generator = torch.Generator().manual_seed(5)
    slopes = 1 + 0.5 * torch.randn(scenes.MEMBERS, *seen.value.shape, 2, generator=generator)
    factor = 0.5 + torch.rand(scenes.MEMBERS, *seen.value.shape, generator=generator)
    weight = (seen.weight.unflatten(-1, (2, 2)) * slopes[..., None]).flatten(-2)
    own = {"weight": weight, "value": seen.value * factor, "error": seen.error * factor}
    return replace(seen, **own, base=seen.weight, slopes=slopes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seen", SEEN)
def test_products_with_slopes_are_those_of_each_members_weights(seen, dtype):
    seen, generator = sloped(SEEN[seen]), torch.Generator().manual_seed(0)
    dense, free = Dense(scenes.PROCESS, seen, {}), MatrixFree(scenes.PROCESS, seen)
    a = torch.randn(3, scenes.FRAMES, len(scenes.PROCESS.variance), generator=generator).to(dtype)
    v = torch.randn(3, *seen.present.shape, generator=generator).to(dtype)
    torch.testing.assert_close(dense.at_places(a), free.at_places(a), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dense.into_modes(v), free.into_modes(v), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close((dense.at_places(a) * v).sum(), (a * dense.into_modes(v)).sum())


def test_the_largest_variance_is_that_of_any_member():
    """Of rows of one frame, by the weights of one member after another."""
    seen, variance = sloped(scenes.seen()), scenes.PROCESS.variance
    alone = [
        Dense(scenes.PROCESS, replace(seen, weight=w, error=e, base=None, slopes=None), {}).largest_variance(variance)
        for w, e in zip(seen.weight, seen.error)
    ]
    torch.testing.assert_close(Dense(scenes.PROCESS, seen, {}).largest_variance(variance), max(alone))


@pytest.mark.parametrize("seen", SEEN)
def test_the_update_of_each_member_is_dense_conditioning_by_its_own_weights(seen):
    x, seen = scenes.noisy(), sloped(SEEN[seen])
    guide = Analytic(scenes.prior(), seen, 1e-6)
    found = guide.update(x, scenes.PROCESS.posterior(scenes.ABOVE[None]))
    _, spread = scenes.posterior()
    assert isinstance(guide.system, Dense)
    for member in range(scenes.MEMBERS):
        own = {name: getattr(seen, name)[member] for name in ("weight", "value", "error")}
        operator, error, value = scenes.dense(replace(seen, **own, base=None, slopes=None))
        flat = x[member].double().numpy().ravel()
        moved, _ = oracle.condition(spread, operator, error, value - operator @ flat)
        scenes.agree(found[member], flat + moved)


def test_members_alike_are_preconditioned_like_shared_weights():
    seen = scenes.seen()
    ones = torch.ones(scenes.MEMBERS, *seen.value.shape, 2)
    own = {name: getattr(seen, name).expand(scenes.MEMBERS, *getattr(seen, name).shape) for name in ("weight", "error")}
    alike, posterior = replace(seen, **own, base=seen.weight, slopes=ones), scenes.PROCESS.posterior(scenes.ABOVE[None])
    v = torch.randn(3, *seen.present.shape, generator=torch.Generator().manual_seed(2))
    found = [Dense(scenes.PROCESS, one, {}).preconditioner(posterior)(v) for one in (alike, seen)]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_matrices_are_kept_from_one_linearisation_to_the_next():
    """Other slopes are the same places; weights that all share are another operator."""
    cache, seen = {}, sloped(scenes.seen())
    Dense(scenes.PROCESS, seen, cache)
    kept = dict(cache)
    Dense(scenes.PROCESS, replace(seen, slopes=2 * seen.slopes, weight=2 * seen.weight, error=3 * seen.error), cache)
    assert cache.keys() == kept.keys() and len(kept) == scenes.FRAMES
    Dense(scenes.PROCESS, scenes.seen(), cache)
    assert len(cache) == 2 * scenes.FRAMES


def test_memory_and_work_count_every_geometry_and_part():
    """Three rows in each of five frames, of eight modes; every frame has places of its own."""
    seen, process = scenes.seen(), scenes.PROCESS
    assert dense_rows.memory(process, seen) == 5 * 3 * (4 * 8 + 12 * 3)
    assert dense_rows.memory(process, sloped(seen)) == 5 * 3 * (2 * 4 * 8 + 12 * 3)
    assert dense_rows.work(process, seen) == 5 * 9 * (2 * 8 + 3) + dense_rows.ITERATIONS * 5 * 3 * 8
    still = replace(seen, **{n: getattr(seen, n)[:1].expand_as(getattr(seen, n)) for n in ("point", "weight", "error")})
    still = replace(still, present=torch.ones(5, 3))
    assert dense_rows.memory(process, still) == 3 * (4 * 8 + 12 * 3)
    assert dense_rows.memory(process, sloped(still)) == 3 * (2 * 4 * 8 + 5 * 12 * 3)
    assert dense_rows.applies(sloped(seen)) and not dense_rows.applies(replace(sloped(seen), slopes=None))
