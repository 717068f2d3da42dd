"""Nowcast: its cycles."""

from hindsight.reanalyse import regimes
from tests.reanalyse import worlds


def cycles(**settings):
    return regimes.cycles(worlds.settings(regime="nowcast", **settings), 9, 24)


def test_every_cycle_finishes_one_frame():
    assert [c.finished for c in cycles()] == list(range(1, 10))
    assert max(len(c.noise_number) for c in cycles()) == worlds.BASE["context"]


def test_past_frames_are_fixed_or_sampled_again():
    fixed, again = cycles(past="fixed")[-1], cycles()[-1]
    assert (fixed.rows[0, :-1] == 0).all() and (again.rows[0] == again.rows[0, 0]).all()
