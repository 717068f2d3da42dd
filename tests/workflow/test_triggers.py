"""The correction of Snakemake: another version is refused with a sentence. `test_grow` shows what it is for."""

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
    "not called": ("DAG.update_needrun = lambda self: None", "DAG.update_needrun"),
    "a change without effect": ("DAG.original_bfs = DAG.bfs", "DAG.bfs was not replaced"),
}


def started(tmp_path, change=""):
    rules = runs.ROOT / "workflow/rules/triggers.smk"
    (tmp_path / "Snakefile").write_text(f'include: "{rules}"\n\nrule all:\n    output: "done"\n    shell: "touch {{output}}"\n')
    script = START.format(change=change, file=str(tmp_path / "Snakefile"), folder=str(tmp_path))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_the_pinned_snakemake_is_supported(tmp_path):
    done = started(tmp_path)
    assert done.returncode == 0 and (tmp_path / "done").exists(), done.stderr


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES)
def test_another_version_is_refused_with_what_to_do(tmp_path, change, says):
    done = started(tmp_path, change)
    assert done.returncode == 1 and not (tmp_path / "done").exists()
    assert f"inside ({says}" in done.stderr and "make setup" in done.stderr and "Traceback" not in done.stderr
