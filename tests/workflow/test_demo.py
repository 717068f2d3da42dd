"""The demo as a newcomer meets it, on a smaller world: `make demo`, and the commands and snippets of the docs.

`make demo` itself runs in real processes. For the rest the same world is made by processes forked from one that has
their imports (`tests/warm`), and commands that make a whole run are dry runs. Nearly all of it belongs to
`make test-all`; `make test` looks at commands of `make` and of benchmarks.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import warm
from tests.conftest import DATA
from tests.workflow import runs

PAGES = [runs.ROOT / "README.md", runs.ROOT / "CONTRIBUTING.md", *sorted((runs.ROOT / "docs").rglob("*.md"))]
SMALL = {
    "domain": {
        "train": {"start": "2004-06-01T00:00", "end": "2004-10-31T18:00"},
        "validation": {"start": "2004-11-01T00:00", "end": "2004-11-30T18:00"},
        "test": {"start": "2004-12-15T00:00", "end": "2005-01-03T18:00"},
    },
    "download": {
        "synthetic": {
            "start": "2004-06-01T00:00",
            "end": "2005-01-03T18:00",
            "truncation": 10,
            "latitudes": 12,
            "spin_up_days": 60,
        }
    },
    "preprocess": {"annual_harmonics": 0},
    "observe": {"networks": {"stations": {"count": 40}}},
    "train": {
        "steps": 4,
        "batch": 4,
        "checkpoint_every": 2,
        "validate_every": 2,
        "threads": 1,
        "backbone": {"width": 8, "multipliers": [1]},
        "audit": {"windows": 16},
    },
    "product": {"members": 4, "member_block": 4, "shard_frames": 40},
    "reanalyse": {"steps": 2, "halo": 4},
    "baselines": {"climatology": {"days": 90}},
    "verify": {"resamples": 50},
}


def commands(kind: str) -> list[tuple[str, str]]:
    """The commands of the docs that begin with a word, and the page on which each stands first."""
    found: dict[str, str] = {}
    for page in PAGES:
        for line in re.findall(rf"^    ({kind} [^#\n]*)", page.read_text().replace("\\\n", ""), re.M):
            for part in line.split("&&"):
                if part.strip().startswith(kind):
                    found.setdefault(" ".join(part.split()), page.name)
    return [(page, command) for command, page in found.items()]


def snippets() -> list[tuple[str, str]]:
    """The Python of each page, joined as a reader would type it."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"(?:^    .*\n)+", page.read_text(), re.M)
        python = [b for b in blocks if re.match(r"    (import|from|\w+(, \w+)* = |\w+\.\w+)", b) and "(" in b]
        if python:
            found.append((page.name, "".join(re.sub(r"^    ", "", block, flags=re.M) for block in python)))
    return found


