"""Modules that every job imports do not import slow packages."""

import subprocess
import sys


def loaded(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout
    return set(out.split())


def test_the_command_line_starts_without_torch_or_xarray():
    assert not loaded("import hindsight.cli") & {"torch", "xarray", "pandas", "matplotlib"}


def test_the_snakefile_needs_no_torch_and_no_xarray():
    modules = loaded("from hindsight import settings\nfrom hindsight.fields import shards")
    assert not modules & {"torch", "xarray", "pandas", "matplotlib"}


LIGHT = ["observe.simulate", "baselines.optimal_interpolation", "verify.compare", "verify.report", "archive.write"]


def test_steps_that_compute_without_torch_do_not_import_it():
    """Torch takes seconds to import, and a run has hundreds of such jobs."""
    assert "torch" not in loaded("\n".join(f"import hindsight.{step}" for step in LIGHT))
