"""3D-Var against optimal interpolation with the same covariance and draws, and the exact posterior of a wind."""

import numpy as np
import pytest

from hindsight.baselines import covariance, minimise, optimal_interpolation, three_d_var
from hindsight.baselines.three_d_var import Sums, ThreeDVar
from hindsight.errors import UserError
from hindsight.fields import analyses
from hindsight.settings import Baselines, Product
from hindsight.settings.baselines import Minimisation
from tests.baselines import test_optimal_interpolation as oi
from tests.baselines.test_optimal_interpolation import BACKGROUND, TIME, sampled, world  # noqa: F401, a fixture
from tests.baselines.test_outer_loops import CASES, POINTS, SPREAD, exact
from tests.baselines.test_outer_loops import method as wind
from tests.baselines.test_outer_loops import rows as wind_rows
from tests.oracles import linear_gaussian as oracle

LIMITS = Minimisation()


@pytest.fixture
def same_draws(monkeypatch):
    """The random numbers of optimal interpolation."""
    monkeypatch.setattr(three_d_var, "PURPOSE", optimal_interpolation.PURPOSE)


def test_sums_have_an_exact_adjoint():
    generator = np.random.default_rng(2)
    sums = Sums(np.tril(BACKGROUND), oi.POINT, oi.WEIGHT)
    control, values = generator.standard_normal((3, 10)), generator.standard_normal((3, 4))
    across = (sums.forward(control) * values).sum(1), (control * sums.adjoint(values)).sum(1)
    np.testing.assert_allclose(*across, rtol=1e-12)
    np.testing.assert_allclose(sums.forward(control), control @ (oi.operator() @ np.tril(BACKGROUND)).T, rtol=1e-12)


@pytest.mark.parametrize("lag", [None, -1, 0])
def test_for_linear_rows_each_member_is_that_of_optimal_interpolation(same_draws, lag, monkeypatch):
    """One frame, and three frames of a process."""
    monkeypatch.setattr(minimise, "TOLERANCE", 1e-9)
    whole, span = (BACKGROUND, 1) if lag is None else (oracle.covariance(oracle.process(oi.SIZE), 3), 3)
    other, rows, product = oi.method(whole, span), oi.rows(lag or 0), Product(members=5)
    found = ThreeDVar(other.root, span, LIMITS).members(rows, TIME, 24, product)
    np.testing.assert_allclose(found, other.members(rows, TIME, 24, product), atol=2e-5)


def test_members_are_drawn_from_the_posterior():
    found = ThreeDVar(oi.method(BACKGROUND).root, 1, LIMITS).members(oi.rows(), TIME, 24, Product(members=20000))
    sampled(found, *oracle.condition(BACKGROUND, oi.operator(), oi.ERROR, oi.VALUE), 20000)


def test_a_pair_of_antithetic_members_has_the_conditional_mean():
    product = Product(members=4, antithetic=True)
    found = ThreeDVar(oi.method(BACKGROUND).root, 1, LIMITS).members(oi.rows(), TIME, 24, product)
    mean, _ = oracle.condition(BACKGROUND, oi.operator(), oi.ERROR, oi.VALUE)
    np.testing.assert_allclose(found[2:].mean(0), mean, atol=1e-3 * np.abs(found).max())


@pytest.mark.parametrize("case", CASES)
def test_members_with_a_wind_speed_are_near_the_exact_posterior(case):
    """Where the direction is known, so that it has one peak; its mode is not its mean."""
    mean, values = CASES[case]
    method = ThreeDVar(wind().root, 1, LIMITS)
    found = method.members(wind_rows(mean, **values), TIME, 24, Product(members=4000))
    u, v = mean[0] + SPREAD * found[:, 0], mean[1] + SPREAD * found[:, POINTS]
    members = {"u10": u, "v10": v, "ws10": np.hypot(u, v)}
    for name, (centre, deviation) in exact(mean, **values).items():
        assert abs(members[name].mean() - centre) < 0.3 * deviation, name
        assert members[name].std() == pytest.approx(deviation, rel=0.4), name


def test_about_a_calm_climatology_a_speed_alone_says_nothing():
    """It has no slope there: the members are the draws."""
    given = wind_rows((0.0, 0.0), ws10=(9.0, 0.5))
    nothing = given.each(lambda column: column[:0])
    method = ThreeDVar(wind().root, 1, LIMITS)
    found, drawn = (method.members(rows, TIME, 24, Product(members=3)) for rows in (given, nothing))
    np.testing.assert_array_equal(found, drawn)


def analysed(folder, domain, method, settings, members=3):
    files = {name: folder / f"{name}.nc" for name in ("climatology", "statistics")}
    files |= {"fields": folder / "fields.zarr/zarr.json", "covariance": folder / "covariance.npy"}
    files |= {"observations": [folder / "observations.parquet"], "analysis": folder / "analysis.nc"}
    method.run(domain, Product(members=members, shard_frames=5), Baselines(**settings), shard="20010206T12_5", **files)
    return analyses.read([files["analysis"]])


@pytest.mark.parametrize("frames", [1, 3])
def test_from_files_to_a_file_it_is_optimal_interpolation(world, domain, frames, same_draws, capsys):  # noqa: F811
    settings = {"optimal_interpolation": {"frames": frames, "localisation_km": 700.0}}
    files = {name: world / f"{name}.nc" for name in ("climatology", "statistics")}
    files |= {"fields": world / "fields.zarr/zarr.json", "covariance": world / "covariance.npy"}
    covariance.run(domain, Baselines(**settings).optimal_interpolation, **files)
    found = analysed(world, domain, three_d_var, settings)
    assert found.attrs["analysis"] == "three_d_var"
    assert "minimised in at most 1 outer loops" in capsys.readouterr().out
    other = analysed(world, domain, optimal_interpolation, settings)
    spread = other["analysis"].std(("realization", "time", "latitude", "longitude"))
    assert float((np.abs(found["analysis"] - other["analysis"]) / spread).max()) < 1e-3


def test_a_frame_that_has_not_converged_is_named():
    method = ThreeDVar(oi.method(BACKGROUND).root, 1, Minimisation(outer_loops=1, iterations=1))
    with pytest.raises(UserError, match="three_d_var, 2009-01-01T12: the minimisation has not converged"):
        method.members(oi.rows(), TIME, 24, Product(members=2))
