"""What the workflow changes inside of Snakemake: another Snakemake is refused in words. What it is for, `test_grow` shows."""

import subprocess
import sys

import pytest

from tests.workflow import runs

START = """
from snakemake.cli import main
from snakemake.dag import DAG
from snakemake.io import _IOFile

{change}
main(["--snakefile", {file!r}, "--directory", {folder!r}, "--cores", "1", "--quiet"])
"""
CHANGES = {
    "a method that is gone": ("del DAG.omitfrom_jobs", "DAG.omitfrom_jobs"),
    "other parameters": ("DAG.bfs = lambda self, jobs, towards: []", "DAG.bfs"),
    "no ancient files": ("del _IOFile.is_ancient", "is_ancient of files"),
    "nobody asks": ("DAG.update_needrun = lambda self: None", "DAG.update_needrun"),
    "a change that does not take": ("DAG.any_way = DAG.bfs", "DAG.bfs is not what it was made"),
}


def started(tmp_path, change=""):
    rules = runs.ROOT / "workflow/rules/triggers.smk"
    (tmp_path / "Snakefile").write_text(f'include: "{rules}"\n\nrule all:\n    output: "done"\n    shell: "touch {{output}}"\n')
    script = START.format(change=change, file=str(tmp_path / "Snakefile"), folder=str(tmp_path))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_the_snakemake_that_is_pinned_is_known(tmp_path):
    done = started(tmp_path)
    assert done.returncode == 0 and (tmp_path / "done").exists(), done.stderr


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_another_one_is_refused_with_what_to_do(tmp_path, change, says):
    done = started(tmp_path, change)
    assert done.returncode == 1 and not (tmp_path / "done").exists()
    assert f"inside ({says}" in done.stderr and "make setup" in done.stderr and "Traceback" not in done.stderr