def cloned(parent: Path) -> Path:
    """The project as a newcomer has it, with a smaller demo, set up with this environment."""
    folder = parent / "hindsight"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=runs.ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(lambda n: (runs.ROOT / n).is_file(), listed.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(runs.ROOT / name, folder / name)
    config = yaml.safe_load((folder / "config/config.yaml").read_text())
    (folder / "config/config.yaml").write_text(yaml.safe_dump(runs.merged(config, SMALL)))
    for name in ("config/mine.yaml", "mine.yaml"):
        (folder / name).write_text(yaml.safe_dump(runs.merged(config, SMALL)))
    (folder / ".venv").symlink_to(Path(sys.prefix))
    run(folder, "workflow/scripts/install-profiles")
    if DATA.is_dir():
        (folder.parent / "shared").mkdir()
        (folder.parent / "shared/data").symlink_to(DATA.resolve())
    return folder


def run(folder: Path, command: str, real: bool = False) -> subprocess.CompletedProcess:
    """Run a command as typed."""
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of a make that runs the tests
    environment = {k: v for k, v in runs.environment().items() if k not in outer} | {"MPLBACKEND": "Agg"}
    environment["XDG_CONFIG_HOME"] = str(folder.parent / "config")  # where `make install-profiles` puts them
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment if real else runs.warmed(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}"
    return done


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return cloned(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture(scope="module")
def made(clone):
    """A clone after the command that `make demo` calls."""
    run(clone, "snakemake --profile profiles/local --resources mem_mb=3000")
    return clone


@pytest.mark.slow
def test_make_demo_ends_with_the_scores_and_the_report(tmp_path):
    folder = cloned(tmp_path)
    lines = run(folder, "make --old-file=.venv/installed demo MEMORY=3000", real=True).stdout.rstrip().splitlines()
    assert lines[-2] == "The report: results/demo/verify/report.html" and (folder / lines[-2].split(": ")[1]).is_file()
    assert lines[-1] == f"Open it in a browser: {(folder / 'results/demo/verify/report.html').as_uri()}"
    table = "\n".join(lines[-9:])
    for name in ("diffusion", "optimal_interpolation", "climatology", "rmse", "crps", "z500", "v850", "m2 s-2"):
        assert name in table


@pytest.mark.slow
def test_nothing_but_its_attributes_says_that_the_world_is_synthetic(made):
    import xarray as xr

    raw = xr.open_zarr(made / "resources/world/raw.zarr", consolidated=False)
    assert raw["geopotential"].dims == ("time", "level", "longitude", "latitude") and "synthetic" in raw.attrs
    archive = xr.open_zarr(made / "results/demo/archive/reanalysis.zarr")
    assert "synthetic" in archive.attrs["source"] and dict(archive.sizes)["time"] == 80


@pytest.mark.slow
def test_the_archive_can_be_looked_at_in_one_small_file(made):
    page = made / "results/demo/archive/explore.html"
    notes = re.findall("<li>(.*)</li>", text := page.read_text())
    assert 0.1e6 < page.stat().st_size <= 5e6 and not re.search(r"(src|href)=[\"'](?!data:)", text)
    assert notes[0] == "This page holds all 80 frames, and all points."
    assert "at 50 stations" in notes[2]  # 40 that are used, and a fifth of all, which are withheld


@pytest.mark.slow
def test_the_demo_has_nothing_left_to_do(made):
    assert "Nothing to be done" in run(made, "snakemake --profile profiles/local").stdout


def planned(command: str) -> bool:
    """Other configurations than the demo's take longer, a cluster is elsewhere: these are dry runs only."""
    others = {path.stem for path in (runs.ROOT / "config").glob("*.yaml")} - {"config", "reference"}
    return any(name in command for name in others | {"decade", "slurm"})


def whole(command: str) -> bool:
    """Whether it makes a run under a name of its own, from training on, which takes minutes."""
    return "run=" in command and "--dry-run" not in command


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), commands("snakemake"))
def test_every_snakemake_command_of_the_docs_runs(made, page, command):
    """What makes a run of its own is a dry run here, and a run below."""
    if "europe" in command and not (DATA / "eraint_europe_daily").is_dir():
        pytest.skip(f"no real data in {DATA}")
    run(made, command + " --dry-run" * (planned(command) or whole(command)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "command"), [found for found in commands("snakemake") if whole(found[1]) and not planned(found[1])]
)
def test_every_command_of_the_docs_that_makes_a_run_of_its_own_makes_it(made, page, command):
    run(made, command)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), commands("hindsight"))
def test_every_hindsight_command_of_the_docs_runs(made, page, command):
    run(made, command)


@pytest.mark.parametrize(("page", "command"), commands("make"))
def test_every_make_command_of_the_docs_is_known(clone, page, command):
    run(clone, command.replace("make", "make --dry-run --old-file=.venv/installed", 1))


@pytest.mark.parametrize(("page", "command"), commands("python"))
def test_every_benchmark_of_the_docs_takes_its_options(clone, page, command):
    words = shlex.split(command)
    help_text = run(clone, f"{warm.python()} {words[1]} --help").stdout
    assert all(word in help_text for word in words if word.startswith("--"))


@pytest.mark.slow
@pytest.mark.parametrize(("page", "code"), snippets(), ids=lambda x: x if x.endswith(".md") else "")
def test_every_snippet_of_the_docs_runs(made, page, code):
    (made / "snippet.py").write_text(code)
    run(made, f"{warm.python()} snippet.py")
