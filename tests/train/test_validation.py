"""Validation errors by kind of noise levels, and their score."""

import math

import numpy as np
import pytest
import torch

from hindsight.settings.train import LinearPrior, Points
from hindsight.train import batches, validation
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
def test_shares_are_those_of_training(chosen, expected):
    assert validation.kind_shares(chosen) == pytest.approx(expected)
    assert list(validation.settings_by_kind(chosen)) == [name for name in expected if name != "equal"]


def test_settings_by_kind_draw_that_kind_only():
    alone, generator = validation.settings_by_kind(settings(**WITH_POINTS)), torch.Generator().manual_seed(0)
    clean = torch.zeros(4, 16)
    drawn = {
        name: [batches.add_noise(clean, own, helpers.SHAPE, generator) for _ in range(60)]
        for name, own in alone.items()
    }
    rises = lambda name: np.mean([bool((row[1].diff() >= 0).all()) for row in drawn[name]])
    assert list(drawn) == ["staircase", "independent", "points"]
    assert rises("staircase") == 1 and rises("independent") < 0.3
    assert all(len(row) == 2 for name in ("staircase", "independent") for row in drawn[name])
    assert np.mean([bool((row[3] > 0).any()) for row in drawn["points"]]) > 0.65
    assert 0.3 < np.mean([float(row[1].max()) == float(row[1].min()) for row in drawn["points"]]) < 0.7


@pytest.mark.parametrize("about", [{"points": Points(share=0.5)}, {}], ids=["points", "fields"])
def test_the_error_of_white_fields_is_that_of_the_linear_prior(about):
    """The network cannot improve on it, so the relative error is 1 for each kind."""
    chosen = settings(linear_prior=LinearPrior(form="white"), **about)
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(400) * np.timedelta64(1, "D")
    values = np.random.default_rng(0).standard_normal((400, *helpers.SHAPE)).astype(np.float32)
    prior = helpers.prior(chosen).eval()
    found = validation.errors_by_kind(prior, helpers.of(times, values), chosen, 16, 64, lambda done: None)
    assert list(found) == ["kind_staircase", "kind_independent"] + ["kind_points"] * bool(about)
    assert all(value == pytest.approx(1, abs=0.04) for value in found.values())


def test_errors_do_not_depend_on_windows_at_once_and_progress_counts_all():
    chosen, counts = settings(**WITH_POINTS), []
    prior = helpers.prior(chosen).eval()
    whole, parts = (
        validation.errors_by_kind(prior, helpers.windows(seed=5), chosen, size, 12, counts.append) for size in (12, 5)
    )
    assert whole == pytest.approx(parts, rel=1e-5) and counts == [12, 24, 36, 5, 10, 12, 17, 22, 24, 29, 34, 36]


def test_the_score_is_the_weighted_mean_logarithm():
    row = {"step": 3, "loss": 0.2, "sigma_0.1": 0.2, "sigma_1": 0.8, "kind_staircase": 0.9, "kind_independent": 0.7}
    expected = 0.5 * (math.log(0.2) + math.log(0.8)) / 2 + 0.2 * math.log(0.9) + 0.3 * math.log(0.7)
    assert validation.score(row, settings(equal_share=0.5, staircase_share=0.2)) == pytest.approx(expected)
    assert validation.score(row, settings(equal_share=0.0, staircase_share=1.0)) == pytest.approx(math.log(0.9))
