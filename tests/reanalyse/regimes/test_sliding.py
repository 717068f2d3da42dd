"""Sliding: its cycles, and resampling in space."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.diffusion import selection
from hindsight.diffusion.schedule import Cycle
from hindsight.reanalyse import regimes, sampling
from tests.reanalyse import worlds
from tests.train import helpers


@pytest.fixture(scope="module")
def globe():
    return helpers.globe().eval()


@pytest.fixture(scope="module")
def region():
    return worlds.busy()


SETTINGS = {"regime": "sliding", "lag_hours": 24, "window": {"hop_hours": 48, "carried": 0.5, "effective": 0.7}}


def test_the_window_hops_and_carries_frames_over_at_their_noise_level():
    cycles = regimes.cycles(worlds.settings(**SETTINGS), 9, 24)
    assert [c.finished for c in cycles] == [2, 4, 6, 9] and {c.weigh for c in cycles} == {"before"}
    top = sampling.levels(worlds.settings())[-1]
    np.testing.assert_array_equal(cycles[1].rows[0], [0.5, 0.5, 0.5, top, top])


def test_with_all_members_effective_none_are_resampled():
    chosen = worlds.settings(**SETTINGS | {"window": SETTINGS["window"] | {"effective": 1.0}})
    assert {c.weigh for c in regimes.cycles(chosen, 9, 24)} == {"never"}


CITY, PORT = (15.0, 45.0), (-45.0, 225.0)  # places of the globe that are far apart


def rivals(made, **about):
    """Three members on the globe: the first fits one place, the second the other, the third neither."""
    climatology = dict(zip(made.metadata.channels, made.scaling.coefficients[0]))
    rows = []
    for latitude, longitude in (CITY, PORT):
        i, j = list(helpers.GLOBE.latitude).index(latitude), list(helpers.GLOBE.longitude).index(longitude)
        value = climatology["z500"][i, j] + 2 * 1.0 / made.scaling.measure[i, 0]
        rows.append((worlds.times(1, 2)[0], "z500", latitude, longitude, value, 0.2))
    seen = pd.DataFrame(rows, columns=["time", "channel", "latitude", "longitude", "value", "error"])
    found = worlds.assimilation(made, seen, frames=3, **about)
    members = torch.stack([torch.full((3, 2 * 48), float(k)) for k in (10, 20, 30)])
    state = members.view(3, 3, 2, 6, 8)
    for k, (latitude, longitude) in enumerate((CITY, PORT)):
        i, j = list(helpers.GLOBE.latitude).index(latitude), list(helpers.GLOBE.longitude).index(longitude)
        state[k, 1, 0, i, j] = 1.0
    assert selection.misfit(members, found.observations).sum((1, 2)).argsort()[2] == 2
    return found, members, seen


def cycle(finished=3):
    return Cycle(0, np.array([[0.5] * 3, [0.0] * 3]), np.zeros(3, int), finished, "after")


def at(members, place, t=0):
    """Values of members near a place; they identify the member."""
    i, j = list(helpers.GLOBE.latitude).index(place[0]), list(helpers.GLOBE.longitude).index(place[1])
    return members.view(3, 3, 2, 6, 8)[:, t, :, i, j]


SLIDING = {"regime": "sliding", "lag_hours": 24}


def test_weights_in_space_let_good_parts_of_different_members_combine(globe):
    found, members, _ = rivals(globe, **SLIDING, window={"reach_km": 1500.0, "effective": 0.3})
    after = regimes.resample(found, members, np.zeros(3), cycle())
    for t in (0, 2):  # in every frame, not only where something was seen, and all channels
        assert (at(after, CITY, t) == 10).all() and (at(after, PORT, t) == 20).all()
    assert (at(after, CITY, 1) == torch.tensor([1.0, 10.0])).all()


def test_with_a_reach_round_the_globe_or_none_members_are_taken_whole(globe):
    for reach in (None, 1e7):
        found, members, _ = rivals(globe, **SLIDING, window={"reach_km": reach, "effective": 0.3})
        after = regimes.resample(found, members, np.zeros(3), cycle())
        for member in after:
            assert any(torch.equal(member, other) for other in members)


def test_a_place_out_of_reach_of_any_observation_keeps_its_members(globe):
    found, members, _ = rivals(globe, **SLIDING, window={"reach_km": 300.0, "effective": 0.3})
    after = regimes.resample(found, members, np.zeros(3), cycle())
    far = (75.0, 180.0)
    assert torch.equal(at(after, far), at(members, far)) and not torch.equal(at(after, CITY), at(members, CITY))


def test_weights_between_two_places_are_those_of_distance(globe):
    """By hand: misfits times exp(-(d / reach)^2 / 2), d along the great circle, tempered to the number asked for."""
    reach, effective = 4000.0, 0.6
    found, members, seen = rivals(globe, **SLIDING, window={"reach_km": reach, "effective": effective})
    misfit = selection.misfit(members, found.observations).sum(1).double().numpy()  # (E, N): one frame has all
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        plain = selection.resampled
        patch.setattr(selection, "resampled", lambda weights, along: calls.append(weights) or plain(weights, along))
        regimes.resample(found, members, np.zeros(3), cycle())
    unit = lambda a, b: np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    for p, (latitude, longitude) in enumerate((a, b) for a in helpers.GLOBE.latitude for b in helpers.GLOBE.longitude):
        here, cost = unit(*np.deg2rad([latitude, longitude])), np.zeros(3)
        for n, row in enumerate(seen.itertuples()):
            there = unit(*np.deg2rad([row.latitude, row.longitude]))
            distance = 6371.0 * np.arctan2(np.linalg.norm(np.cross(here, there)), here @ there)
            cost += misfit[:, n] * np.exp(-0.5 * (distance / reach) ** 2)
        expected = selection.tempered(torch.tensor(cost)[:, None], effective * 3)[:, 0]
        np.testing.assert_allclose(calls[0][:, p], expected, atol=2e-3)


def test_choices_belong_to_the_frame_and_the_seed(region):
    """Systematic resampling begins where frame, round and seed say, the same in every job."""
    begun = []
    with pytest.MonkeyPatch.context() as patch:
        plain = selection.resampled
        patch.setattr(selection, "resampled", lambda weights, along: begun.append(along) or plain(weights, along))
        about = {"regime": "sliding", "lag_hours": 24, "window": {"effective": 0.5}}
        view = lambda first: dataclasses.replace(cycle(), first=first)
        for first, start, seed in ((0, 2, 1), (2, 0, 1), (0, 0, 1), (0, 2, 2)):
            each = worlds.assimilation(region, worlds.table(), first=first, seed=seed, **about)
            regimes.resample(each, torch.zeros(3, 3, 16), np.zeros(3), view(start))
    assert begun[0] == begun[1] and len(set(begun)) == 3 and all(0 <= along < 1 for along in begun)
