"""What a run cost, from benchmark files."""

import json

import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.verify import cost
from tests.verify.worlds import BENCHMARK, measured

NAMES = {"sparse", "20090101T12", "20090407T12", "0"}


def test_jobs_are_added_up_by_kind_in_the_order_of_the_data_flow(tmp_path):
    measured(tmp_path / "reanalyse/shard-sparse-20090101T12-0.tsv", 10, 500, 15)
    measured(tmp_path / "reanalyse/shard-sparse-20090407T12-0.tsv", 30, 700, 25)
    measured(tmp_path / "train/prior.tsv", 100, 900, 200)
    assert cost.job_kinds(tmp_path, NAMES) == [
        cost.JobKind("train: prior", 1, 100, 100, 200, 900),
        cost.JobKind("reanalyse: shard", 2, 40, 30, 40, 700),
    ]


def test_files_of_other_runs_and_of_the_report_itself_are_ignored(tmp_path):
    measured(tmp_path / "reanalyse/shard-dense-20090101T12-0.tsv", 10, 500, 15)
    measured(tmp_path / "reanalyse/shard-sparse-19990101T12-0.tsv", 10, 500, 15)
    measured(tmp_path / "verify/report.tsv", 10, 500, 15)
    assert cost.job_kinds(tmp_path, NAMES) == []
    assert cost.job_kinds(tmp_path / "nowhere", NAMES) == []


def test_the_memory_of_a_job_too_short_to_measure_is_not_invented(tmp_path):
    measured(tmp_path / "train/linear_prior.tsv", 0.2, "-", "-")
    (one,) = cost.job_kinds(tmp_path, NAMES)
    assert cost.format_size(one.memory) == "not measured" and one.processor != one.processor


@pytest.mark.parametrize("text", ["", "no\tbenchmark\n1\t2\n", f"{BENCHMARK}x\n"])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/prior.tsv").write_text(text)
    with pytest.raises(UserError, match="not a benchmark of Snakemake"):
        cost.job_kinds(tmp_path, NAMES)


def test_network_evaluations_are_those_that_the_jobs_counted(tmp_path):
    def analysis(name, **counted):
        xr.Dataset({"analysis": ("time", [0.0])}, attrs=counted).to_netcdf(tmp_path / name)
        return tmp_path / name

    made = [
        analysis("a.nc", evaluations=7.0, precision="float32"),
        analysis("b.nc", evaluations=8.0, precision="bfloat16"),
    ]
    assert cost.precision(made[:1]) == "float32" and cost.precision(made) == "bfloat16 and float32"
    assert cost.evaluations(made) == 7.5
    assert cost.evaluations([*made, analysis("c.nc")]) is None and cost.evaluations([]) is None


def test_format_of_durations_and_sizes():
    assert [cost.format_duration(s) for s in (2.34, 968, 7200)] == ["2.3 s", "16.1 min", "2.0 h"]
    assert [cost.format_size(m) for m in (809.2, 2048)] == ["809 MB", "2.0 GB"]


PLAN = {
    "jobs": 2,
    "evaluations": 400,
    "device_hours": {"value": 0.01, "low": 0.008, "high": 0.012},
    "analyses_bytes": {"value": 30000.0, "low": 27000.0, "high": 33000.0},
    "host_bytes": {"value": 1.2e9, "low": 1e9, "high": 1.4e9},
}


@pytest.fixture
def planned(tmp_path):
    """Two jobs of a network that has a plan, and one of a network that has none."""
    coords = {"time": [0.0, 1.0, 2.0], "realization": [0, 1]}
    made = xr.Dataset({"analysis": (("time", "realization"), [[0.0, 1.0]] * 3)}, coords, {"evaluations": 20.0})
    paths = [
        tmp_path / f"reanalyse/{name}-0.nc"
        for name in ("sparse/diffusion/a", "sparse/diffusion/b", "dense/diffusion/a")
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.to_netcdf(path)
    (tmp_path / "reanalyse/sparse/plan.json").write_text(json.dumps(PLAN))
    measured(tmp_path / "logs/reanalyse/shard-sparse-a-0.tsv", 10, 900, 9)
    measured(tmp_path / "logs/reanalyse/shard-sparse-b-0.tsv", 20, 1000, 9)
    return paths


def test_measured_use_is_compared_with_the_forecast(tmp_path, planned):
    rows = {row.name: row for row in cost.forecasts(tmp_path / "logs", planned)}
    assert {row.network for row in rows.values()} == {"sparse"}
    assert (rows["jobs"].planned, rows["jobs"].used) == (2, 2)
    assert (rows["network evaluations"].planned, rows["network evaluations"].used) == (400, 2 * 20 * 6)
    time = rows["device time"]
    assert (time.planned, time.low, time.high, time.used) == (36, pytest.approx(28.8), pytest.approx(43.2), 30)
    assert time.ratio == pytest.approx(1.2) and cost.format_value(time, time.used) == "30.0 s"
    assert rows["analyses on disk"].used == sum(path.stat().st_size for path in planned[:2])
    memory = rows["most memory of a job"]
    assert memory.used == 1000 * 2**20 and cost.format_value(memory, memory.used) == "1.0 GB"


def test_the_use_of_unmeasured_jobs_is_not_invented(tmp_path, planned):
    (tmp_path / "logs/reanalyse/shard-sparse-b-0.tsv").unlink()
    rows = {row.name: row for row in cost.forecasts(tmp_path / "logs", planned)}
    assert rows["device time"].used is rows["device time"].ratio is rows["most memory of a job"].used is None
    assert rows["jobs"].used == 2
    (tmp_path / "reanalyse/sparse/plan.json").unlink()
    assert cost.forecasts(tmp_path / "logs", planned) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"jobs": 2}'])
def test_another_file_is_no_plan(tmp_path, planned, text):
    (tmp_path / "reanalyse/sparse/plan.json").write_text(text)
    with pytest.raises(UserError, match=r"plan.json is not a plan .*delete it"):
        cost.forecasts(tmp_path / "logs", planned)
