"""The particle filter: its cycles, and resampling of a member's past before a frame enters."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import selection
from hindsight.reanalyse import regimes
from hindsight.settings import Reanalyse
from tests.reanalyse import worlds

SETTINGS = {"regime": "particle_filter", "lag_hours": 0, "context": 3, "window": {"effective": 0.4}}


def test_finished_frames_are_kept_fixed_and_members_are_weighted_before_each_frame():
    cycles = regimes.cycles(worlds.settings(**SETTINGS), 5, 24)
    assert [c.finished for c in cycles] == [1, 2, 3, 4, 5] and {c.weigh for c in cycles} == {"before"}
    assert (cycles[3].rows[:, :-1] == 0).all() and cycles[3].first == 1


def test_with_all_members_effective_it_is_a_nowcast_with_a_fixed_past():
    chosen = worlds.settings(**SETTINGS | {"window": {"effective": 1.0}})
    nowcast = regimes.cycles(worlds.settings(regime="nowcast", past="fixed", context=3), 5, 24)
    for ours, theirs in zip(regimes.cycles(chosen, 5, 24), nowcast, strict=True):
        np.testing.assert_array_equal(ours.rows, theirs.rows)
        assert ours.weigh == theirs.weigh == "never"


@pytest.mark.parametrize("weights", ["predictive", "mean"])
def test_the_past_that_foresees_the_new_observations_replaces_the_others(weights):
    """A member whose past leads to what is observed is copied; its own new frame does not count, as it has none yet."""
    settings = SETTINGS | {"window": {"effective": 0.34, "weights": weights}}
    found = worlds.assimilation(worlds.busy(), worlds.table(), **settings)
    (cycle,) = [c for c in regimes.cycles(found.settings, 3, 24) if c.first + c.rows.shape[1] == 3 and c.finished == 3]
    level = np.array([0.0] * (cycle.rows.shape[1] - 1) + [np.inf])
    members = 5 * torch.randn(
        3, cycle.rows.shape[1], found.prior.process.size, generator=torch.Generator().manual_seed(2)
    )
    with torch.no_grad():
        cost = found.predictive_misfit(members, level, cycle, weights == "predictive").sum((1, 2))
        after = regimes.resample(found, members, level, cycle)
    best = int(cost.argmin())
    expected = selection.tempered(cost[:, None], 0.34 * 3)[:, 0]
    copies = [sum(torch.equal(one, member) for one in after) for member in members]
    assert copies[best] == max(copies) >= 2
    assert all(abs(count - 3 * weight) < 1 for count, weight in zip(copies, expected.tolist()))


def test_weights_of_members_that_were_guided_already_are_refused():
    with pytest.raises(ValueError, match="window.weights: misfit needs regime sliding"):
        Reanalyse(regime="particle_filter", lag_hours=0, window={"weights": "misfit"})
