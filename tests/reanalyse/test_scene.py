"""What a sampler walks in: random numbers, guidances and weights of a stretch."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.diffusion import selection
from hindsight.diffusion.guidance import analytic, diagonal, dps, forcing, fused, mmps, sda
from hindsight.diffusion.plan import Cycle
from hindsight.errors import UserError
from hindsight.reanalyse.conditions import observed
from hindsight.reanalyse.scene import Scene
from tests.reanalyse import worlds
from tests.train import helpers

PURPOSES = ("start", "state", "observation", "step", "correction", "carry")


@pytest.fixture(scope="module")
def priors():
    return {"region": worlds.busy(), "points": worlds.busy(points=True), "globe": helpers.globe().eval()}


def scene(prior, seen, first=0, frames=6, members=(0, 1, 2), seed=1, attempt=0, **about):
    times, told = worlds.times(first, first + frames), prior.about
    conditions = observed(seen, times, told.channels, told.grid, prior.scaling)
    return Scene(prior, times, conditions, list(members), seed, worlds.settings(**about), attempt)


def test_noise_is_keyed_by_member_frame_and_step_and_not_by_the_stretch(priors):
    """The same member alone or in a block; the same frames in two stretches that overlap, in any view."""
    seen, steps = worlds.table(), np.array([5, 2**21 + 3])
    block, alone = (scene(priors["region"], seen, members=m) for m in ((0, 1, 2), (2,)))
    later, numbers = scene(priors["region"], seen, first=3, members=(1, 2)), []
    for purpose in PURPOSES:
        here = block.noise(slice(4, 6), steps, purpose)
        assert torch.equal(here[2:], alone.noise(slice(4, 6), steps, purpose))
        assert torch.equal(here[1:], later.noise(slice(1, 3), steps, purpose))
        assert torch.equal(here[:, 1:], block.noise(slice(5, 6), steps[1:], purpose))
        assert torch.equal(here[..., :7], block.noise(slice(4, 6), steps, purpose, 7))
        numbers.append(here.flatten())
    others = [scene(priors["region"], seen, seed=2), scene(priors["region"], seen, attempt=1)]
    numbers += [other.noise(slice(4, 6), steps, "start").flatten() for other in others]
    between = np.corrcoef(torch.stack(numbers).numpy()) - np.eye(len(numbers))
    assert np.abs(between).max() < 0.45  # 96 numbers each


def test_a_late_report_changes_the_perturbation_of_no_other(priors):
    """Rows that stand before others are new, gone or in another order: the others' numbers stay as they are."""
    table = worlds.table().assign(station=[f"s{n}" for n in range(len(worlds.table()))])
    late = table.iloc[:1].assign(station="late", value=9.0)
    tables = [table, pd.concat([late, table]), table.iloc[1:], table.iloc[::-1]]

    def perturbations(seen):
        """By the value and the place that are perturbed; (T, …) of every frame."""
        whole = scene(priors["region"], seen)
        part = whole.denoiser(slice(0, 6))
        errors = part._errors(lambda purpose, size=None: whole.noise(slice(0, 6), np.full(6, 7), purpose, size))
        there = zip(*np.nonzero(part.observed.present.numpy()))
        named = {(t, part.observed.point[t, n, 0].item(), part.observed.value[t, n].item()): (t, n) for t, n in there}
        return {name: errors[:, t, n].tolist() for name, (t, n) in named.items()}

    whole, more, less, turned = map(perturbations, tables)
    assert len(whole) == len(more) - 1 == len(less) + 1 and turned == whole
    assert whole.items() <= more.items() and less.items() <= whole.items()
    assert len({value for three in more.values() for value in three}) == 3 * len(more)


def test_attempts_never_meet(priors):
    """However far the rounds of one go, they do not reach the numbers of the next."""
    first, second = (scene(priors["region"], worlds.table(), attempt=a) for a in (0, 1))
    far = np.array([2**20 * 500 + 2**20 - 1])
    assert not torch.equal(first.noise(slice(0, 1), far, "step"), second.noise(slice(0, 1), far * 0, "step"))
    assert not torch.equal(first.noise(slice(0, 1), far, "step"), second.noise(slice(0, 1), far, "step"))


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
def test_a_guidance_is_told_its_settings_and_the_observations_of_its_frames_alone(priors, method):
    guidance, kind, expected = METHODS[method]
    sampler = worlds.DETERMINISTIC if guidance["method"] != "analytic" else {}
    whole = scene(priors["region"], worlds.table(), guidance=guidance, sampler=sampler, sigma_min=0.2)
    found = whole.denoiser(slice(2, 5))
    assert type(found) is kind and {name: getattr(found, name) for name in expected} == expected
    assert torch.equal(found.observed.value, whole.seen.value[2:5]) and found.prior.held == 0.2
    if guidance.get("spectral"):
        again = forcing.Spectrum.of(priors["region"].process, (1, 4, 4))
        assert torch.equal(found.spectrum.power, again.power) and found.spectrum.shape == (1, 4, 4)


