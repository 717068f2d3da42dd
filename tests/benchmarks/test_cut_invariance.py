"""The figures for cuts into shards: for arrays whose seams and differences are known, and for the step itself."""

import sys

import numpy as np
import pytest
import xarray as xr

from hindsight.fields import analyses
from tests.workflow import runs

EDGES = [8, 24]  # of shards of 8 frames that are none of 16, in 32


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import cut_invariance

    yield cut_invariance
    sys.path.remove(str(runs.ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def walks():
    """Four members of a mean-reverting random walk, two channels in different units."""
    generator = np.random.default_rng(1)
    values = np.zeros((4, 32, 2, 4, 8))
    for k in range(1, 32):
        values[:, k] = 0.9 * values[:, k - 1] + generator.standard_normal(values[:, k].shape)
    values *= np.array([1.0, 100.0])[:, None, None]
    return xr.DataArray(
        values, dims=analyses.DIMENSIONS, coords={"latitude": [-45, -15, 15, 45], "channel": ["a", "b"]}
    )


def test_the_same_cut_twice_has_no_difference_and_no_seam(benchmark, walks):
    pair = benchmark.Pair(walks, walks, 8)
    found = pair.summary()
    assert pair.edges == EDGES and found["edges"] == 2
    assert found["difference_over_spread"] == 0 and found["seam_ratio"] == 1 and found["seam_ratio_error"] == 0
    assert found["seam_ratio_within"] == pytest.approx(1, abs=3 * found["seam_ratio_within_error"] + 0.05)


def test_a_difference_is_relative_to_the_spread_of_its_channel(benchmark, walks):
    """A tenth of each channel's spread in a quarter of the frames has a root mean square of a twentieth."""
    weights = np.cos(np.deg2rad(walks["latitude"]))
    spread = np.sqrt(walks.var("realization", ddof=1).weighted(weights).mean(["time", "latitude", "longitude"]))
    some = xr.DataArray((np.arange(32) % 4 == 0).astype(float), dims="time")
    other = (walks + 0.1 * spread * some).transpose(*analyses.DIMENSIONS)
    found = benchmark.Pair(other, walks, 8).summary()
    assert found["difference_over_spread"] == pytest.approx(0.05, rel=1e-6)
    assert list(found["by_channel"].values()) == pytest.approx([0.05, 0.05], rel=1e-6)


@pytest.mark.parametrize("shard", [1, 3])
def test_a_shard_that_does_not_fit_its_neighbours_is_a_seam(benchmark, walks, shard):
    """Swap two members in one short shard: every shard is right by itself, but a time series of a member jumps."""
    own = walks.values.copy()
    own[:, 8 * shard : 8 * shard + 8] = own[::-1, 8 * shard : 8 * shard + 8]
    found = benchmark.Pair(walks.copy(data=own), walks, 8).summary()
    assert found["seam_ratio"] > 1.3 and found["seam_ratio_within"] > 1.3 and found["difference_over_spread"] > 0.5


def test_the_standard_error_is_the_scatter_of_ratios(benchmark):
    """The ratios of many simulated sets of edges scatter as much as the standard error of one of them."""
    generator = np.random.default_rng(2)
    drawn = [benchmark.ratio(*(1 + 0.1 * generator.standard_normal((2, 10)))) for _ in range(2000)]
    ratios, errors = np.array(drawn).T
    assert errors.mean() == pytest.approx(ratios.std(), rel=0.1)


@pytest.mark.slow
def test_a_longer_halo_brings_the_cuts_together(benchmark, tmp_path):
    """With noise for weather and an untrained network."""
    whole = benchmark.noise(tmp_path)
    none, some = (benchmark.compared(whole, f"halo{halo}", halo=halo) for halo in (0, 8))
    assert some["difference_over_spread"] < 0.5 * none["difference_over_spread"]
    assert abs(some["seam_ratio"] - 1) < 0.5 * abs(none["seam_ratio"] - 1)


def test_every_file_is_compared(benchmark, tmp_path):
    for name in ("reanalyse/a-0.nc", "archive/x.zarr/zarr.json", "archive/shards/a.json", "logs/a.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    before = benchmark.digests(tmp_path)
    assert set(before) == {"reanalyse/a-0.nc", "archive/x.zarr/zarr.json", "archive/shards/a.json"}
    (tmp_path / "archive/x.zarr/zarr.json").write_text("{}")
    assert benchmark.soak.unlike(before, benchmark.digests(tmp_path)) == ["archive/x.zarr/zarr.json"]
