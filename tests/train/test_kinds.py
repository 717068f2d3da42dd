"""What a look at the validation period sees of each kind of levels."""

import math

import numpy as np
import pytest
import torch

from hindsight.settings.train import Colour, Points
from hindsight.train import batches, kinds
from tests.train import helpers
from tests.train.test_loop import published


def settings(**changed):
    return helpers.SETTINGS.model_copy(update=changed)


WITH_POINTS = {"points": Points(share=0.4)}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (settings(equal_share=0.5, staircase_share=0.2), {"equal": 0.5, "staircase": 0.2, "independent": 0.3}),
        (settings(equal_share=1.0, staircase_share=0.0), {"equal": 1.0}),
        (settings(equal_share=0.0, staircase_share=0.0, **WITH_POINTS), {"independent": 0.6, "points": 0.4}),
        (published(), {"staircase": 0.25, "independent": 0.75}),
    ],
)
def test_shares_are_those_that_training_draws(chosen, expected):
    assert kinds.shares(chosen) == pytest.approx(expected)
    assert list(kinds.alone(chosen)) == [name for name in expected if name != "equal"]


def test_each_kind_is_drawn_alone():
    alone, generator = kinds.alone(settings(**WITH_POINTS)), torch.Generator().manual_seed(0)
    clean = torch.zeros(4, 16)
    drawn = {
        name: [batches.row(clean, own, helpers.SHAPE, generator) for _ in range(60)] for name, own in alone.items()
    }
    rises = lambda name: np.mean([bool((row[1].diff() >= 0).all()) for row in drawn[name]])
    assert list(drawn) == ["staircase", "independent", "points"]
    assert rises("staircase") == 1 and rises("independent") < 0.3
    assert all(len(row) == 2 for name in ("staircase", "independent") for row in drawn[name])
    assert np.mean([bool((row[3] > 0).any()) for row in drawn["points"]]) > 0.65
    assert 0.3 < np.mean([float(row[1].max()) == float(row[1].min()) for row in drawn["points"]]) < 0.7


@pytest.mark.parametrize("about", [{"points": Points(share=0.5)}, {}], ids=["points", "fields"])
def test_of_white_fields_the_closed_form_leaves_what_it_says(about):
    """No kind of levels is better known than another: an error of 1 in each, whatever is drawn."""
    chosen = settings(colour=Colour(form="white"), **about)
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(400) * np.timedelta64(1, "D")
    values = np.random.default_rng(0).standard_normal((400, *helpers.SHAPE)).astype(np.float32)
    prior = helpers.prior(chosen).eval()
    found = kinds.errors(prior, helpers.of(times, values), chosen, 16, 64, lambda done: None)
    assert list(found) == ["kind_staircase", "kind_independent"] + ["kind_points"] * bool(about)
    assert all(value == pytest.approx(1, abs=0.04) for value in found.values())


def test_they_do_not_depend_on_how_many_windows_are_looked_at_together_and_all_are_told_of():
    chosen, told = settings(**WITH_POINTS), []
    prior = helpers.prior(chosen).eval()
    whole, parts = (kinds.errors(prior, helpers.windows(seed=5), chosen, size, 12, told.append) for size in (12, 5))
    assert whole == pytest.approx(parts, rel=1e-5) and told == [12, 24, 36, 5, 10, 12, 17, 22, 24, 29, 34, 36]


def test_the_score_is_the_mean_logarithm_over_what_is_drawn():
    row = {"step": 3, "loss": 0.2, "sigma_0.1": 0.2, "sigma_1": 0.8, "kind_staircase": 0.9, "kind_independent": 0.7}
    expected = 0.5 * (math.log(0.2) + math.log(0.8)) / 2 + 0.2 * math.log(0.9) + 0.3 * math.log(0.7)
    assert kinds.score(row, settings(equal_share=0.5, staircase_share=0.2)) == pytest.approx(expected)
    assert kinds.score(row, settings(equal_share=0.0, staircase_share=1.0)) == pytest.approx(math.log(0.9))
