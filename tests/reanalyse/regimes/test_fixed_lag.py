"""Fixed lag: its cycles."""

from hindsight.reanalyse import regimes
from tests.reanalyse import worlds


def test_frames_are_finished_a_lag_after_them():
    chosen = worlds.settings(regime="fixed_lag", lag_hours=48)
    assert [c.finished for c in regimes.cycles(chosen, 9, 24)] == [1, 2, 3, 4, 5, 6, 9]
    assert (chosen.lag_frames(24), chosen.lag_frames(6), worlds.settings().lag_frames(6)) == (2, 8, 0)
