"""4D-Var against a dense solve, the Rauch-Tung-Striebel smoother and the closed form of the linear prior."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from hindsight.baselines import each_frame, four_d_var, minimise, three_d_var
from hindsight.baselines.four_d_var import FourDVar, Sums
from hindsight.baselines.linear_model import LinearModel
from hindsight.errors import UserError
from hindsight.fields import analyses, observations, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.operators.rows import Rows
from hindsight.settings import Baselines, Product
from hindsight.settings.baselines import Minimisation
from hindsight.train.linear_prior import white
from tests.baselines import test_optimal_interpolation as oi
from tests.baselines.test_optimal_interpolation import TIME, world  # noqa: F401, a fixture
from tests.baselines.test_outer_loops import CASES
from tests.baselines.test_outer_loops import rows as wind_rows
from tests.oracles import linear_gaussian as oracle

SIZE, FRAMES = 12, 5
LIMITS = Minimisation()
FIRST = np.datetime64("2009-01-01T12", "ns")
TIMES = FIRST + np.arange(FRAMES) * np.timedelta64(24, "h")
PROCESSES = {
    "coupled": lambda: oracle.process(SIZE),
    "groups and few modes": lambda: oracle.process(SIZE, coupled=2, modes=7, groups=3),
    "white": lambda: white(SIZE),
}
COUNTS = (3, 0, 2, 4, 1)  # observations of each frame


def rows(seed=1, counts=COUNTS, width=3):
    """Observations at random points."""
    generator, total = np.random.default_rng(seed), sum(counts)
    point, weight = generator.integers(0, SIZE, (total, width)), generator.uniform(0.2, 1, (total, width))
    value, error = generator.standard_normal(total), generator.uniform(0.2, 0.9, total)
    return Rows(np.repeat(TIMES[: len(counts)], counts), point, weight, value, error, np.ones(total), np.arange(total))


def dense(given, frames=FRAMES):
    """H as a matrix (N, T * D)."""
    matrix, lag = np.zeros((len(given), frames * SIZE)), (given.time - FIRST) // np.timedelta64(24, "h")
    frame = lag.astype(int)[:, None] + (0 if given.offset is None else given.offset)
    np.add.at(matrix, (np.arange(len(given))[:, None], frame * SIZE + given.point), given.weight)
    return matrix


def covariance(process, frames=FRAMES):
    """Of the trajectory, without a matrix square root or a model."""
    return np.eye(frames * SIZE) if not process.coupling.numel() else oracle.covariance(process, frames)


def mean(process, given):
    """The minimum for a background of zero and observations as they are, (T, D)."""
    model, inside = LinearModel(process), each_frame.of_frames(given, FIRST, FRAMES, 24, SIZE)
    zero, exact = np.zeros((1, FRAMES * model.count)), np.zeros((1, len(inside)))
    sums = Sums(model, FRAMES, *minimise.parts(inside))
    found = minimise.analyse(inside, sums, zero, exact, LIMITS, "here")
    return model.forward(found.control.reshape(1, FRAMES, -1))[0]


@pytest.mark.parametrize("name", PROCESSES)
def test_sums_have_an_exact_adjoint(name):
    generator, model, given = np.random.default_rng(2), LinearModel(PROCESSES[name]()), rows()
    sums = Sums(model, FRAMES, generator.integers(0, FRAMES * SIZE, given.point.shape), given.weight)
    control, values = generator.standard_normal((3, FRAMES * model.count)), generator.standard_normal((3, len(given)))
    across = [(a * b).sum(1) for a, b in ((sums.forward(control), values), (control, sums.adjoint(values)))]
    np.testing.assert_allclose(*across, rtol=1e-10)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_minimum_is_the_dense_solution(name):
    process, given = PROCESSES[name](), rows()
    expected, _ = oracle.condition(covariance(process), dense(given), given.error, given.value)
    np.testing.assert_allclose(mean(process, given).ravel(), expected, atol=3e-4)


def test_the_minimum_is_that_of_the_smoother():
    """Kalman filter forward, Rauch-Tung-Striebel back; a textbook's recursions."""
    process, given = oracle.process(SIZE), rows()
    frame = ((given.time - FIRST) // np.timedelta64(24, "h")).astype(int)
    matrix = dense(given).reshape(-1, FRAMES, SIZE)
    operators = [matrix[frame == t, t] for t in range(FRAMES)]
    errors, values = ([column[frame == t] for t in range(FRAMES)] for column in (given.error, given.value))
    expected, _ = oracle.smoother(process, operators, errors, values)
    np.testing.assert_allclose(mean(process, given), expected, atol=3e-4)


@pytest.mark.parametrize("name", PROCESSES)
def test_with_every_value_observed_it_is_the_ideal_denoiser(name):
    """The closed form of the linear prior, where noise takes the place of observation errors."""
    process, generator = PROCESSES[name](), np.random.default_rng(3)
    sigma = np.linspace(0.3, 2, FRAMES)
    noisy = generator.standard_normal((FRAMES, SIZE))
    total = FRAMES * SIZE
    time, point, ones = np.repeat(TIMES, SIZE), np.tile(np.arange(SIZE), FRAMES)[:, None], np.ones(total)
    given = Rows(time, point, ones[:, None], noisy.ravel(), np.repeat(sigma, SIZE), ones, np.arange(total))
    posterior = process.posterior(torch.tensor(sigma, dtype=torch.float32)[None])
    expected = posterior.mean(torch.tensor(noisy, dtype=torch.float32)[None])[0].numpy()
    np.testing.assert_allclose(mean(process, given), expected, atol=3e-4)


@pytest.mark.parametrize("offset", [False, True])
def test_members_are_drawn_from_the_posterior_of_the_window(offset, monkeypatch, capsys):
    """Also of rows that depend on the frame before, which the window lacks for those of its first frame."""
    monkeypatch.setattr(four_d_var, "BLOCK", 5000)
    process, given, count = oracle.process(SIZE), rows(), 5000
    if offset:
        away = np.tile([0, -1, 0], (len(given), 1))
        given = Rows(*(getattr(given, n) for n in ("time", "point", "weight", "value", "error", "unit", "key")), away)
    found = FourDVar(process, LIMITS).members(given, TIMES, 24, Product(members=count)).reshape(count, -1)
    used = given.each(lambda column: column[COUNTS[0] :]) if offset else given
    says = "3 of 10 observations depend on frames outside the stretch and are not used"
    assert (says in capsys.readouterr().out) == offset
    oi.sampled(found, *oracle.condition(covariance(process), dense(used), used.error, used.value), count)


def test_members_of_two_windows_agree_where_they_are_far_from_their_ends():
    """The draws are those of the frames: what differs leaks in from the ends, and the process forgets."""
    process, product = oracle.process(SIZE), Product(members=2)
    times = FIRST + np.arange(-60, 60) * np.timedelta64(24, "h")
    method, given = FourDVar(process, LIMITS), rows()
    first, second = method.members(given, times, 24, product), method.members(given, times[20:-20], 24, product)
    np.testing.assert_allclose(first[:, 55:70], second[:, 35:50], atol=0.02)
    assert np.abs(first[:, 20] - second[:, 0]).max() > 0.1


def test_a_pair_of_antithetic_members_has_the_mean_of_every_other_pair():
    product = Product(members=4, antithetic=True)
    found = FourDVar(oracle.process(SIZE), LIMITS).members(rows(), TIMES, 24, product)
    np.testing.assert_allclose(found[:2].mean(0), found[2:].mean(0), atol=1e-3 * np.abs(found).max())
    assert np.abs(found[0] - found[1]).max() > 0.1


def test_members_do_not_depend_on_the_others(monkeypatch):
    process, given = oracle.process(SIZE), rows()
    found = FourDVar(process, LIMITS).members(given, TIMES, 24, Product(members=5))
    monkeypatch.setattr(four_d_var, "BLOCK", 2)
    again = FourDVar(process, LIMITS).members(given, TIMES, 24, Product(members=5))
    np.testing.assert_allclose(found, again, atol=1e-5)
    fewer = FourDVar(process, LIMITS).members(given, TIMES, 24, Product(members=3))
    np.testing.assert_allclose(found[:3], fewer, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_one_frame_of_a_white_process_is_3d_var_with_independent_errors(case, monkeypatch):
    """The same draws give the same members, of wind speeds too."""
    monkeypatch.setattr(four_d_var, "PURPOSE", three_d_var.PURPOSE)
    climate, values = CASES[case]
    given, product = wind_rows(climate, **values), Product(members=4)
    found = FourDVar(white(24), LIMITS).members(given, np.array([TIME]), 24, product)[:, 0]
    expected = three_d_var.ThreeDVar(np.eye(24, dtype=np.float32), 1, LIMITS).members(given, TIME, 24, product)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_window_that_has_not_converged_is_named():
    few = Minimisation(outer_loops=1, iterations=1)
    with pytest.raises(UserError, match="four_d_var, 2009-01-01T12 and 4 frames after it: the minimisation has not"):
        FourDVar(oracle.process(SIZE), few).members(rows(), TIMES, 24, Product(members=2))


def process_of(grid, channels=2):
    return oracle.process(channels * int(np.prod(grid.shape)), coupled=6)


@pytest.mark.parametrize("halo", [0, 2])
def test_from_files_to_a_file_it_is_conditioning_of_the_shard_and_its_halo(world, domain, halo):  # noqa: F811
    """Observations on three days of the test period; the shard ends before the last of them."""
    dataset = store.read(world / "fields.zarr")
    grid = Grid.of(dataset)
    process = process_of(grid)
    save_file({k: v.contiguous() for k, v in process.tensors().items()}, world / "linear_prior.safetensors")
    files = {name: world / f"{name}.nc" for name in ("climatology", "statistics")}
    files |= {"fields": world / "fields.zarr/zarr.json", "linear_prior": world / "linear_prior.safetensors"}
    files |= {"observations": [world / "observations.parquet"], "analysis": world / "analysis.nc"}
    settings = Baselines(four_d_var={"halo": halo})
    four_d_var.run(domain, Product(members=600, shard_frames=5), settings, shard="20010206T12_4", **files)
    found = analyses.read([files["analysis"]])
    times = found["time"].values
    assert found.attrs["analysis"] == "four_d_var" and len(times) == 4
    scaling = Scaling.read(files["climatology"], files["statistics"])
    table = observations.usable(observations.read([world / "observations.parquet"]))
    window = times[0] + np.arange(-halo, 4 + halo) * np.timedelta64(24, "h")
    table = table[table["time"].isin(pd.Index(window))]
    matrix, value, error = [], [], []
    for row in table.itertuples():
        channel = ["z500", "t850"].index(row.channel)
        line = np.zeros((len(window), 2, *grid.shape))
        line[np.flatnonzero(window == np.datetime64(row.time))[0], channel] = weights(grid, row.latitude, row.longitude)
        matrix.append(line.ravel())
        value.append((row.value - line.ravel() @ scaling.climatology(window).ravel()) / scaling.spread[channel])
        error.append(row.error / scaling.spread[channel])
    whole_covariance = oracle.covariance(process, len(window))
    expected, spread = oracle.condition(whole_covariance, np.array(matrix), np.array(error), np.array(value))
    inside = slice(halo * process.size, (halo + 4) * process.size)
    expected, spread = expected[inside], np.diag(spread)[inside]
    members = scaling.normalise(found["analysis"].values, times).reshape(600, -1)
    assert np.abs((members.mean(0) - expected) / np.sqrt(spread)).max() < 4.5 / np.sqrt(600)
    assert np.abs(members.var(0) / spread - 1).max() < 6 * np.sqrt(2 / 600)


def weights(grid, latitude, longitude):
    """Of bilinear interpolation, as a field: products of hats two degrees wide."""
    hat = lambda axis, at: np.maximum(0, 1 - np.abs(axis - at) / 2)
    return hat(grid.latitude, latitude)[:, None] * hat(grid.longitude, longitude)
