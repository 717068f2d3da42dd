"""The benchmark of a recalled station: what is reached by a denial, what else there is, whose work is whose."""

import json
import subprocess
import sys

import pytest

from hindsight.settings import Settings
from tests.workflow import runs


@pytest.fixture(scope="module")
def recall():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import recall

    yield recall
    sys.path.remove(str(runs.ROOT / "benchmarks"))


def test_shards_are_reached_by_their_halo(recall):
    """Shards of ten days from the first of January, with a halo of two."""
    chosen = Settings(
        domain={"step_hours": 24, "train": {"start": "2000-01-01", "end": "2000-12-31"},
                "validation": {"start": "2001-01-01", "end": "2001-12-31"},
                "test": {"start": "2009-01-01", "end": "2009-02-09"}},
        product={"shard_frames": 10}, archive={"chunk_frames": 10},
        reanalyse={"frames": 14, "stride": 14, "halo": 2},
    )  # fmt: skip
    assert recall.reached(chosen, "2009-01-14", "2009-01-16") == {"20090111T00"}
    assert recall.reached(chosen, "2009-01-12", "2009-01-12") == {"20090101T00", "20090111T00"}
    assert recall.reached(chosen, "2009-01-18", "2009-01-20") == {"20090111T00", "20090121T00"}


def test_jobs_of_remade_shards_are_told_from_the_others(recall):
    done = {"20090111T12"}
    assert recall.own("shard-sparse16-20090111T12-0", done) and recall.own("write-20090111T12", done)
    assert not recall.own("feedback-sparse16-diffusion-20090101T12", done) and not recall.own("report", done)


@pytest.mark.slow
def test_a_denied_station_changes_one_shard(data, tmp_path):
    words = [sys.executable, "benchmarks/recall.py", "--quick", "--data", str(data), "--json", str(tmp_path / "out")]
    subprocess.run(words, check=True, cwd=runs.ROOT, timeout=1500)
    found = json.loads((tmp_path / "out").read_text())
    assert found["affected"] == found["planned"] == found["remade"] == ["20090131T12"]
    assert found["others_identical"] and found["others"] > 20 and found["shards"] == 4
    assert 0 < found["overhead"] < 1
