"""The benchmark of the plan."""

import sys

import pytest

from tests.workflow import runs


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import efficiency

    yield efficiency
    sys.path.remove(str(runs.ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def small(benchmark, tmp_path_factory):
    return benchmark.make(tmp_path_factory.mktemp("small"), 24, 2)


def test_a_step_reports_its_own_time_and_memory(benchmark, tmp_path):
    """Not the memory of this process, which is larger."""
    mine = bytearray(300_000_000)
    mine[::4096] = b"x" * len(mine[::4096])
    found = benchmark.used(["--help"], tmp_path / "log")
    assert 0 < found.processor <= found.seconds + 0.1 and 5e6 < found.memory < 2e8
    with pytest.raises(SystemExit, match="there is no step 'nowhere.at_all'"):
        benchmark.used(["nowhere.at_all"], tmp_path / "log")


def test_the_weather_has_the_mean_and_spread_of_the_scaling(benchmark, small):
    found = benchmark.weather(200, 3)
    for channel, (mean, spread) in enumerate(benchmark.CHANNELS.values()):
        assert found[:, channel].std() == pytest.approx(spread, rel=0.1)
        assert abs(found[:, channel].mean() - mean) < 0.2 * spread
