"""The wheel: what it contains, and that commands and workflow run from it, away from the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

from hindsight import __version__
from tests import shared
from tests.workflow import test_lorenz96

ROOT = Path(__file__).parents[1]
SOURCES = ("src", "workflow", "profiles", "config", "Snakefile", "pyproject.toml", "setup.py", "README.md", "LICENSE")


def build(place: Path) -> None:
    """Build the wheel in a copy of the sources, and install it in an environment that has its dependencies."""
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        place.mkdir(exist_ok=True)
        copy(ROOT / name, place / name)
    call(place, sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place / "dist", place)
    call(place, sys.executable, "-m", "venv", place / "venv")
    python = place / "venv/bin/python"
    call(place, python, "-m", "pip", "install", "--no-index", "--no-deps", *(place / "dist").glob("*.whl"))
    # only paths: the .pth files in those folders, such as that of the editable installation, are not read
    folders = [path for path in sys.path if path.endswith("site-packages")]
    (site(python) / "dependencies.pth").write_text("\n".join(folders))
    shutil.rmtree(place / "src")


def site(python: Path) -> Path:
    """The folder of packages of an interpreter."""
    return python.parents[1] / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)


def call(folder: Path, *words: str | Path, programs: Path | None = None) -> str:
    """Run a command in a folder without the repository on Python's path; its output."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    kept["PATH"] = f"{programs or Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    done = subprocess.run(words, cwd=folder, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed() -> Path:
    """The folder of an installed wheel."""
    return shared.once("wheel", build)


@pytest.fixture
def run(installed, tmp_path):
    """Runs `hindsight WORDS`, or with a configuration `snakemake WORDS`, in a folder that has nothing else."""
    bin = installed / "venv/bin"
    hindsight = lambda *words: call(tmp_path, bin / "hindsight", *words, programs=bin)

    def run(*words, config=None):
        if not config:
            return hindsight(*words)
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
        snakefile, profiles = (hindsight("where", place).strip() for place in ("snakefile", "profiles"))
        workflow = ["--snakefile", snakefile, "--profile", f"{profiles}/local", "--configfile", "mine.yaml"]
        return call(tmp_path, bin / "python", "-m", "snakemake", *workflow, *words, programs=bin)

    return run


def test_the_wheel_has_the_workflow_and_nothing_else_of_the_repository(installed):
    (wheel,) = (installed / "dist").glob(f"hindsight-{__version__}-*.whl")
    with zipfile.ZipFile(wheel) as file:
        names, modes = set(file.namelist()), {i.filename: i.external_attr >> 16 for i in file.infolist()}
    share = {name.removeprefix("hindsight/share/") for name in names if name.startswith("hindsight/share/")}
    kept = {f"{p.relative_to(ROOT)}" for top in ("workflow", "profiles", "config") for p in (ROOT / top).rglob("*")
            if p.is_file() and "__pycache__" not in p.parts}  # fmt: skip
    assert share == kept | {"Snakefile"}
    assert modes["hindsight/share/workflow/scripts/with-gpu"] & 0o111
    assert {name.split("/")[0] for name in names} == {"hindsight", f"hindsight-{__version__}.dist-info"}
    assert {"hindsight/verify/report.html.jinja", "hindsight/archive/README.md.jinja"} <= names
    page = {f"hindsight/archive/page/{path.name}" for path in (ROOT / "src/hindsight/archive/page").iterdir()}
    assert len(page) >= 7 and page <= names


def test_the_installed_command_finds_the_installed_workflow(run, installed):
    assert run("--version") == f"hindsight {__version__}\n" and "verify.score" in run("--help")
    assert run("where").startswith(f"{site(installed / 'venv/bin/python')}/hindsight/share")


def test_a_dry_run_needs_no_repository(run):
    assert "write" in run("--dry-run", config=test_lorenz96.one_network())


@pytest.mark.slow
def test_the_workflow_runs_from_the_wheel(run, tmp_path):
    run("--cores", "2", config=test_lorenz96.one_network())
    for made in ("archive/reanalysis.zarr/zarr.json", "verify/report.html"):
        assert (tmp_path / "results/lorenz96" / made).is_file()
