"""Showers: their marginal distribution, spectrum, lifetimes and motion against the numbers that define them."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hindsight.dynamics.rain import RainWorld, Showers
from hindsight.settings.download import Rain, Synthetic

DOUBLE = torch.zeros((), dtype=torch.float64)


def showers(**settings):
    return Showers(Rain(**settings), DOUBLE)


def world(rain=None, **settings):
    return RainWorld(
        Synthetic(**{"world": "rain", "step_hours": "5 min", "spin_up_days": 0, "rain": rain or {}} | settings)
    )


def drawn(made, count, seed=0):
    """Typical states, (count, N, N // 2 + 1)."""
    points = made.settings.points
    return made.coefficients(torch.from_numpy(np.random.default_rng(seed).standard_normal((count, points, points))))


@pytest.mark.parametrize("wet", [0.05, 0.3, 0.8])
def test_the_share_of_wet_points_and_the_median_where_it_rains(wet):
    made = showers(points=32, outer_km=8.0, wet=wet, median=2.0, tail=1.3)
    rain = made.rate(made.field(drawn(made, 600))).numpy()
    assert (rain > 0).mean() == pytest.approx(wet, rel=0.03) and rain.min() == 0
    assert np.median(rain[rain > 0]) == pytest.approx(2.0, rel=0.05)


def test_the_normal_field_has_variance_one_in_closed_form_and_in_draws():
    made = showers(points=32, outer_km=16.0)
    unit = torch.zeros(32, 32, dtype=torch.float64)
    unit[0, 0] = 1.0  # white noise filtered: variance is the sum of the squared response to one impulse
    response = made.field(made.coefficients(unit))
    assert float((response**2).sum()) == pytest.approx(1.0, abs=1e-12)
    assert float(made.field(drawn(made, 400)).var()) == pytest.approx(1.0, rel=0.03)


def test_the_spectrum_falls_with_the_slope_beyond_the_outer_scale_and_is_flat_before():
    made = showers(points=64, spacing_km=1.0, outer_km=16.0, slope=3.0)
    power = (drawn(made, 400).abs() ** 2).mean(0).numpy()
    size = np.sqrt(made.k.numpy() ** 2 + made.m.numpy() ** 2)
    falling = (size > 1.2 / 16) & (size < 0.45)
    slope = np.polyfit(np.log(size[falling]), np.log(power[falling]), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.05)
    flat = (size > 0) & (size < 1 / 16)
    assert power[flat].std() / power[flat].mean() < 0.2 and power[0, 0] == 0


def test_without_growth_the_field_moves_exactly():
    """Ten points east and six south in ten minutes, whatever the number of steps."""
    speeds = {"eastward": 10 * 2000 / 600, "northward": -6 * 2000 / 600}
    made = showers(points=32, spacing_km=2.0, outer_km=32.0, lifetime_minutes=1e12, **speeds)
    states = drawn(made, 2)
    before = made.rate(made.field(states)).numpy()
    for steps in (1, 5):
        after = states
        for _ in range(steps):
            after = made.step(after, torch.zeros(2, 32, 32, dtype=torch.float64), 600.0 / steps)
        rolled = np.roll(before, (-6, 10), (1, 2))
        np.testing.assert_allclose(made.rate(made.field(after)).numpy(), rolled, atol=1e-9)


def test_lifetimes_rise_with_the_wavelength():
    """The correlation of a wave with itself, moved along, is exp(-dt / (T (L / outer)^power))."""
    made = showers(points=32, spacing_km=2.0, outer_km=32.0, lifetime_minutes=30.0, lifetime_power=1.0)
    states, white = drawn(made, 4000), torch.from_numpy(np.random.default_rng(9).standard_normal((4000, 32, 32)))
    after = made.step(states, white, 600.0)
    moved = made.moved(states, 600.0)
    for wave, length in ((2, 32.0), (4, 16.0), (8, 8.0)):
        a, b = after[:, 0, wave], moved[:, 0, wave]
        correlation = float((a * b.conj()).real.sum() / (b.abs() ** 2).sum())
        assert correlation == pytest.approx(np.exp(-10 / 30 * 32.0 / length), abs=0.03)


def test_statistics_do_not_drift():
    made = world({"points": 32, "outer_km": 16.0})
    begins = np.array(["2000-01-01"] * 40, "datetime64[ns]")
    states, found = made.frames(made.spin_up(begins), begins, 0, 30)
    rain = found["rain_rate"]
    assert rain.shape == (40, 30, 32, 32) and rain.dtype == np.float32
    for part in (rain[:, :3], rain[:, -3:]):
        assert (part > 0).mean() == pytest.approx(0.3, abs=0.03)


def test_two_steps_are_distributed_as_one():
    """Correlation with the beginning after ten minutes, in one step or in two."""
    made = showers(points=32, outer_km=16.0, lifetime_minutes=20.0)
    states, generator = drawn(made, 500), np.random.default_rng(4)
    white = [torch.from_numpy(generator.standard_normal((500, 32, 32))) for _ in range(3)]
    once, twice = made.step(states, white[0], 600.0), made.step(made.step(states, white[1], 300.0), white[2], 300.0)
    moved = made.field(made.moved(states, 600.0))
    one, two = (float((made.field(state) * moved).mean()) for state in (once, twice))
    assert one == pytest.approx(two, abs=0.02) and float(made.field(twice).var()) == pytest.approx(1, abs=0.03)


def test_frames_depend_on_seed_segment_and_time_alone():
    begins = np.array(["2000-01-01", "2010-08-26T00:05"], "datetime64[ns]")
    made = world({"points": 16, "outer_km": 16.0})
    states = made.spin_up(begins)
    _, whole = made.frames(states, begins, 0, 6)
    middle, first = made.frames(states, begins, 0, 3)
    _, rest = world({"points": 16, "outer_km": 16.0}).frames(middle, begins, 3, 3)
    together = np.concatenate([first["rain_rate"], rest["rain_rate"]], 1)
    np.testing.assert_array_equal(together, whole["rain_rate"])
    other = world({"points": 16, "outer_km": 16.0}, seed=2)
    assert not np.array_equal(
        other.frames(other.spin_up(begins), begins, 0, 1)[1]["rain_rate"], whole["rain_rate"][:, :1]
    )


def test_the_square_lies_on_the_equator_with_its_distances():
    made = world({"points": 16, "spacing_km": 4.0})
    assert made.latitude.sum() == pytest.approx(0) and np.diff(made.longitude)[0] * 111.195 == pytest.approx(
        4, rel=1e-4
    )


def test_a_square_that_is_smaller_than_its_showers_is_refused():
    with pytest.raises(ValidationError, match="outer_km .64. is longer than the square .32 km."):
        Rain(points=16)
    with pytest.raises(ValidationError, match="choose an even number"):
        Rain(points=65)
