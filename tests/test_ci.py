"""`.ci/run` installs what tests need or reports that it cannot, and allows no skipped test."""

import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / ".ci/run"
TOOLS = ("bash", "dirname", "mktemp", "tail")


@pytest.fixture
def machine(tmp_path):
    """Runs the script on a machine with the given programs; returns its exit code and its output, with the calls."""

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


def test_if_everything_is_installed_no_test_may_be_skipped(machine):
    assert machine(chromium="", slurmctld="", make="", apt_get="") == (0, "make test 1\n")


def test_failing_tests_fail_the_script(machine):
    assert machine(chromium="", slurmctld="", make="exit 2")[0] == 2


@pytest.mark.parametrize("fails", ["update", "install", "exec"])
def test_a_failed_installation_is_reported_and_ends_the_script(machine, fails):
    programs = (
        {"make": ""} if fails == "exec" else {"make": "", "apt_get": f'echo "no network" >&2; [[ "$*" != *{fails}* ]]'}
    )
    code, said = machine(slurmctld="", **programs)
    assert code == 1 and "cannot install chromium, which tests need" in said and "make" not in said
    assert ("no network" in said) == (fails != "exec")


def test_missing_programs_are_installed(machine):
    code, said = machine(make="", apt_get="")
    assert code == 0 and said.endswith("make test 1\n")