def test_levels_of_points_are_the_observed_values(priors):
    found = scene(priors["points"], worlds.table(), guidance={"method": "fused"}).denoiser(slice(2, 5))
    assert type(found) is fused.Fused
    value, precision = found.points.value[0].view(3, 4, 4), found.points.precision[0].view(3, 4, 4)
    rows = worlds.table()
    for t in range(3):
        here = rows[rows["time"] == worlds.times(2 + t, 3 + t)[0]]["value"].to_numpy()
        torch.testing.assert_close(value[t, 1, [0, 2]], torch.tensor(here, dtype=torch.float32))
    torch.testing.assert_close(precision[:, 1, [0, 2]], torch.full((3, 2), 1 / 0.09))
    assert (precision > 0).sum() == 6


def test_levels_of_points_between_grid_points_are_refused_in_words(priors):
    between = worlds.table().assign(latitude=1.5)
    with pytest.raises(
        UserError, match="some lie between grid points or are means of several; set reanalyse.guidance.method: analytic"
    ):
        scene(priors["points"], between, guidance={"method": "fused"}).denoiser(slice(0, 3))


def test_what_a_guidance_sees_does_not_depend_on_memory(priors):
    """Windows and members in small batches are the same as all at once."""
    x, level = torch.randn(3, 6, 16), torch.full((6,), 0.7)
    found, costs = [], []
    for batch in (1, 3, 64):
        about = {"guidance": {"method": "mmps"}, "sampler": {"step": "ddim"}, "batch": batch}
        each = scene(priors["region"], worlds.table(), **about)
        found.append(each.denoiser(slice(0, 6)).mean(x, level, level / 2))
        costs.append(each.cost)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=2e-5, rtol=1e-4)
    assert costs[0] == costs[1] == costs[2] and costs[0].backward == 4 * costs[0].evaluations > 0


def test_windows_without_a_frame_that_moves_are_not_evaluated(priors):
    """And what is evaluated is the same as if all were."""
    x, above = torch.randn(3, 12, 16), torch.full((12,), 0.7)
    below = above.clone()
    below[9:] = 0.1
    about = {"guidance": {"method": "sda"}, "sampler": {"step": "ddim"}}
    part, whole = (scene(priors["region"], worlds.table().iloc[:0], frames=12, **about) for _ in range(2))
    moved = part.denoiser(slice(0, 12)).mean(x, above, below)
    everything = whole.denoiser(slice(0, 12)).mean(x, above, above)
    torch.testing.assert_close(moved[:, 9:], everything[:, 9:], atol=1e-5, rtol=1e-4)
    assert 0 < part.cost.evaluations < 0.7 * whole.cost.evaluations


CITY, PORT = (15.0, 45.0), (-45.0, 225.0)  # places of the globe that are far apart


def rivals(priors, **about):
    """Three members round the globe: the first fits one place, the second the other, the third neither."""
    made = priors["globe"]
    climatology = dict(zip(made.about.channels, made.scaling.coefficients[0]))
    rows = []
    for latitude, longitude in (CITY, PORT):
        i, j = list(helpers.GLOBE.latitude).index(latitude), list(helpers.GLOBE.longitude).index(longitude)
        value = climatology["z500"][i, j] + 2 * 1.0 / made.scaling.measure[i, 0]
        rows.append((worlds.times(1, 2)[0], "z500", latitude, longitude, value, 0.2))
    seen = pd.DataFrame(rows, columns=["time", "channel", "latitude", "longitude", "value", "error"])
    found = scene(made, seen, frames=3, **about)
    members = torch.stack([torch.full((3, 2 * 48), float(k)) for k in (10, 20, 30)])
    state = members.view(3, 3, 2, 6, 8)
    for k, (latitude, longitude) in enumerate((CITY, PORT)):
        i, j = list(helpers.GLOBE.latitude).index(latitude), list(helpers.GLOBE.longitude).index(longitude)
        state[k, 1, 0, i, j] = 1.0
    assert selection.misfit(members, found.seen).sum((1, 2)).argsort()[2] == 2
    return found, members, seen


def cycle(finished=3):
    return Cycle(0, np.array([[0.5] * 3, [0.0] * 3]), np.zeros(3, int), finished, True)


