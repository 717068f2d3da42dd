"""The ensemble score filter: its score by differences, and a Gaussian, of which its moments follow by recursion."""

import numpy as np
import pytest
import scipy.stats
from safetensors.torch import save_file

from hindsight.baselines import ensf
from hindsight.baselines.ensf import EnsembleScoreFilter, diffusion, forecast_score
from hindsight.errors import UserError
from hindsight.fields import analyses, store
from hindsight.fields.grid import Grid
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Product
from hindsight.settings.download import WorldWithoutPeriod
from tests.baselines import test_four_d_var as whole
from tests.baselines.test_optimal_interpolation import TIME, world  # noqa: F401, a fixture

COUNT, STEPS = 300, 60
CENTRE, SPREAD = 0.4, 0.8  # of the forecast
CASES = {"near": (0.9, 0.5), "far": (3.0, 0.5), "exact": (0.9, 0.15), "of no use": (3.0, 1e6)}
BIAS = {"near": (0.223, 0.804), "far": (0.651, 0.804), "exact": (0.121, 0.719)}  # of mean and spread, see below
generator = np.random.default_rng(0)


def method(steps=STEPS, count=COUNT):
    return EnsembleScoreFilter(steps, Product(members=count), 24)


def row(value, error):
    """An observation of the only value of a state."""
    one = np.ones(1)
    return Rows(np.array([TIME]), np.zeros((1, 1), int), one[:, None], one * value, one * error, one, np.arange(1))


def forecast():
    """Members at the quantiles of the normal distribution, (COUNT, 1)."""
    return CENTRE + SPREAD * scipy.stats.norm.ppf((np.arange(COUNT) + 0.5) / COUNT)[:, None]


def moments(value, error, steps=STEPS):
    """Mean and variance of the method for a Gaussian forecast, by the recursion of its linear steps."""
    mean, variance = 0.0, 1.0
    for k in range(steps):
        t = 1 - k / steps
        shrunk = 1 - 0.95 * t
        rate = -0.95 / shrunk
        square = 1 + 2 * 0.95 * t / shrunk
        total = shrunk**2 * SPREAD**2 + t
        factor = 1 - (rate + square / total + square * (1 - t) / error**2) / steps
        mean = factor * mean + square * (shrunk * CENTRE / total + (1 - t) * value / error**2) / steps
        variance = factor**2 * variance + square / steps
    return mean, variance


def posterior(value, error):
    precision = 1 / SPREAD**2 + 1 / error**2
    return (CENTRE / SPREAD**2 + value / error**2) / precision, 1 / precision


@pytest.mark.parametrize("t", [1.0, 0.5, 0.05])
def test_the_score_is_the_slope_of_the_density_of_diffused_members(t):
    members, states, small = generator.standard_normal((5, 3)), generator.standard_normal((4, 3)), 1e-5
    shrunk = 1 - 0.95 * t

    def density(state):
        return np.log(np.mean([scipy.stats.multivariate_normal(shrunk * m, t * np.eye(3)).pdf(state) for m in members]))

    found = forecast_score(states, members, t)
    for state, score in zip(states, found):
        slope = [(density(state + small * e) - density(state - small * e)) / (2 * small) for e in np.eye(3)]
        np.testing.assert_allclose(score, slope, rtol=1e-4, atol=1e-6)


def test_the_diffusion_has_the_variance_that_its_rates_say():
    """d b^2 / dt = 2 f b^2 + g^2, and a falls at the rate f."""
    times, small = np.linspace(0.05, 0.95, 7), 1e-6
    for t in times:
        rate, square = diffusion(t)
        assert 2 * rate * t + square == pytest.approx(1)
        assert rate == pytest.approx((np.log(1 - 0.95 * (t + small)) - np.log(1 - 0.95 * (t - small))) / (2 * small))


