"""An assimilation: its random numbers and its guidance."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.diffusion.guidance import analytic, diagonal, dps, forcing, fused, mmps, sda
from hindsight.diffusion.schedule import Cycle
from hindsight.errors import UserError
from tests.reanalyse import worlds

PURPOSES = ("start", "state", "observation", "step", "correction", "carry")


@pytest.fixture(scope="module")
def priors():
    return {"region": worlds.busy(), "points": worlds.busy(points=True)}


def test_noise_is_keyed_by_member_frame_and_step_and_not_by_the_stretch(priors):
    """The same member alone or in a block; the same frames in two stretches that overlap, in any view."""
    seen, steps = worlds.table(), np.array([5, 2**21 + 3])
    block, alone = (worlds.assimilation(priors["region"], seen, members=m) for m in ((0, 1, 2), (2,)))
    later, numbers = worlds.assimilation(priors["region"], seen, first=3, members=(1, 2)), []
    for purpose in PURPOSES:
        here = block.noise(slice(4, 6), steps, purpose)
        assert torch.equal(here[2:], alone.noise(slice(4, 6), steps, purpose))
        assert torch.equal(here[1:], later.noise(slice(1, 3), steps, purpose))
        assert torch.equal(here[:, 1:], block.noise(slice(5, 6), steps[1:], purpose))
        assert torch.equal(here[..., :7], block.noise(slice(4, 6), steps, purpose, 7))
        numbers.append(here.flatten())
    others = [
        worlds.assimilation(priors["region"], seen, seed=2),
        worlds.assimilation(priors["region"], seen, attempt=1),
    ]
    numbers += [other.noise(slice(4, 6), steps, "start").flatten() for other in others]
    between = np.corrcoef(torch.stack(numbers).numpy()) - np.eye(len(numbers))
    assert np.abs(between).max() < 0.45  # 96 numbers each


def test_a_late_report_changes_the_perturbation_of_no_other(priors):
    """Earlier rows are added, removed or reordered: the perturbations of the others do not change."""
    table = worlds.table().assign(station=[f"s{n}" for n in range(len(worlds.table()))])
    late = table.iloc[:1].assign(station="late", value=9.0)
    tables = [table, pd.concat([late, table]), table.iloc[1:], table.iloc[::-1]]

    def perturbations(seen):
        """Perturbations by frame, place and value of the observation."""
        whole = worlds.assimilation(priors["region"], seen)
        part = whole.denoiser(slice(0, 6))
        errors = part._errors(partial(whole.noise, slice(0, 6), np.full(6, 7)))
        there = zip(*np.nonzero(part.observations.present.numpy()))
        named = {
            (t, part.observations.point[t, n, 0].item(), part.observations.value[t, n].item()): (t, n) for t, n in there
        }
        return {name: errors[:, t, n].tolist() for name, (t, n) in named.items()}

    whole, more, less, turned = map(perturbations, tables)
    assert len(whole) == len(more) - 1 == len(less) + 1 and turned == whole
    assert whole.items() <= more.items() and less.items() <= whole.items()
    assert len({value for three in more.values() for value in three}) == 3 * len(more)


def test_attempts_have_different_random_numbers(priors):
    """However many rounds one attempt has, it does not reach the numbers of the next."""
    first, second = (worlds.assimilation(priors["region"], worlds.table(), attempt=a) for a in (0, 1))
    far = np.array([2**20 * 500 + 2**20 - 1])
    assert not torch.equal(first.noise(slice(0, 1), far, "step"), second.noise(slice(0, 1), far * 0, "step"))
    assert not torch.equal(first.noise(slice(0, 1), far, "step"), second.noise(slice(0, 1), far, "step"))


def test_attempts_resample_with_different_offsets(priors):
    cost, cycle = torch.arange(3.0)[:, None] / 3, Cycle(0, np.zeros((2, 6)), np.zeros(6, int), 6)
    attempts = (worlds.assimilation(priors["region"], worlds.table(), attempt=a) for a in range(12))
    picked = {tuple(attempt.resampled(cost, 0.4, cycle)[:, 0].tolist()) for attempt in attempts}
    assert len(picked) > 1


METHODS = {
    "analytic": ({"method": "analytic"}, analytic.Analytic, {}),
    "mmps": ({"method": "mmps", "iterations": 7}, mmps.Mmps, {"iterations": 7}),
    "sda": ({"method": "sda", "gamma": 0.7}, sda.Sda, {"gamma": 0.7}),
    "sda, its own": ({"method": "sda"}, sda.Sda, {"gamma": 0.03}),
    "dps": ({"method": "dps", "zeta": 0.7}, dps.Dps, {"zeta": 0.7}),
    "diagonal": ({"method": "diagonal", "gamma": 2.0}, diagonal.Diagonal, {"gamma": 2.0}),
    "forcing": (
        {"method": "forcing", "gamma": 0.5, "zeta": 0.1, "spectral": 0.2},
        forcing.Forcing,
        {"gamma": 0.5, "zeta": 0.1, "spectral": 0.2},
    ),
    "forcing, its own": ({"method": "forcing"}, forcing.Forcing, {"gamma": 0.01, "zeta": 0.1, "spectral": 0.0}),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_guidance_gets_its_settings_and_the_observations_of_its_frames_only(priors, method):
    guidance, kind, expected = METHODS[method]
    sampler = worlds.DETERMINISTIC if guidance["method"] != "analytic" else {}
    whole = worlds.assimilation(priors["region"], worlds.table(), guidance=guidance, sampler=sampler, sigma_min=0.2)
    found = whole.denoiser(slice(2, 5))
    assert type(found) is kind and {name: getattr(found, name) for name in expected} == expected
    assert torch.equal(found.observations.value, whole.observations.value[2:5]) and found.prior.fixed_sigma == 0.2
    if guidance.get("spectral"):
        again = forcing.Spectrum.of(priors["region"].process, (1, 4, 4))
        assert torch.equal(found.spectrum.power, again.power) and found.spectrum.shape == (1, 4, 4)


def test_levels_of_points_are_the_observed_values(priors):
    found = worlds.assimilation(priors["points"], worlds.table(), guidance={"method": "fused"}).denoiser(slice(2, 5))
    assert type(found) is fused.Fused
    value, precision = found.points.value[0].view(3, 4, 4), found.points.inverse_variance[0].view(3, 4, 4)
    rows = worlds.table()
    for t in range(3):
        here = rows[rows["time"] == worlds.times(2 + t, 3 + t)[0]]["value"].to_numpy()
        torch.testing.assert_close(value[t, 1, [0, 2]], torch.tensor(here, dtype=torch.float32))
    torch.testing.assert_close(precision[:, 1, [0, 2]], torch.full((3, 2), 1 / 0.09))
    assert (precision > 0).sum() == 6


def test_fused_guidance_refuses_observations_between_grid_points(priors):
    between = worlds.table().assign(latitude=1.5)
    with pytest.raises(
        UserError,
        match=r"some depend on several \(between grid points, .*\) or are nonlinear; set reanalyse.guidance.method: ",
    ):
        worlds.assimilation(priors["points"], between, guidance={"method": "fused"}).denoiser(slice(0, 3))


def test_a_guided_mean_does_not_depend_on_the_batch(priors):
    """Windows and members in small batches give the same as all at once."""
    x, level = torch.randn(3, 6, 16), torch.full((6,), 0.7)
    found, costs = [], []
    for batch in (1, 3, 64):
        about = {"guidance": {"method": "mmps"}, "sampler": {"step": "ddim"}, "batch": batch}
        each = worlds.assimilation(priors["region"], worlds.table(), **about)
        found.append(each.denoiser(slice(0, 6)).mean(x, level, level / 2))
        costs.append(each.cost)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=2e-5, rtol=1e-4)
    assert costs[0] == costs[1] == costs[2] and costs[0].backward == 4 * costs[0].evaluations > 0


def test_windows_without_a_frame_that_moves_are_not_evaluated(priors):
    """The others give the same as if all were."""
    x, above = torch.randn(3, 12, 16), torch.full((12,), 0.7)
    below = above.clone()
    below[9:] = 0.1
    about = {"guidance": {"method": "sda"}, "sampler": {"step": "ddim"}}
    part, whole = (worlds.assimilation(priors["region"], worlds.table().iloc[:0], frames=12, **about) for _ in range(2))
    moved = part.denoiser(slice(0, 12)).mean(x, above, below)
    everything = whole.denoiser(slice(0, 12)).mean(x, above, above)
    torch.testing.assert_close(moved[:, 9:], everything[:, 9:], atol=1e-5, rtol=1e-4)
    assert 0 < part.cost.evaluations < 0.7 * whole.cost.evaluations
