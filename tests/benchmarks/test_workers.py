"""The forecast for many devices, calculated by hand, and measurements of jobs whose times are known."""

import sys

import pytest

from tests.workflow import runs


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import workers

    yield workers
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def test_the_line_through_two_jobs_gives_start_and_seconds_per_frame(benchmark):
    """12 s and half a second per frame of processor time; the wall-clock times are longer."""
    jobs = benchmark.Alone(8, 16.0, 90.0, 9.0), benchmark.Alone(96, 60.0, 70.0, 7.0)
    assert benchmark.line(*jobs) == pytest.approx((12.0, 0.5))


def test_efficiency_on_many_devices_is_halo_times_start_times_rounds(benchmark):
    """Ten years are 61 shards of 240 frames, 122 jobs in 2 rounds of 64; a job analyses 340 frames and keeps 240."""
    found = benchmark.predicted(10, 20.0, 240.0, 1)
    assert (found["jobs"], found["devices"]) == (122, 64)
    assert found["halo"] == pytest.approx(240 / 340)
    assert found["start"] == pytest.approx(340 / 360)  # the halo is work too
    assert found["rounds"] == pytest.approx(122 / 128)
    assert found["efficiency"] == pytest.approx(240 / 340 * 340 / 360 * 122 / 128)
    assert found["wall_hours"] == pytest.approx(2 * 360 / 3600)


def test_the_forecast_efficiency_is_useful_time_over_reserved_time(benchmark):
    """Reserved is the time of 64 devices until the last of them ends."""
    for faster in benchmark.FASTER:
        found = benchmark.predicted(50, 20.0, 240.0, faster)
        held = 64 * 3600 * found["wall_hours"]
        assert found["efficiency"] == pytest.approx(found["jobs"] * 240.0 / faster / held)


def test_a_faster_device_is_less_efficient_because_jobs_start_no_faster(benchmark):
    slow, fast = (benchmark.predicted(50, 20.0, 240.0, faster) for faster in (1, 100))
    assert fast["start"] == pytest.approx(3.4 / 23.4) and fast["efficiency"] < 0.2 * slow["efficiency"]


def test_the_limit_of_more_processes_than_cores_is_that_of_the_cores(benchmark, monkeypatch):
    """With two cores, two processes do twice the work of one, and four do no more."""
    monkeypatch.setattr(benchmark, "lone", lambda small, n: benchmark.Alone(n, 10.0 + n, 0.0, 4.0))
    monkeypatch.setattr(benchmark, "throughput", lambda small, count: 3.0 * min(2, count))
    monkeypatch.setattr(benchmark.os, "sched_getaffinity", lambda process: {0, 1})
    found = benchmark.measured(pretended(benchmark), (1, 2, 4), 8, 96)
    assert found["efficiency"] == found["limit"] == {1: 1.0, 2: 1.0, 4: 0.5}
    assert found["start_seconds"] == pytest.approx(10.0) and found["seconds_a_frame"] == pytest.approx(1.0)
    benchmark.show(found | {"date": "2026-11-21"})


def test_the_work_of_other_programs_is_separated_from_that_of_the_jobs(benchmark, monkeypatch):
    """Of six busy seconds four are the jobs', so in two seconds of wall-clock time other programs used one core."""
    known, clock = iter([(100.0, 10.0), (106.0, 14.0)]), iter([50.0, 52.0])
    monkeypatch.setattr(benchmark, "worked", lambda: next(known))
    monkeypatch.setattr(benchmark.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(benchmark, "throughput", lambda small, count: 6.0)
    assert benchmark.rate(None, 2) == (6.0, 1.0)


def pretended(benchmark):
    """A run that has only settings."""
    config = benchmark.efficiency.CONFIG | {"domain": benchmark.efficiency.CONFIG["domain"] | TEST}
    return benchmark.Small(None, benchmark.efficiency.settings.read(config))


TEST = {"test": {"start": "2002-01-01T00:00", "end": "2002-01-31T18:00"}}
