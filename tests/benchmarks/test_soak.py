"""A workflow of toy jobs that is killed in every way still completes; damaged and different files are counted."""

import random
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from hindsight.settings import Archive
from tests.archive.conftest import small  # noqa: F401 (a fixture)
from tests.workflow import runs

TOY = """
import sys, time
from pathlib import Path
from hindsight import signals
with signals.handling("hindsight toy.job"):
    time.sleep({seconds})
    Path(sys.argv[2]).write_text(sys.argv[2])
"""
SNAKEFILE = """
import sys
from pathlib import Path
from hindsight.errors import UserError

def result(path):
    return f"results/soak/{{path}}"

include: "{root}/workflow/rules/running.smk"

rule all:
    input: expand(result("{{number}}"), number=range({jobs}))

rule toy:
    output: "results/soak/{{number}}"
    benchmark: "logs/soak/{{number}}.tsv"
    shell: "{python} ./hindsight toy.job {{output}}"
"""


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(runs.ROOT / "benchmarks"))
    import soak

    yield soak
    sys.path.remove(str(runs.ROOT / "benchmarks"))


@pytest.fixture
def toys(benchmark, tmp_path, request):
    """Makes a workflow of `count` toy jobs of a few seconds; all its processes end with the test."""

    class Toys(benchmark.Workflow):
        def command(self, *words):
            command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.folder / "Snakefile"), "--cores", "2"]
            return [*command, "--directory", str(self.folder), "--rerun-incomplete", *words]

    jobs, seconds = request.param
    flow = Toys(tmp_path / "toys", {})
    (flow.folder / "hindsight").write_text(TOY.format(seconds=seconds))
    (flow.folder / "Snakefile").write_text(SNAKEFILE.format(root=runs.ROOT, jobs=jobs, python=sys.executable))
    yield flow
    benchmark.send(([flow.process] if flow.alive() else []) + flow.jobs(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("toys", [(6, 2)], indirect=True)
def test_a_workflow_that_is_struck_in_every_way_completes(benchmark, toys):
    blows, kinds = [], toys.place.kinds()
    benchmark.beaten(toys, len(kinds), blows, random.Random(1), benchmark.Pace(1.0, 6))
    made = {path.name for path in (toys.folder / "results/soak").iterdir()}
    assert toys.whole() and made - {".running"} == {*"012345"}  # a run killed after its last job leaves that file
    assert len(blows) >= 4 and {blow.kind for blow in blows} <= {*kinds}  # it may be whole before all have hit
    assert toys.starts > 2 and toys.jobs() == [] and toys.stumbles == 0
    benchmark.show(blows)


@pytest.mark.slow
@pytest.mark.parametrize("toys", [(1, 60)], indirect=True)
def test_a_strike_hits_only_its_target(benchmark, toys):
    assert toys.strike_job(random.Random(1), signal.SIGKILL) == toys.strike_worker(random.Random(1)) == 0  # none there
    toys.bring_up(toys.jobs)
    assert toys.steps() == ["toy.job"]
    assert toys.strike_workflow(signal.SIGKILL) == 1
    toys.process.wait(10)
    assert toys.steps() == ["toy.job"]  # it lives on
    assert toys.strike_job(random.Random(1), signal.SIGTERM) == 1
    until = time.monotonic() + 20
    while toys.jobs() and time.monotonic() < until:
        time.sleep(0.1)
    assert toys.jobs() == [] and toys.strike_everything(signal.SIGKILL) == 0
    toys.struck = True
    toys.bring_up(toys.jobs)
    assert toys.unlocks == 1 and toys.stumbles == 0
    assert toys.strike_everything(signal.SIGKILL) == 2
    toys.process.wait(10)
    assert toys.jobs() == []


def test_kinds_of_kill_take_turns_and_are_spread_over_the_run(benchmark):
    moments = random.Random(1)
    dealt = benchmark.kinds(benchmark.Local(), moments)
    first = [next(dealt) for _ in range(7)]
    assert sorted(first) == sorted(benchmark.Local().kinds()) and sorted(next(dealt) for _ in range(7)) == sorted(first)
    pace = benchmark.Pace(5.0, 40)
    few, many = ([pace.wait(10, kills, moments) for _ in range(2000)] for kills in (3, 30))
    assert sum(few) / 2000 == pytest.approx(5 * (30 / 3 + 1), rel=0.1)
    assert sum(many) / 2000 == pytest.approx(5 * (30 / 30 + 1), rel=0.1)


def test_a_workflow_that_never_starts_is_given_up(benchmark, tmp_path, monkeypatch):
    flow = benchmark.Workflow(tmp_path / "flow", {})
    monkeypatch.setattr(flow, "command", lambda *words: [sys.executable, "-c", "raise SystemExit('no')"])
    with pytest.raises(SystemExit, match="does not get on its feet"):
        flow.to_the_end()
    assert flow.stumbles == benchmark.STUMBLES + 1


def test_archive_check_counts_damaged_files(benchmark, small):  # noqa: F811
    base = small.folder / "archive"
    sections = SimpleNamespace(domain=small.domain, product=small.product, archive=Archive(**small.archive_settings))
    assert benchmark.faults(base, sections) == 0
    damaged = small.archive / "z500/c/0/0/0/0"
    damaged.write_bytes(damaged.read_bytes() + b"!")
    small.markers[-1].unlink()
    assert benchmark.faults(base, sections) == 2


def test_different_missing_and_surplus_files_are_named(benchmark, tmp_path):
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        for name in ("archive/x.zarr/zarr.json", "archive/layout.json", "train/prior.safetensors", "train/curve.csv"):
            path = folder / f"results/{benchmark.RUN}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    one, other = map(benchmark.digests, folders)
    assert one == other and len(one) == 3
    base = folders[1] / f"results/{benchmark.RUN}"
    (base / "archive/x.zarr/zarr.json").write_text("{}")
    (base / "archive/layout.json").rename(base / "archive/layout.json.partial")
    found = benchmark.unlike(one, benchmark.digests(folders[1]))
    assert found == ["archive/layout.json", "archive/layout.json.partial", "archive/x.zarr/zarr.json"]
