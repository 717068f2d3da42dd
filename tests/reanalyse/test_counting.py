"""Work counted beforehand equals the work that a sample counts."""

import pytest

from hindsight.fields import calendar
from hindsight.reanalyse.counting import Counter, Work
from tests import test_controller
from tests.reanalyse import worlds
from tests.reanalyse.regimes.test_regimes import CASES

FRAMES = 11
MORE = {
    "batch": {},
    "batch with corrections": {"sampler": {"step": "ddim", "corrections": 2}},
    "batch, selected": {"selection": {"passes": 2, "sigma": 0.5}},
    "batch in windows of its own": {"frames": 6, "stride": 5},
    "batch in one window": {"frames": 99},
    "nowcast in several windows": {"regime": "nowcast", "context": 7, "stride": 3},
    "nowcast, past fixed, corrected": {
        "regime": "nowcast",
        "past": "fixed",
        "context": 9,
        "stride": 4,
        "sampler": {"step": "ddim", "corrections": 1},
    },
}
ALL = MORE | {name: settings for name, (settings, _) in CASES.items()}


@pytest.fixture(scope="module")
def priors():
    made = {points: worlds.busy(points) for points in (False, True)}
    made[False].control = test_controller.busy(made[False])
    return made


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("first", [pytest.param(0, marks=pytest.mark.slow), 3])
def test_evaluations_are_those_that_a_sample_counts(priors, name, first):
    """`first` moves the windows, which start at absolute frame numbers."""
    settings = worlds.settings(**ALL[name])
    prior = priors["points" in name]
    count = Counter(settings, 24, prior.metadata.window)
    number = calendar.frame_number(worlds.times(first, first + 1), 24)[0]
    found = worlds.analysed(prior, settings, worlds.table(), FRAMES, first=first)
    assert found.retries == 0
    assert (count(number, FRAMES) * 3).evaluations == found.cost.evaluations


def test_updates_are_frames_times_steps_and_corrections():
    plain, corrected = worlds.settings(), worlds.settings(**MORE["batch with corrections"])
    assert Counter(plain, 24, 4)(0, 10).updates == 10 * 3
    assert Counter(corrected, 24, 4)(0, 10).updates == 10 * 3 * 3


def test_equivalent_stretches_are_counted_once(monkeypatch):
    """Places that differ by a whole number of strides are equivalent."""
    calls, plain = [], Counter._cycle
    monkeypatch.setattr(Counter, "_cycle", lambda self, *about: calls.append(1) or plain(self, *about))
    count = Counter(worlds.settings(stride=3), 24, 4)
    assert count(1, 10) == count(4, 10) and len(calls) == 1
    assert count(2, 10) != Work() and len(calls) == 2
