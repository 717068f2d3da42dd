"""Make `.venv`: the packages of pyproject.toml, in the versions of constraints.txt, and the torch for this machine.

`.venv/begun` records what the environment is made of, and `.venv/installed` repeats it when everything is installed: if
the latter is what was requested, there is nothing to do. Only the standard library is imported, because nothing else is
installed yet.
"""

import argparse
import ast
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parents[1]
BUILDS = ("auto", "cpu", "cuda")
NEEDED_MB = {"cpu": 2400, "cuda": 6500, "pypi": 6500}  # on disk, bytecode included
QUIET_SECONDS = 5.0  # between progress lines
# A quarter of all code, never imported; two of these files are not valid Python 3.11.
NOT_COMPILED = r"[/\\]site-packages[/\\](.*[/\\])?(tests?|torch[/\\]testing[/\\]_internal)[/\\]"
LOOK = "import torch, hindsight.cli; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"


class Refusal(Exception):
    """An error for the user: what was found, what was expected, what to do."""


def main() -> int:
    """Set up; return the exit code."""
    parser = argparse.ArgumentParser(prog="make setup")
    parser.add_argument("--torch", default="", help="auto, cpu or cuda; empty: as before, and auto the first time")
    parser.add_argument("--extra", help="also install one of the optional dependencies of pyproject.toml")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        set_up(ROOT, options.torch)
        if options.extra:
            add(ROOT, options.extra)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; `make setup` goes on where it stopped.", file=sys.stderr)
        return 130
    return 0


def set_up(root: Path, asked: str) -> None:
    """Make the environment of the project in `root`, unless it exists."""
    if asked and asked not in BUILDS:
        raise Refusal(f"TORCH={asked} is no build of torch: say TORCH=auto, TORCH=cpu or TORCH=cuda.")
    if is_ready(root, asked):
        return
    with one_at_a_time(root):
        make(root, asked or recorded(root, "begun").get("asked", "auto"))


def make(root: Path, asked: str) -> None:
    """Choose the build of torch that `asked` means on this machine, then install; nothing is deleted before."""
    began = time.monotonic()
    get_uv(root)
    build, arguments = torch_for(root, asked)
    wanted = made_of(root, build)
    if is_made_of(root, "installed", wanted):
        return  # another `make` was at it, or there still is no other build
    begin(root, wanted | {"asked": asked})
    install(root, arguments)
    compile_bytecode(root)
    found = look(root, build)
    finish(root)
    size, seconds = megabytes(root / ".venv"), time.monotonic() - began
    print(f"Set up in {seconds:.0f} s: Python {platform.python_version()}, {found}, {size:,.0f} MB in .venv.")


# The present environment


def is_ready(root: Path, asked: str) -> bool:
    """Whether the environment is complete and fits the folder, the Python, the versions and the `asked` torch."""
    there = recorded(root, "installed").get("build")
    if there is None or asked and wanted_build(asked, has_nvidia()) != there:
        return False
    return is_made_of(root, "installed", made_of(root, there))


def is_made_of(root: Path, record: str, wanted: dict[str, str]) -> bool:
    """Whether the record has all of `wanted`, and the sources are imported from this folder."""
    there = recorded(root, record)
    return all(there.get(key) == value for key, value in wanted.items()) and imports_from(root) == str(root / "src")