def at(members, place, t=0):
    """What members hold near a place; a number that says whose it is."""
    i, j = list(helpers.GLOBE.latitude).index(place[0]), list(helpers.GLOBE.longitude).index(place[1])
    return members.view(3, 3, 2, 6, 8)[:, t, :, i, j]


SLIDING = {"regime": "sliding", "lag_hours": 24}


def test_weights_in_space_let_good_parts_of_different_members_combine(priors):
    found, members, _ = rivals(priors, **SLIDING, window={"reach_km": 1500.0, "effective": 0.3})
    after = found.weigh(members, cycle())
    for t in (0, 2):  # in every frame, not only where something was seen, and all channels
        assert (at(after, CITY, t) == 10).all() and (at(after, PORT, t) == 20).all()
    assert (at(after, CITY, 1) == torch.tensor([1.0, 10.0])).all()


def test_with_a_reach_round_the_globe_or_none_members_are_taken_whole(priors):
    for reach in (None, 1e7):
        found, members, _ = rivals(priors, **SLIDING, window={"reach_km": reach, "effective": 0.3})
        after = found.weigh(members, cycle())
        for member in after:
            assert any(torch.equal(member, other) for other in members)


def test_a_place_out_of_reach_of_any_observation_keeps_its_members(priors):
    found, members, _ = rivals(priors, **SLIDING, window={"reach_km": 300.0, "effective": 0.3})
    after = found.weigh(members, cycle())
    far = (75.0, 180.0)
    assert torch.equal(at(after, far), at(members, far)) and not torch.equal(at(after, CITY), at(members, CITY))


def test_weights_between_two_places_are_those_of_distance(priors):
    """By hand: misfits times exp(-(d / reach)^2 / 2), d along the great circle, tempered to the number asked for."""
    reach, effective = 4000.0, 0.6
    found, members, seen = rivals(priors, **SLIDING, window={"reach_km": reach, "effective": effective})
    misfit = selection.misfit(members, found.seen).sum(1).double().numpy()  # (E, N): one frame has all
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        plain = selection.resampled
        patch.setattr(selection, "resampled", lambda weights, along: asked.append(weights) or plain(weights, along))
        found.weigh(members, cycle())
    unit = lambda a, b: np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    for p, (latitude, longitude) in enumerate((a, b) for a in helpers.GLOBE.latitude for b in helpers.GLOBE.longitude):
        here, cost = unit(*np.deg2rad([latitude, longitude])), np.zeros(3)
        for n, row in enumerate(seen.itertuples()):
            there = unit(*np.deg2rad([row.latitude, row.longitude]))
            distance = 6371.0 * np.arctan2(np.linalg.norm(np.cross(here, there)), here @ there)
            cost += misfit[:, n] * np.exp(-0.5 * (distance / reach) ** 2)
        expected = selection.tempered(torch.tensor(cost)[:, None], effective * 3)[:, 0]
        np.testing.assert_allclose(asked[0][:, p], expected, atol=2e-3)


def test_after_a_batch_members_are_weighed_frame_by_frame(priors):
    """Misfits count near their own time: far from the observations everyone stays."""
    made, seen = priors["region"], worlds.table(frames=1)
    chosen = {"selection": {"passes": 1, "reach_hours": 48.0, "effective": 0.34}}
    found = scene(made, seen, frames=20, **chosen)
    members = torch.stack([torch.full((20, 16), float(k)) for k in (0, 40, 80)])
    whole = Cycle(0, np.array([[0.5] * 20, [0.0] * 20]), np.zeros(20, int), 0, True)
    after = found.weigh(members, whole)
    assert (after[:, :3] == 0).all() and torch.equal(after[:, 16:], members[:, 16:])


def test_choices_belong_to_the_frame_and_the_seed(priors):
    """Systematic resampling begins where frame, round and seed say, the same in every job."""
    begun = []
    with pytest.MonkeyPatch.context() as patch:
        plain = selection.resampled
        patch.setattr(selection, "resampled", lambda weights, along: begun.append(along) or plain(weights, along))
        about = {"regime": "sliding", "lag_hours": 24, "window": {"effective": 0.5}}
        view = lambda first: dataclasses.replace(cycle(), first=first)
        for first, start, seed in ((0, 2, 1), (2, 0, 1), (0, 0, 1), (0, 2, 2)):
            each = scene(priors["region"], worlds.table(), first=first, seed=seed, **about)
            each.weigh(torch.zeros(3, 3, 16), view(start))
    assert begun[0] == begun[1] and len(set(begun)) == 3 and all(0 <= along < 1 for along in begun)