@pytest.mark.parametrize("case", CASES)
def test_for_a_gaussian_it_has_the_moments_of_its_recursion(case):
    mean, variance = moments(*CASES[case])
    found = method().analyse(forecast(), row(*CASES[case]), TIME)
    assert abs(found.mean() - mean) < 4.5 * np.sqrt(variance / COUNT)
    assert found.var(ddof=1) / variance == pytest.approx(1, abs=4.5 * np.sqrt(2 / COUNT))


def test_these_are_not_the_moments_of_the_posterior():
    """However many steps: the mean is too near the observation (in its standard deviations), the spread too small."""
    for case, (shift, ratio) in BIAS.items():
        (mean, variance), (true, narrow) = moments(*CASES[case], steps=20000), posterior(*CASES[case])
        assert (mean - true) / np.sqrt(narrow) == pytest.approx(shift, abs=0.01), case
        assert np.sqrt(variance / narrow) == pytest.approx(ratio, abs=0.01), case


def test_an_observation_of_no_use_leaves_the_distribution_of_the_forecast():
    """In the limit of short steps, but for the last of the forecast in the noise that it begins with."""
    mean, variance = moments(*CASES["of no use"], steps=20000)
    assert mean == pytest.approx(CENTRE, abs=2e-3) and variance == pytest.approx(SPREAD**2, rel=1e-3)


def test_draws_are_a_function_of_seed_frame_and_member():
    before = forecast()[:5]
    found = method(20, 5).analyse(before, row(*CASES["near"]), TIME)
    np.testing.assert_array_equal(found, method(20, 5).analyse(before, row(*CASES["near"]), TIME))
    later = method(20, 5).analyse(before, row(*CASES["near"]), TIME + np.timedelta64(24, "h"))
    other = EnsembleScoreFilter(20, Product(members=5, seed=2), 24).analyse(before, row(*CASES["near"]), TIME)
    assert len(np.unique([found, later, other])) == 15


def test_steps_that_are_too_long_are_refused_and_the_number_that_is_named_suffices():
    exact = row(0.9, 0.05)
    with pytest.raises(UserError, match=r"baselines.ensf, 2009-01-01T12: 60 steps are too long.*steps to \d+") as says:
        method().analyse(forecast(), exact, TIME)
    enough = int(str(says.value).split("steps to ")[1].split()[0])
    mean, variance = moments(0.9, 0.05, enough)
    found = method(enough).analyse(forecast(), exact, TIME)
    assert abs(found.mean() - mean) < 4.5 * np.sqrt(variance / COUNT) and variance < 0.01


def test_with_few_members_it_is_a_member_that_the_last_step_pulls_to_the_observation():
    """The score of points grows without bound as the noise falls: the more steps, the weaker is the observation."""
    members, value, error = np.array([[-1.0], [1.0]]), 1.5, 0.3
    for steps in (50, 1000):
        found = method(steps, 200).analyse(members, row(value, error), TIME)[:, 0]
        pulled = 1 + (value - 1) / error**2 / steps
        assert abs(np.median(found[found > 0]) - pulled) < 0.05, steps


def test_from_files_to_a_file(world, domain):  # noqa: F811
    """The members are a function of the files: its numbers are those of the tests above."""
    grid = Grid.of(store.read(world / "fields.zarr"))
    process = whole.process_of(grid)
    save_file({k: v.contiguous() for k, v in process.tensors().items()}, world / "linear_prior.safetensors")
    files = {name: world / f"{name}.nc" for name in ("climatology", "statistics")}
    files |= {"fields": world / "fields.zarr/zarr.json", "linear_prior": world / "linear_prior.safetensors"}
    files |= {"observations": [world / "observations.parquet"], "analysis": world / "analysis.nc"}
    ensf.run(
        domain,
        Product(members=4, shard_frames=5),
        Baselines(ensf={"halo": 1, "steps": 2000}),
        WorldWithoutPeriod(),
        shard="20010209T12_2",
        **files,
    )
    found = analyses.read([files["analysis"]])
    assert found.attrs["analysis"] == "ensf" and found.attrs["steps"] == 2000 and found.sizes["time"] == 2
    assert np.isfinite(found["analysis"]).all()