def recorded(root: Path, record: str) -> dict[str, str]:
    """A record of the environment, `begun` or `installed`; empty if there is none."""
    try:
        return dict(json.loads((root / ".venv" / record).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def made_of(root: Path, build: str) -> dict[str, str]:
    """Everything that an environment depends on."""
    text = b"".join((root / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    return {
        "folder": str(root),
        "python": f"{sys.version_info.major}.{sys.version_info.minor} in {Path(sys.base_prefix).resolve()}",
        "build": build,
        "packages": hashlib.sha256(text).hexdigest(),
    }


def imports_from(root: Path) -> str:
    """The folder from which `import hindsight` reads, according to the editable install; empty if there is none."""
    links = sorted(root.glob(".venv/lib/python3*/site-packages/__editable__.hindsight-*.pth"))
    return links[0].read_text().strip() if links else ""


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Hold a lock on the folder; wait while another `make` holds it."""
    with (root / "pyproject.toml").open() as lock:
        with suppress(OSError):  # some network disks know no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# The build of torch


def wanted_build(asked: str, nvidia: bool) -> str:
    """`cpu` or `cuda`: the requested build, or for `auto` the one that the machine can use."""
    return asked if asked != "auto" else "cuda" if nvidia else "cpu"


def has_nvidia(proc: Path = Path("/proc/driver/nvidia/gpus")) -> bool:
    """Whether there is a GPU that CUDA knows."""
    if proc.is_dir() and any(proc.iterdir()):
        return True
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def torch_for(root: Path, asked: str) -> tuple[str, list[str]]:
    """The build (`cpu`, `cuda`, or `pypi` if no CPU build is available) and uv's options for it."""
    version, settings = torch_version(root), pip_settings(root)
    folders = [option for folder in wheel_folders(settings, os.environ) for option in ("--find-links", folder)]
    anything_but_cpu = [*folders, "--constraint", constraint(root, f"torch!={version}+cpu")]
    if (build := wanted_build(asked, has_nvidia())) == "cuda":
        known = has_nvidia() and index_has_torch(root, version, "auto")
        return build, ["--torch-backend", "auto"] if known else anything_but_cpu
    if platform.system() != "Linux":  # there PyPI's own build is the CPU's
        return build, folders
    if cpu_wheel(wheel_folders(settings, os.environ), version):
        return build, [*folders, "--constraint", constraint(root, f"torch=={version}+cpu")]
    if index_has_torch(root, version, "cpu"):
        return build, [*folders, "--torch-backend", "cpu"]
    missing = f"no CPU build of torch {version} for Python {short_version()} lies here or at torch's own index"
    if asked == "cpu":
        raise Refusal(f"TORCH=cpu: {missing}; connect to the network, or say TORCH=auto for the 3 GB that PyPI has.")
    print(f"PyPI's build of torch is installed, CUDA and all (3 GB to fetch): {missing}.", flush=True)
    return "pypi", anything_but_cpu


def torch_version(root: Path) -> str:
    """The version of torch in pyproject.toml."""
    return re.search(r'"torch==([^"]+)"', (root / "pyproject.toml").read_text()).group(1)


def short_version() -> str:
    """The version of Python, such as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def pip_settings(root: Path) -> str:
    """The settings of pip on this machine, one per line; uv does not read them."""
    said = subprocess.run([root / ".uv/bin/python", "-m", "pip", "config", "list"], capture_output=True, text=True)
    return said.stdout if said.returncode == 0 else ""


def pip_values(settings: str, name: str) -> list[str]:
    """The values of one of pip's settings, from its files and from the environment."""
    found = re.findall(rf"^\S+\.{name}=(.+)$", settings, re.MULTILINE)
    return list(dict.fromkeys(part for value in found for part in ast.literal_eval(value).split()))


def wheel_folders(settings: str, environ: Mapping[str, str]) -> list[str]:
    """Folders or addresses in which pip and uv look for wheels besides an index."""
    of_environ = [*environ.get("PIP_FIND_LINKS", "").split(), *environ.get("UV_FIND_LINKS", "").split(",")]
    return list(dict.fromkeys(one for one in [*pip_values(settings, "find-links"), *of_environ] if one))


def cpu_wheel(folders: list[str], version: str) -> Path | None:
    """A CPU build of torch for this Python and processor in one of the folders."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    name = re.compile(rf"torch-{re.escape(version)}\+cpu-{tag}-{tag}-\w*{platform.machine()}\.whl")
    local = [Path(unquote(urlparse(one).path)) for one in folders if urlparse(one).scheme in ("", "file")]
    wheels = (wheel for folder in local if folder.is_dir() for wheel in folder.iterdir())
    return next((wheel for wheel in wheels if name.fullmatch(unquote(wheel.name))), None)


def constraint(root: Path, line: str) -> str:
    """Write one more constraint for uv to a file; return its path."""
    (root / ".uv/torch.txt").write_text(line + "\n")
    return str(root / ".uv/torch.txt")


def index_has_torch(root: Path, version: str, backend: str) -> bool:
    """Whether torch's own index can be reached and has a build for this Python."""
    ask = ["pip", "install", "--dry-run", "--no-deps", "--python", root / ".uv", "--python-version", short_version()]
    with suppress(Refusal):
        run("Asking torch's index for a build", [uv(root), *ask, "--torch-backend", backend, f"torch=={version}"], root)
        return True
    return False


# Steps


def get_uv(root: Path) -> None:
    """Install uv in `.uv`: it fetches packages in parallel, and caches them for the next environment."""
    pip = [root / ".uv/bin/python", "-m", "pip"]
    if works([uv(root), "--version"]):
        return
    if not works([*pip, "--version"]):
        check_venv()
        run("Making .uv", [base_python(), "-m", "venv", "--clear", root / ".uv"], root)
    run("Fetching uv", [*pip, "install", "uv"], root)


def works(command: list) -> bool:
    """Whether a command exists and succeeds."""
    with suppress(OSError):
        return subprocess.run(command, capture_output=True).returncode == 0
    return False


def check_venv() -> None:
    """Refuse a Python that lacks a module for making environments."""
    for module in ("venv", "ensurepip"):
        if find_spec(module) is None:
            raise Refusal(
                f"This Python ({base_python()}) has no module `{module}`: install it (Debian and Ubuntu: "
                f"`apt install python{short_version()}-venv`) or name another Python, `make setup PYTHON=python3.12`."
            )


def uv(root: Path) -> Path:
    """The path of uv."""
    return root / ".uv/bin/uv"


def base_python() -> str:
    """The Python outside of `.venv`, which may be about to be removed."""
    return getattr(sys, "_base_executable", None) or sys.executable


def begin(root: Path, wanted: dict[str, str]) -> None:
    """Make the `.venv` to install into; keep the present one if folder, Python and torch are the same."""
    environment, keep = root / ".venv", ("folder", "python", "build")
    if not all(recorded(root, "begun").get(key) == wanted[key] for key in keep):
        check_disk(root, NEEDED_MB[wanted["build"]])
        remove(environment)
        run("Making .venv", [uv(root), "venv", "--python", base_python(), environment], root)
    (environment / "installed").unlink(missing_ok=True)
    (environment / "begun").write_text(json.dumps(wanted, indent=1) + "\n")


def remove(environment: Path) -> None:
    """Remove an environment; of a link only the link, whose target may belong to another folder."""
    if environment.is_symlink():
        environment.unlink()
    shutil.rmtree(environment, ignore_errors=True)


def check_disk(root: Path, needed: float) -> None:
    """Refuse to start if the packages (MB) do not fit on the disk."""
    free = shutil.disk_usage(root).free / 1e6
    if free < needed:
        raise Refusal(
            f"The packages take {needed:,.0f} MB in {root}, and {free:,.0f} MB are free there: make room, or set the "
            "project up on another disk."
        )


def install(root: Path, arguments: list[str]) -> None:
    """Install what pyproject.toml names, for development, and the project itself by a link to its sources."""
    command = [*uv_install(root), *arguments, "--editable", ".[dev]"]
    run(f"Installing {packages(root)} packages", command, root, mirror(root))


def add(root: Path, extra: str) -> None:
    """Install one of the optional dependencies of pyproject.toml as well, unless it is installed."""
    requirements = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    if not works([*uv_install(root), "--offline", "--no-index", "--dry-run", *requirements]):
        run(f"Installing the packages of `{extra}`", [*uv_install(root), *requirements], root, mirror(root))


def uv_install(root: Path) -> list:
    """The command that installs in `.venv`, in the versions of constraints.txt."""
    return [uv(root), "pip", "install", "--python", root / ".venv", "--constraint", root / "constraints.txt"]


def mirror(root: Path) -> dict[str, str]:
    """The environment that has uv use pip's index, where pip is set to one."""
    index = pip_values(pip_settings(root), "index-url")[-1:]
    return {"UV_DEFAULT_INDEX": index[0]} if index and "UV_DEFAULT_INDEX" not in os.environ else {}


def packages(root: Path) -> int:
    """The number of packages in constraints.txt."""
    return sum("==" in line for line in (root / "constraints.txt").read_text().splitlines())


def compile_bytecode(root: Path) -> None:
    """Compile everything that may be imported, which halves the time of imports; ignore PYTHONDONTWRITEBYTECODE."""
    sources = [*root.glob(".venv/lib/python3*/site-packages"), root / "src"]
    command = [root / ".venv/bin/python", "-m", "compileall", "-q", "-j", "0", "-x", NOT_COMPILED, *sources]
    # some of the files are templates and not Python
    title = "Compiling all Python modules to bytecode, which halves the time of imports (70 s on one core)"
    run(title, command, root, fails=False)


def look(root: Path, build: str) -> str:
    """Import the installed packages; return the version of torch in words."""
    said = run("Importing torch", [root / ".venv/bin/python", "-c", LOOK], root).splitlines()[-1]
    version, cuda, sees = said.split()
    if build == "cpu" and cuda != "None":
        raise Refusal(
            f"The CPU's torch was to be installed, and {version} with CUDA {cuda} is there: `make clean setup`."
        )
    blind = build == "cuda" and has_nvidia() and sees != "True"
    return f"torch {version}" + (f" (which sees no GPU: is the driver too old for CUDA {cuda}?)" if blind else "")


def finish(root: Path) -> None:
    """Mark the environment as complete."""
    shutil.copy(root / ".venv/begun", root / ".venv/installed.new")
    (root / ".venv/installed.new").replace(root / ".venv/installed")


def megabytes(folder: Path) -> float:
    """Disk usage of a folder (MB)."""
    files = (os.path.join(where, name) for where, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(file).st_blocks for file in files) * 512 / 1e6


def run(what: str, command: list, root: Path, environ: Mapping[str, str] | None = None, fails: bool = True) -> str:
    """Run a command and return its output; print progress every few seconds, and refuse if it fails.

    The output goes to logs/setup.log.
    """
    log = root / "logs/setup.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as said:
        job = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=root, env=os.environ | dict(environ or {})
        )
        try:
            wait(job, what, log)
        finally:
            job.kill()
    if job.returncode and fails:
        raise Refusal(
            f"{what} failed ({last_line(log)}): if the network is the reason, connect and run `make setup` again, "
            "which goes on where it stopped; all that was said stands in logs/setup.log."
        )
    return log.read_text()


def wait(job: subprocess.Popen, what: str, log: Path) -> None:
    """Wait for a job; after the first seconds print its duration and its last output line."""
    began = time.monotonic()
    print(f"{what} ...", flush=True)
    while True:
        try:
            job.wait(QUIET_SECONDS)
            return
        except subprocess.TimeoutExpired:
            print(f"{what}: {time.monotonic() - began:.0f} s  {last_line(log)}", flush=True)


def last_line(log: Path) -> str:
    """The last line of a command's output, except for pip's notices about itself."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith(("[notice]", "WARNING:"))), "")
