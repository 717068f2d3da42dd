"""The set-up: which torch is chosen, what is made anew and what is left alone, and a sentence for what goes wrong."""

import ast
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
MACHINE = platform.machine()
WHEEL = f"torch-2.13.0+cpu-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl"

spec = importlib.util.spec_from_file_location("installation", ROOT / "envs/installation.py")
installation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(installation)

# What stands for uv: it notes what it is told, and makes what an environment is known by.
UV = """#!/bin/bash
[ "$1" = --version ] && exit 0
here="$(dirname "$0")/.."
echo "$@" >> "$here/told"
case "$*" in
*--dry-run*) [ -e "$here/index" ] ;;
venv*)
  folder="${!#}"
  mkdir -p "$folder/bin" "$folder/lib/python3.11/site-packages"
  printf '#!/bin/sh\\ncd "%s/../.uv"\\ncase "$1" in -c) cat torch ;; -m) touch "$2" ;; esac\\n' "$folder" \\
    > "$folder/bin/python"
  chmod +x "$folder/bin/python" ;;
pip*)
  [ -e "$here/broken" ] && { echo "error: Request failed"; echo "  cause: Name or service not known"; exit 2; }
  [ -e "$here/slow" ] && { touch "$here/busy"; exec sleep 60; }
  echo "$PWD/src" > .venv/lib/python3.11/site-packages/__editable__.hindsight-0.2.0.pth ;;
esac
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose uv is the one above, on a machine without a GPU that has a folder of wheels."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:{os.environ['PATH']}")
    program(tmp_path / "programs/nvidia-smi", "#!/bin/sh\nexit 9\n")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / WHEEL).touch()
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    shutil.copytree(ROOT / "envs", root / "envs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    program(root / ".uv/bin/uv", UV)
    program(root / ".uv/bin/python", "#!/bin/sh\necho \"global.timeout='15'\"\n")
    (root / ".uv/torch").write_text("2.13.0+cpu None False\n")
    return root


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def told(root: Path) -> list[str]:
    """What uv was told since one last asked."""
    log = root / ".uv/told"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def kinds(root: Path) -> list[str]:
    return [line.split()[0] for line in told(root)]


# Which torch


def test_a_wheel_is_taken_only_if_it_is_for_this_python_and_processor(tmp_path):
    for name in (
        f"torch-2.13.0-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl",
        f"torch-2.12.0+cpu-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl",
        f"torch-2.13.0+cpu-cp39-cp39-manylinux_2_28_{MACHINE}.whl",
        f"torch-2.13.0+cpu-{TAG}-{TAG}t-manylinux_2_28_{MACHINE}.whl",
        f"torch-2.13.0+cpu-{TAG}-{TAG}-manylinux_2_28_s390x.whl",
        f"torchvision-2.13.0+cpu-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl",
    ):
        (tmp_path / name).touch()
    assert installation.cpu_wheel([str(tmp_path), str(tmp_path / "nothing")], "2.13.0") is None
    for good in (WHEEL, WHEEL.replace("+", "%2B")):
        (tmp_path / good).touch()
        assert installation.cpu_wheel([str(tmp_path)], "2.13.0") == tmp_path / good
        assert installation.cpu_wheel([f"file://{tmp_path}"], "2.13.0") == tmp_path / good
        (tmp_path / good).unlink()
    assert installation.cpu_wheel(["https://host.invalid/wheels"], "2.13.0") is None


def test_the_folders_of_wheels_are_those_of_pip_and_of_uv():
    settings = ":env:.find-links='/one /two'\nglobal.find-links='/two\\n/three'\nglobal.index-url='https://mirror'\n"
    environ = {"PIP_FIND_LINKS": "/one /four", "UV_FIND_LINKS": "/five,/six"}
    assert installation.wheel_folders(settings, {}) == ["/one", "/two", "/three"]
    assert installation.wheel_folders(settings, environ) == ["/one", "/two", "/three", "/four", "/five", "/six"]
    assert installation.wheel_folders("", {}) == []
    assert installation.pip_values(settings, "index-url") == ["https://mirror"]


def test_pip_itself_says_where_its_folders_are(tmp_path, monkeypatch):
    program(tmp_path / ".uv/bin/python", f'#!/bin/sh\nexec {installation.base_python()} "$@"\n')  # .venv has no pip
    monkeypatch.setenv("PIP_FIND_LINKS", "/some/wheels")
    assert "/some/wheels" in installation.pip_values(installation.pip_settings(tmp_path), "find-links")


@pytest.mark.parametrize(
    ("asked", "nvidia", "build"),
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", False, "cuda")],
)
def test_auto_is_cuda_only_where_there_is_a_gpu(asked, nvidia, build):
    assert installation.wanted_build(asked, nvidia) == build


def test_a_gpu_is_one_that_the_driver_lists(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    nothing = tmp_path / "gpus"
    assert not installation.has_nvidia(nothing)
    nothing.mkdir()
    assert not installation.has_nvidia(nothing)
    program(tmp_path / "programs/nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert not installation.has_nvidia(nothing)
    program(tmp_path / "programs/nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA A100 (UUID: GPU-1)'\n")
    assert installation.has_nvidia(nothing)
    (tmp_path / "programs/nvidia-smi").unlink()
    (nothing / "0000:01:00.0").mkdir()
    assert installation.has_nvidia(nothing)


def constraint(arguments: list[str]) -> str:
    return Path(arguments[arguments.index("--constraint") + 1]).read_text().strip()


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere PyPI's own build is the CPU's")
def test_a_cpu_build_comes_from_the_folder_then_from_torchs_index_then_not(project, monkeypatch, capsys):
    build, arguments = installation.torch_for(project, "auto")
    assert build == "cpu" and constraint(arguments) == "torch==2.13.0+cpu"
    assert arguments[:2] == ["--find-links", os.environ["UV_FIND_LINKS"]] and "--torch-backend" not in arguments

    monkeypatch.setenv("UV_FIND_LINKS", "")
    (project / ".uv/index").touch()
    assert installation.torch_for(project, "cpu") == ("cpu", ["--torch-backend", "cpu"])

    (project / ".uv/index").unlink()
    capsys.readouterr()
    build, arguments = installation.torch_for(project, "auto")
    assert build == "pypi" and constraint(arguments) == "torch!=2.13.0+cpu"
    assert "3 GB" in capsys.readouterr().out.splitlines()[-1]
    with pytest.raises(installation.Refusal, match=r"TORCH=cpu: no CPU build of torch 2\.13\.0 .* TORCH=auto"):
        installation.torch_for(project, "cpu")


@pytest.mark.skipif(platform.system() != "Linux", reason="CUDA is for Linux")
def test_cuda_never_takes_the_cpu_wheel_that_lies_there(project):
    build, arguments = installation.torch_for(project, "cuda")
    assert build == "cuda" and constraint(arguments) == "torch!=2.13.0+cpu" and "--torch-backend" not in arguments

    program(project.parent / "programs/nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA A100'\n")
    assert constraint(installation.torch_for(project, "auto")[1]) == "torch!=2.13.0+cpu"  # the index cannot be reached
    (project / ".uv/index").touch()
    assert installation.torch_for(project, "auto") == ("cuda", ["--torch-backend", "auto"])


def test_another_torch_than_the_one_that_was_asked_for_is_refused(project):
    (project / ".uv/torch").write_text("2.13.0 13.0 False\n")
    with pytest.raises(installation.Refusal, match=r"2\.13\.0 with CUDA 13\.0 is there"):
        installation.set_up(project, "cpu")
    assert not (project / ".venv/installed").exists()


# What is made anew


def test_a_second_set_up_does_nothing(project, capsys):
    installation.set_up(project, "")
    assert capsys.readouterr().out.splitlines()[-1].startswith("Set up in ")
    assert kinds(project) == ["venv", "pip"] and (project / ".venv/installed").is_file()
    assert (project / ".uv/compileall").exists()
    for asked in ("", "auto", "cpu"):
        installation.set_up(project, asked)
    assert told(project) == [] and capsys.readouterr().out == ""


def test_an_extra_is_installed_once_in_the_pinned_versions(project):
    installation.set_up(project, "")
    told(project)
    installation.add(project, "docs")
    assert "--dry-run" in (lines := told(project))[0] and len(lines) == 2
    assert "mkdocs-material" in lines[1] and f"--constraint {project}/constraints.txt" in lines[1]
    (project / ".uv/index").touch()  # now the dry run finds everything installed
    installation.add(project, "docs")
    assert kinds(project) == ["pip"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_versions_are_installed_into_what_is_there(project, name):
    installation.set_up(project, "")
    told(project)
    (project / name).write_text((project / name).read_text() + "\n# more\n")
    installation.set_up(project, "")
    assert kinds(project) == ["pip"]


def test_what_was_changed_by_half_is_not_taken_for_what_it_was(project):
    installation.set_up(project, "")
    versions = (project / "constraints.txt").read_text()
    (project / "constraints.txt").write_text(versions + "# more\n")
    (project / ".uv/broken").touch()
    with pytest.raises(installation.Refusal, match="Name or service not known"):
        installation.set_up(project, "")
    (project / "constraints.txt").write_text(versions)
    (project / ".uv/broken").unlink()
    told(project)
    installation.set_up(project, "")
    assert kinds(project) == ["pip"]


def test_another_torch_and_another_python_are_made_anew_and_stay(project, monkeypatch):
    installation.set_up(project, "cpu")
    told(project)
    (project / ".uv/torch").write_text("2.13.0 13.0 False\n")
    installation.set_up(project, "cuda")
    assert kinds(project) == ["venv", "pip"]
    installation.set_up(project, "")  # what `make demo` asks: as it was set up
    assert kinds(project) == []
    monkeypatch.setattr(installation.sys, "base_prefix", str(project.parent / "another"))
    installation.set_up(project, "")
    assert kinds(project) == ["venv", "pip"]
    assert '"build": "cuda"' in (project / ".venv/installed").read_text()


def test_where_no_cpu_build_could_be_had_it_is_asked_for_again_only_on_demand(project, monkeypatch):
    monkeypatch.setenv("UV_FIND_LINKS", "")
    (project / ".uv/torch").write_text("2.13.0 13.0 False\n")
    installation.set_up(project, "auto")
    told(project)
    installation.set_up(project, "")
    assert kinds(project) == []
    installation.set_up(project, "auto")
    assert all("--dry-run" in line for line in told(project))  # asked, with the same answer
    with pytest.raises(installation.Refusal):
        installation.set_up(project, "cpu")
    assert (project / ".venv/installed").is_file()  # refused before anything is deleted


def test_a_moved_folder_is_set_up_anew(project):
    installation.set_up(project, "")
    moved = project.rename(project.with_name("moved"))
    told(moved)
    installation.set_up(moved, "")
    assert kinds(moved) == ["venv", "pip"] and installation.imports_from(moved) == str(moved / "src")


def test_sources_of_another_folder_are_not_what_is_run(project):
    installation.set_up(project, "")
    told(project)
    link = next(project.glob(".venv/lib/*/site-packages/__editable__*"))
    link.write_text("/somewhere/else/src\n")
    installation.set_up(project, "")
    assert kinds(project) == ["pip"] and installation.imports_from(project) == str(project / "src")


def test_an_environment_that_is_only_linked_to_is_left_to_its_owner(project):
    installation.set_up(project, "")
    other = project.with_name("other")
    shutil.copytree(project, other, ignore=shutil.ignore_patterns(".venv"))
    (other / ".venv").symlink_to(project / ".venv")
    installation.set_up(other, "")
    assert not (other / ".venv").is_symlink() and installation.imports_from(other) == str(other / "src")
    assert installation.is_ready(project, "")


def test_an_interrupted_set_up_goes_on_where_it_stopped(project):
    (project / ".uv/slow").touch()
    job = subprocess.Popen([sys.executable, "envs/set_up.py", "--torch", "cpu"], cwd=project, stderr=subprocess.PIPE)
    while not (project / ".uv/busy").exists():
        assert job.poll() is None
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    assert job.communicate()[1].decode() == "Interrupted; `make setup` goes on where it stopped.\n"
    assert job.returncode == 130 and not (project / ".venv/installed").exists()
    (project / ".uv/slow").unlink()
    told(project)
    installation.set_up(project, "")
    assert kinds(project) == ["pip"] and (project / ".venv/installed").is_file()


def test_two_at_once_wait_for_each_other(project):
    command = [sys.executable, "envs/set_up.py"]
    jobs = [subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [job.communicate()[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0] and "" in said
    assert kinds(project) == ["venv", "pip"]


# Bytecode


def test_bytecode_is_there_whatever_the_environment_says(project):
    packages = project / ".venv/lib/python3.11/site-packages"
    for name in ("good/__init__.py", "good/tests/big.py", "good/broken.py"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("{{ name }}\nno python" if "broken" in name else "x = 1\n")
    (project / "src/module.py").write_text("x = 1\n")
    (project / ".venv/bin").mkdir()
    (project / ".venv/bin/python").symlink_to(sys.executable)
    installation.compile_bytecode(project)
    made = {path.relative_to(project).parts[-3] + "/" + path.name.split(".")[0] for path in project.rglob("*.pyc")}
    assert made == {"good/__init__", "src/module"}
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*.pyc")}
    installation.compile_bytecode(project)
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*.pyc")} == before


def test_what_make_starts_keeps_bytecode(project):
    with (project / "Makefile").open("a") as makefile:
        makefile.write('\nshow:\n\t@python3 -c "import sys; print(sys.dont_write_bytecode)"\n')
    assert make(project, "show").stdout.split() == ["False"]


# A sentence for what goes wrong


def make(root: Path, *arguments: str, patch: str = "", **environ: str) -> subprocess.CompletedProcess:
    """Run make as typed; `patch` is run by every Python that starts."""
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "TORCH", "PYTHON"}
    site = root.parent / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(patch)
    environ = {k: v for k, v in os.environ.items() if k not in outer} | {"PYTHONPATH": str(site)} | environ
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=120)


def sentence(done: subprocess.CompletedProcess) -> str:
    """The one that was said, beside the line in which make says that it gives up."""
    said, of_make = done.stderr.strip().splitlines()
    assert done.returncode == 2 and of_make.startswith("make: ***") and of_make.endswith("Error 1")
    return said


def test_a_python_that_is_not_there():
    done = subprocess.run(["make", "setup", "PYTHON=no-such-python"], cwd=ROOT, capture_output=True, text=True)
    assert "No Python runs as `no-such-python`" in done.stderr and "make setup PYTHON=python3.12" in done.stderr
    planned = subprocess.run(
        ["make", "-n", "demo", "PYTHON=no-such-python"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "mem_mb=" in planned.stdout and int(planned.stdout.split("mem_mb=")[1].split()[0]) > 100


def test_a_python_that_is_too_old(project):
    old = "import sys; sys.version_info = (3, 9, 18, 'final', 0); sys.version = '3.9.18 (main)'"
    said = sentence(make(project, "setup", patch=old))
    assert said.startswith("This is Python 3.9.18 (") and said.endswith(
        "hindsight needs 3.11 or newer: name a Python that is, for example `make setup PYTHON=python3.12`."
    )
    assert told(project) == []


def test_an_old_python_can_read_what_looks_at_its_version():
    tree = ast.parse((ROOT / "envs/set_up.py").read_text(), feature_version=(3, 4))
    new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.FunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, new)]
    look = next(i for i, node in enumerate(tree.body) if isinstance(node, ast.If))
    imported = [node for node in tree.body[:look] if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in imported] == ["import sys"]
    oldest = ast.literal_eval(tree.body[look - 1].value)
    assert (
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
        == f">={oldest[0]}.{oldest[1]}"
    )


def test_a_build_of_torch_that_there_is_not(project):
    assert sentence(make(project, "setup", "TORCH=gpu")).startswith("TORCH=gpu is no build of torch: say TORCH=auto")


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_no_venv_module(project, module):
    shutil.rmtree(project / ".uv")
    said = sentence(make(project, "setup", patch=f"import sys; sys.modules['{module}'] = None"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"has no module `{module}`" in said and f"apt install python{version}-venv" in said


def test_too_little_disk(project):
    patch = (
        "import collections, shutil; shutil.disk_usage = lambda path: collections.namedtuple('u', 'free')(free=1.5e9)"
    )
    said = sentence(make(project, "setup", "TORCH=cpu", patch=patch))
    assert said.startswith("The packages take 2,400 MB in ") and "1,500 MB are free" in said
    assert kinds(project) == [] and not (project / ".venv").exists()


def test_no_network_for_uv(project):
    (project / ".uv/broken").touch()
    said = sentence(make(project, "setup"))
    assert "(cause: Name or service not known)" in said and "`make setup` again" in said and "logs/setup.log" in said
    assert "error: Request failed" in (project / "logs/setup.log").read_text()


def test_no_network_for_pip(project):
    (project / ".uv/bin/uv").unlink()
    program(project / ".uv/bin/python", f'#!/bin/sh\nexec {installation.base_python()} "$@"\n')  # this one has pip
    closed = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "0"}
    said = sentence(make(project, "setup", **closed, PIP_DRY_RUN="1"))
    assert said.startswith("Fetching uv failed (ERROR: No matching distribution found for uv)")
    assert not (project / ".uv/bin/uv").exists()
