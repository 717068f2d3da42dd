"""What `.ci/run` does: it installs what tests need or says that it cannot, and no test may be skipped."""

import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / ".ci/run"
TOOLS = ("bash", "dirname", "mktemp", "tail")


@pytest.fixture
def machine(tmp_path):
    """Runs the script on a machine with these programs; its code, and what was called and said."""

    def run(**programs):
        for name in TOOLS:
            (tmp_path / name).symlink_to(shutil.which(name))
        for name, does in programs.items():
            tool = tmp_path / name.replace("_", "-")
            tool.write_text(f'#!{shutil.which("bash")}\necho "{tool.name} $* ${{HINDSIGHT_NO_SKIPS-}}" >&2\n{does}\n')
            tool.chmod(0o755)
        done = subprocess.run([tmp_path / "bash", RUN], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
        return done.returncode, done.stderr

    return run


def test_where_everything_is_there_no_test_may_be_skipped(machine):
    assert machine(chromium="", slurmctld="", make="", apt_get="") == (0, "make test 1\n")


def test_tests_that_fail_are_not_forgotten(machine):
    assert machine(chromium="", slurmctld="", make="exit 2")[0] == 2


@pytest.mark.parametrize("fails", ["update", "install", "exec"])
def test_what_cannot_be_installed_is_said_and_ends_it(machine, fails):
    programs = (
        {"make": ""} if fails == "exec" else {"make": "", "apt_get": f'echo "no network" >&2; [[ "$*" != *{fails}* ]]'}
    )
    code, said = machine(slurmctld="", **programs)
    assert code == 1 and "cannot install chromium, which tests need" in said and "make" not in said
    assert ("no network" in said) == (fails != "exec")


def test_what_is_not_there_is_installed(machine):
    code, said = machine(make="", apt_get="")
    assert code == 0 and said.endswith("make test 1\n")
