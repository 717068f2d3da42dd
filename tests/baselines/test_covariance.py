"""The covariance of the training period, and its taper."""

import tracemalloc

import numpy as np
import pytest
import scipy.integrate

from hindsight.baselines import covariance
from hindsight.errors import UserError
from hindsight.fields.grid import EARTH_RADIUS, Grid
from tests.oracles import linear_gaussian as oracle

SIZE = 10
GLOBE = Grid(np.arange(-75.0, 90, 30), np.arange(0, 360, 30.0))
POLES = Grid(np.linspace(-90, 90, 7), np.arange(0, 360, 45.0))
RING = Grid(np.zeros(1), np.arange(0, 360, 9.0))
REGION = Grid(np.array([40.0, 47.0, 54.0]), np.array([-10.0, 0.0, 10.0, 20.0]))


def distances(grid):
    """Great circles (km) between all points of a grid, by the angle between unit vectors."""
    latitude, longitude = (np.deg2rad(a).ravel() for a in np.meshgrid(grid.latitude, grid.longitude, indexing="ij"))
    points = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], 1)
    across = np.linalg.norm(np.cross(points[:, None], points[None]), axis=-1)
    return EARTH_RADIUS * np.arctan2(across, points @ points.T)


def published(z, c):
    """Gaspari and Cohn (1999), equation 4.10, as it is printed."""
    r = z / c
    if z <= c:
        return -1 / 4 * r**5 + 1 / 2 * r**4 + 5 / 8 * r**3 - 5 / 3 * r**2 + 1
    if z <= 2 * c:
        return 1 / 12 * r**5 - 1 / 2 * r**4 + 5 / 8 * r**3 + 5 / 3 * r**2 - 5 * r + 4 - 2 / 3 / r
    return 0.0


def tapered(grid, reach, values=None):
    """What `localise` makes of a covariance of ones, or of `values`."""
    points = int(np.prod(grid.shape))
    found = np.ones((points, points)) if values is None else values.copy()
    assert covariance.localise(found, grid, reach) is None
    return found


class Held:
    """Departures (T, D) in memory, handed out as `Frames` does."""

    def __init__(self, values, segment=None):
        self.values, self.shape = values, (1, 1, values.shape[1])
        self.segment = np.zeros(len(values), int) if segment is None else segment

    def __call__(self, first, last):
        assert last - first < covariance.BATCH + 5 and 0 <= first < last <= len(self.values)
        return self.values[first:last]


def lagged(values, frames, segment=None):
    return covariance.lagged_covariance(Held(values, segment), frames)


def test_the_lagged_covariance_is_that_of_the_process():
    process = oracle.process(SIZE)
    model, noise = oracle.transition(process)
    root = np.linalg.cholesky(noise)
    x, series, generator = np.zeros(SIZE), [], np.random.default_rng(0)
    for _ in range(60000):
        x = model @ x + root @ generator.standard_normal(SIZE)
        series.append(x)
    expected = oracle.covariance(process, 2)
    np.testing.assert_allclose(lagged(np.array(series[100:]), 2), expected, atol=0.08 * expected.max())


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("count", [7, covariance.BATCH, 2 * covariance.BATCH + 3])
def test_the_lagged_covariance_is_the_mean_product_of_stacked_frames(frames, count):
    series = np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32)
    stacked = [series[t : t + frames].astype(float).ravel() for t in range(count - frames + 1)]
    expected = sum(np.outer(x, x) for x in stacked) / len(stacked)
    found = lagged(series, frames)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_it_is_added_up_in_batches_of_frames_and_of_rows(monkeypatch):
    series = np.random.default_rng(0).standard_normal((50, 11)).astype(np.float32)
    expected = series.astype(float).T @ series.astype(float) / 50
    for batch in (1, 4, 11, 49, 1000):
        monkeypatch.setattr(covariance, "BATCH", batch)
        np.testing.assert_allclose(lagged(series, 1), expected, atol=1e-14)


@pytest.mark.parametrize("batch", [1, 3, 10, 1000])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_only_known_frames_without_a_break_between_them_count(frames, batch, monkeypatch):
    monkeypatch.setattr(covariance, "BATCH", batch)
    segment = np.repeat([0, -1, 2, 3, -1, 5, -1], [9, 2, 4, 1, 5, 11, 1])
    series = np.random.default_rng(0).standard_normal((len(segment), 4)).astype(np.float32)
    series[segment < 0] = np.nan
    parts = [range(t, t + frames) for t in range(len(segment) - frames + 1)]
    stacked = [
        series[part].astype(float).ravel() for part in parts if len({*segment[part]}) == 1 and segment[part[0]] >= 0
    ]
    expected = sum(np.outer(x, x) for x in stacked) / len(stacked)
    np.testing.assert_allclose(lagged(series, frames, segment), expected, atol=1e-14)


