"""The forecast of cost: counts equal those of the jobs, times follow from the timed stretches."""

import itertools
import json
import shutil
from collections import namedtuple

import numpy as np
import pytest

from hindsight import prior as priors
from hindsight.errors import UserError
from hindsight.fields import analyses, shards
from hindsight.fields import observations as tables
from hindsight.reanalyse import plan, shard
from hindsight.reanalyse.counting import Work
from hindsight.reanalyse.packing import Sizes
from hindsight.reanalyse.plan import Forecast, Job, Pace
from hindsight.reanalyse.timing import Timed
from hindsight.settings import Domain, Encoding, Product
from tests.reanalyse import worlds

DOMAIN = Domain(channels=["z500"], test={"start": "2009-01-01T12:00", "end": "2009-01-30T12:00"})
PRODUCT = Product(members=3, member_block=2, shard_frames=12)
REGIMES = {
    "batch": {"halo": 3},
    "nowcast": {"regime": "nowcast", "halo": 3},
    "fixed lag, past fixed": {"regime": "fixed_lag", "lag_hours": 48, "past": "fixed", "halo": 3},
    "sliding": {"regime": "sliding", "lag_hours": 24, "window": {"hop_hours": 48}, "halo": 2},
    "sliding by inversion": {"regime": "sliding", "lag_hours": 24, "window": {"inversion_steps": 3}, "halo": 2},
    "particle filter": {"regime": "particle_filter", "lag_hours": 24, "halo": 3},
    "particle smoother": {"regime": "particle_filter", "lag_hours": 48, "window": {"weights": "mean"}, "halo": 3},
    "with corrections": {"halo": 3, "sampler": {"step": "ddim", "corrections": 1}},
}
LONG = ("nowcast", "sliding by inversion", "particle filter")  # `tests/reanalyse/test_counting.py` counts them too


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Plans a network, and makes its jobs; `start_seconds` is replaced to save time."""
    prior, folder = worlds.busy(), tmp_path / "reanalyse/sparse"
    rows = worlds.table().assign(level=500.0, platform="p", station="s", quality=0, withheld=False, source="t")
    tables.write(rows, tmp_path / "seen.parquet")
    priors.save(prior, tmp_path / "prior")
    worlds.scaled(prior, tmp_path)
    monkeypatch.setattr(plan.timing, "start_seconds", lambda: 7.0)

    class World:
        path = folder / "plan.json"

        def plan(self, product=PRODUCT, archive=(), attempt="1", **about):
            seen, more = (
                [tmp_path / "seen.parquet"],
                {"archive": list(archive), "plan": self.path, "climatology": tmp_path / "climatology.nc"},
            )
            sections = (DOMAIN, product, worlds.settings(**about), Encoding())
            plan.run(*sections, prior=tmp_path / "prior", observations=seen, attempt=attempt, **more)
            return json.loads(self.path.read_text())

        def make(self, number, block, product=PRODUCT, **about):
            chosen, one = worlds.settings(**about), shards.cut(DOMAIN, product)[number]
            seen, numbers = one.with_halo(*chosen.halo_frames(24), DOMAIN), product.block(block)
            path = folder / f"diffusion/{one.name}-{block}.nc"
            files = {name: tmp_path / f"{name}.nc" for name in ("climatology", "statistics")}
            files |= {"prior": tmp_path / "prior", "observations": [tmp_path / "seen.parquet"], "analysis": path}
            names = {"shard": one.with_halo(0, 0, DOMAIN).name, "stretch": seen.name}
            shard.run(DOMAIN, product, chosen, **files, **names, members=f"{numbers[0]}-{numbers[-1]}")
            head = analyses.header(path)
            return float(head.attrs["evaluations"]) * head.sizes["time"] * head.sizes["realization"]

    return World()


@pytest.mark.parametrize("regime", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in REGIMES])
def test_jobs_take_the_network_evaluations_that_were_forecast(world, regime):
    together = regime.startswith(("sliding", "particle"))
    product = PRODUCT.model_copy(update={"member_block": 3}) if together else PRODUCT
    found = world.plan(product, **REGIMES[regime])
    blocks = 1 if together else 2
    made = [world.make(*job, product, **REGIMES[regime]) for job in itertools.product(range(3), range(blocks))]
    assert (found["shards"], found["jobs"], found["to_make"]) == (3, len(made), len(made))
    assert found["evaluations"] == pytest.approx(sum(made), abs=1e-6) and found["evaluations"] % 1 == 0
    assert found["analyses_files"] == len(made) == len(list(world.path.parent.glob("diffusion/*.nc")))


def test_finished_jobs_are_not_forecast_again(world):
    whole = world.plan()
    world.make(0, 0)
    world.make(1, 1)
    rest = world.plan()
    assert (rest["jobs"], rest["to_make"]) == (6, 4)
    assert rest["bytes_to_make"]["value"] < 0.9 * whole["bytes_to_make"]["value"]
    assert rest["device_hours_to_make"]["value"] < 0.9 * rest["device_hours"]["value"]
    assert rest["evaluations"] == whole["evaluations"]


def test_the_forecast_is_printed_and_written_to_the_progress_file(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HINDSIGHT_PROGRESS", str(tmp_path / "progress"))
    found = world.plan(archive=[tmp_path / "archive/reanalysis.zarr"])
    text = capsys.readouterr().out
    assert "Network sparse: 3 shards, 6 jobs, 6 to make" in text and "wall hours on 16, 64 device(s)" in text
    assert f" {found['evaluations']:,.0f} network evaluations" in text and "device hours, jobs to make" not in text
    assert "12 objects of the archive" in text and found["archive_objects"] == 12  # two blocks, mean and spread
    assert "GPU" not in text  # there is none
    assert text in (tmp_path / "progress").read_text()


@pytest.mark.parametrize(
    ("value", "text"), [(22734.0, "22,734"), (61.84, "61.8"), (0.06684, "0.0668"), (1.2e-5, "0.000012"), (0.0, "0")]
)
def test_values_are_printed_without_powers_of_ten(value, text):
    assert plan._short(value) == text


LIMITS = {
    "limit_hours": (1e-9, r"device hours are forecast for 6 jobs, and product.limit_hours is 1e-09"),
    "limit_gb": (1e-9, r"GB are forecast on disk, and product.limit_gb is 1e-09"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_above_a_limit_nothing_is_started(world, name):
    limit, says = LIMITS[name]
    with pytest.raises(UserError, match=rf"nothing was started: .*{says}.*Raise the limit.*product.members"):
        world.plan(PRODUCT.model_copy(update={name: limit}))
    assert not world.path.exists()
    assert world.plan(PRODUCT.model_copy(update={name: 1e9}))["jobs"] == 6


def test_a_retry_is_refused_without_timing_and_a_new_run_is_timed_again(world, monkeypatch):
    """SLURM retries a job whatever the cause; a new run is timed again."""
    limited = PRODUCT.model_copy(update={"limit_hours": 1e-9})
    with pytest.raises(UserError) as first:
        world.plan(limited)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "_time_stretches", lambda *_: pytest.fail("it was timed"))
        with pytest.raises(UserError) as second:
            world.plan(limited, attempt="2")
    assert f"{second.value}" == f"{first.value}"
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(plan, "_time_stretches", lambda *_: (_ for _ in ()).throw(MemoryError()))
        world.plan()  # a new run forgets the refusal
    assert world.plan(attempt="2")["jobs"] == 6
    assert not list(world.path.parent.glob("plan.refused*"))


def test_what_does_not_fit_on_the_disk_is_refused(world, monkeypatch):
    Usage, plain = namedtuple("Usage", "total used free"), shutil.disk_usage
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: Usage(10**15, 10**15 - 1, 1))
    with pytest.raises(UserError, match=r"GB are forecast and 0\.000000001 GB are free in .*sparse"):
        world.plan()
    monkeypatch.setattr(plan.shutil, "disk_usage", plain)
    Files = namedtuple("Files", "f_files f_favail f_bavail f_frsize f_blocks f_bfree")
    monkeypatch.setattr(plan.os, "statvfs", lambda path: Files(100, 5, 10**9, 4096, 10**9, 10**9))
    with pytest.raises(UserError, match="18 files and folders are forecast and 5 are free"):
        world.plan()
    assert not world.path.exists()


def timed(frames, work, network, rest, host=0, members=1):
    return Timed(frames, work, network, rest, host, 0, np.zeros(members))


def test_paces_are_those_of_the_timed_stretches():
    """2 s for an evaluation, 3 s for an update; one stretch took a tenth more and one a tenth less."""
    work = [Work(10, 5), Work(10, 5), Work(20, 10)]
    parts = [timed(5, w, f * 2 * w.evaluations, f * 3 * w.updates) for w, f in zip(work, (1.1, 0.9, 1.0))]
    warm = timed(5, Work(5, 5), 30.0, 10.0)  # of which 25 s are work
    least = timed(2, Work(2, 1), 99.0, 99.0)  # not used if others were timed
    found = plan.measured_pace(warm, [least, *parts], 4.0, 0.5)
    assert (found.evaluation, found.update, found.writing) == (pytest.approx(2), pytest.approx(3), 0.5)
    assert found.start == pytest.approx(4 + 15)
    assert found.band == pytest.approx(2 * np.std([1.1, 0.9, 1.0], ddof=1) + plan.UNTIMED)


def test_times_are_paces_times_work():
    job = lambda made, frames=10: Job("a", frames, frames + 4, 2, Work(100, 50), made)
    pace = Pace(2.0, 3.0, 0.5, 40.0, 0.2)
    found = plan.times([job(True), job(False), job(False, 20)], pace, [1, 2])
    each = 40 + 200 + 150
    assert found["job_seconds"] == Forecast(each + 20, pytest.approx(0.8 * 410), pytest.approx(1.2 * 410))
    assert found["device_hours"].value == pytest.approx((3 * each + 10 + 10 + 20) / 3600)
    assert found["device_hours_to_make"].value == pytest.approx((2 * each + 10 + 20) / 3600)
    assert found["wall_hours"]["2"].value == pytest.approx(410 / 3600)


def test_devices_take_jobs_in_order():
    """Against a simulation of every second."""

    def simulated(seconds, devices):
        left, busy, clock = list(seconds), [0] * devices, 0
        while left or any(busy):
            busy = [left.pop(0) if not b and left else b for b in busy]
            busy, clock = [max(b - 1, 0) for b in busy], clock + 1
        return clock

    generator = np.random.default_rng(0)
    for devices in (1, 2, 5, 64):
        seconds = generator.integers(1, 9, 17).tolist()
        assert plan.wall_seconds(seconds, devices) == simulated(seconds, devices)
    assert plan.wall_seconds([], 4) == 0


def test_memory_lies_on_a_line_through_the_timed_stretches():
    parts = [timed(20, Work(), 1, 1, host=500), timed(20, Work(), 1, 1, host=500), timed(40, Work(), 1, 1, host=700)]
    warm, least = timed(4, Work(), 1, 1, host=460, members=2), timed(8, Work(), 1, 1, host=480, members=2)
    host = lambda parts, member_frames: plan.memory(warm, [least, *parts], member_frames)["host_bytes"]
    assert host(parts, 100) == Forecast(1300, 700, pytest.approx(1900 * 1.1))
    assert host(parts, 40) == Forecast(700, 700, pytest.approx(770))
    assert host([timed(24, Work(), 1, 1, host=720)], 104) == Forecast(720 + 30 * 80, 720, pytest.approx(5520 * 1.1))
    assert host([], 96) == Forecast(480 + 2.5 * 80, 480, pytest.approx(880 * 1.1))  # 24 frames of 4 members


def test_a_plan_takes_at_most_a_tenth_of_what_it_forecasts(world, monkeypatch):
    """For a short run only the shortest stretch is timed, and the band is wide."""
    long = world.plan()
    assert len(long["timed"]) > 2 and long["timed"][0]["frames"] < long["timed"][2]["frames"]
    monkeypatch.setattr(plan.timing, "start_seconds", lambda: 0.0)
    monkeypatch.setattr(plan, "SHARE", 1e-6)
    short = world.plan()
    assert [t["frames"] for t in short["timed"]] == [8]
    hours = short["device_hours"]
    assert hours["high"] == pytest.approx(hours["value"] * (1 + plan.SINGLE_BAND + plan.UNTIMED))
    assert short["evaluations"] == long["evaluations"] and short["host_bytes"]["value"] > 0


def test_disk_counts_members_frames_and_finished_files(tmp_path):
    todo = [Job(s, 10, 14, m, Work(), s == "a") for s in "ab" for m in (2, 1)]
    sizes = Sizes(head=100.0, analysis=3.0, member=2.0, summary=5.0, difference=0.05, seconds=0.0)
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/a.json").write_text("{}")
    found = plan.disk(todo, sizes, DOMAIN, PRODUCT, [tmp_path / "reanalysis.zarr"])
    assert found["analyses_bytes"].value == 4 * 100 + 3 * 10 * 6 and found["analyses_files"] == 4
    assert found["archive_bytes"] == Forecast(2 * 10 * (3 * 2 + 5), pytest.approx(187), pytest.approx(253))
    assert found["archive_objects"] == 2 * 4 and found["bytes_to_make"].value == 2 * 100 + 3 * 10 * 3 + 110
    assert found["inodes_to_make"] == 2 * 3 + 4 * 3 + 3
    apart = plan.disk(todo, sizes, DOMAIN, PRODUCT, [])
    assert apart["archive_bytes"].value == apart["archive_objects"] == 0
