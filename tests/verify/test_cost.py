"""What a run cost, from benchmark files."""

import pytest
import xarray as xr

from hindsight.errors import UserError
from hindsight.verify import cost
from tests.verify.worlds import BENCHMARK, measured

NAMES = {"sparse", "20090101T12", "20090407T12", "0"}


def test_jobs_are_added_up_by_kind_in_the_order_the_data_flow(tmp_path):
    measured(tmp_path / "reanalyse/shard-sparse-20090101T12-0.tsv", 10, 500, 15)
    measured(tmp_path / "reanalyse/shard-sparse-20090407T12-0.tsv", 30, 700, 25)
    measured(tmp_path / "train/prior.tsv", 100, 900, 200)
    assert cost.kinds(tmp_path, NAMES) == [
        cost.Kind("train: prior", 1, 100, 100, 200, 900),
        cost.Kind("reanalyse: shard", 2, 40, 30, 40, 700),
    ]


def test_what_another_run_left_and_the_report_itself_do_not_count(tmp_path):
    measured(tmp_path / "reanalyse/shard-dense-20090101T12-0.tsv", 10, 500, 15)
    measured(tmp_path / "reanalyse/shard-sparse-19990101T12-0.tsv", 10, 500, 15)
    measured(tmp_path / "verify/report.tsv", 10, 500, 15)
    assert cost.kinds(tmp_path, NAMES) == []
    assert cost.kinds(tmp_path / "nowhere", NAMES) == []


def test_a_job_too_short_to_be_looked_at_has_no_memory_and_no_made_up_one(tmp_path):
    measured(tmp_path / "train/colour.tsv", 0.2, "-", "-")
    (one,) = cost.kinds(tmp_path, NAMES)
    assert cost.size(one.memory) == "not measured" and one.processor != one.processor


@pytest.mark.parametrize("text", ["", "no\tbenchmark\n1\t2\n", f"{BENCHMARK}x\n"])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/prior.tsv").write_text(text)
    with pytest.raises(UserError, match="not a benchmark of Snakemake"):
        cost.kinds(tmp_path, NAMES)


def test_passes_are_what_the_jobs_counted(tmp_path):
    def analysis(name, **counted):
        xr.Dataset({"analysis": ("time", [0.0])}, attrs=counted).to_netcdf(tmp_path / name)
        return tmp_path / name

    made = [analysis("a.nc", evaluations=7.0), analysis("b.nc", evaluations=8.0)]
    assert cost.passes(made) == 7.5
    assert cost.passes([*made, analysis("c.nc")]) is None and cost.passes([]) is None


def test_times_and_sizes_are_written_as_people_do():
    assert [cost.duration(s) for s in (2.34, 968, 7200)] == ["2.3 s", "16.1 min", "2.0 h"]
    assert [cost.size(m) for m in (809.2, 2048)] == ["809 MB", "2.0 GB"]