def test_a_period_without_so_many_frames_on_end_is_refused():
    with pytest.raises(UserError, match="no 3 consecutive available frames, and baselines.optimal_interp"):
        lagged(np.ones((10, 2)), 3, np.arange(10) // 2)


def test_the_taper_is_the_published_polynomial():
    ratio = np.linspace(0, 2.5, 101)
    np.testing.assert_allclose(covariance.gaspari_cohn(ratio), [published(1.7 * r, 1.7) for r in ratio], atol=1e-12)
    np.testing.assert_allclose(covariance.gaspari_cohn([0.0, 1.0, 2.0, 3.0, 1e9]), [1, 5 / 24, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.8, 1.0, 1.25, 1.9])
def test_the_taper_is_a_cone_convolved_with_itself(ratio):
    """Where the polynomial comes from: max(0, 1 - |x|) in space, times itself moved by r, ring by ring."""
    cone = lambda x: max(0.0, 1 - x)

    def ring(along):
        edge = np.sqrt(max(0.0, 1 - max(along**2, (along - ratio) ** 2)))
        inside = lambda rho: 2 * np.pi * rho * cone(np.hypot(along, rho)) * cone(np.hypot(along - ratio, rho))
        return scipy.integrate.fixed_quad(np.vectorize(inside), 0, edge, n=24)[0]

    overlap = scipy.integrate.quad(ring, ratio - 1, 1, points=[ratio / 2], epsabs=1e-8)[0]
    assert covariance.gaspari_cohn(ratio) == pytest.approx(overlap / (2 * np.pi / 15), abs=2e-5)


@pytest.mark.parametrize("joint", [1.0, 2.0])
def test_the_taper_has_no_jump_and_no_kink(joint):
    before, at, after = covariance.gaspari_cohn(joint + np.array([-1e-5, 0.0, 1e-5]))
    assert abs(after - before) < 3e-5 and abs(after - 2 * at + before) < 1e-8


def test_the_taper_falls_all_the_way():
    ratio = np.linspace(0, 2, 401)
    assert (np.diff(covariance.gaspari_cohn(ratio)) < 1e-15).all()


@pytest.mark.parametrize("grid", [REGION, GLOBE, POLES], ids=["region", "globe", "poles"])
def test_every_channel_and_frame_is_tapered_by_distance(grid):
    points, blocks, reach = int(np.prod(grid.shape)), 4, 3500.0
    before = np.random.default_rng(0).standard_normal((blocks * points,) * 2)
    away = distances(grid)
    expected = before.copy()
    for i in range(blocks * points):
        for j in range(blocks * points):
            expected[i, j] *= published(away[i % points, j % points], reach / 2)
    np.testing.assert_allclose(tapered(grid, reach, before), expected, atol=1e-9)


def test_what_a_point_says_of_itself_stays_and_what_it_says_from_afar_goes():
    found, away = tapered(GLOBE, 4000.0), distances(GLOBE)
    np.testing.assert_array_equal(found.diagonal(), 1.0)
    assert (found[away >= 4000] == 0).all() and (found[away < 3999] > 0).all()
    everything = tapered(REGION, 1e9)
    np.testing.assert_allclose(everything, 1.0, atol=1e-9)


@pytest.mark.parametrize("reach", [500.0, 3000.0, 9000.0, np.pi * EARTH_RADIUS])
def test_a_taper_leaves_a_covariance_a_covariance(reach):
    """The taper itself is positive definite on the sphere (up to half its circumference; Gneiting 2013, theorem 3)."""
    fine = Grid(np.arange(-82.5, 90, 15), np.arange(0, 360, 15.0))
    smallest = np.linalg.eigvalsh(tapered(fine, reach)).min()
    assert smallest > 0
    few = np.random.default_rng(0).standard_normal((5, fine.latitude.size * fine.longitude.size))
    assert np.linalg.eigvalsh(tapered(fine, reach, few.T @ few)).min() > -1e-10


def test_on_a_ring_the_taper_is_that_of_arcs_of_the_equator():
    found = tapered(RING, 5000.0)
    steps = np.minimum(np.arange(40), 40 - np.arange(40))
    expected = [published(step * 2 * np.pi * EARTH_RADIUS / 40, 2500.0) for step in steps]
    for k in range(40):
        np.testing.assert_allclose(found[k], np.roll(expected, k), atol=1e-9)


def test_covariance_and_root_are_written_without_a_second_one_in_memory(tmp_path):
    few = np.random.default_rng(0).standard_normal((40, 1500))
    given = few.T @ few / 40 + np.eye(1500)
    expected, hair = given.copy(), covariance.JITTER * given.trace() / 1500
    tracemalloc.start()
    covariance.write(given, tmp_path / "b.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    background, root = covariance.read(tmp_path / "b.npy", 1500)
    np.testing.assert_array_equal(background, expected.astype(np.float32))
    np.testing.assert_array_equal(root, np.tril(root))
    np.testing.assert_allclose(root.astype(float) @ root.T, expected + hair * np.eye(1500), atol=1e-5)
    assert isinstance(background.base, np.memmap) or isinstance(background, np.memmap)
    assert peak < 0.5 * given.nbytes  # some rows at a time


def test_one_of_other_states_or_half_a_file_is_refused(tmp_path):
    covariance.write(np.eye(6), tmp_path / "b.npy")
    with pytest.raises(UserError, match="b.npy is for states of 6 values, and the state has 7; delete it"):
        covariance.read(tmp_path / "b.npy", 7)
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-1])
    with pytest.raises(UserError, match="cannot read the covariance .*b.npy.*run snakemake again"):
        covariance.read(tmp_path / "b.npy", 6)


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_the_taper_is_the_same_however_many_rows_are_worked_on_at_once(monkeypatch, batch):
    values = np.random.default_rng(1).standard_normal((2 * 12, 2 * 12))
    found = values.copy()
    monkeypatch.setattr(covariance, "BATCH", batch)
    covariance.localise(found, REGION, 1500.0)
    taper = np.vectorize(lambda away: published(away, 750.0))(distances(REGION))
    np.testing.assert_allclose(found, values * np.tile(taper, (2, 2)), atol=1e-12)
