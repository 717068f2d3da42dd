"""The tests' own rules: a skip is a failure where everything has to run; what is shared is made once."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import shared

ROOT = Path(__file__).parents[1]
SUITE = """
import pytest

@pytest.fixture
def browser():
    pytest.skip("no browser")

def test_passes():
    pass

def test_of_a_browser(browser):
    pass

def test_that_skips_itself():
    pytest.skip("no real data")

@pytest.mark.skipif(True, reason="no checker")
def test_that_is_marked():
    pass

def test_that_any_machine_may_skip():
    pytest.skip("may not mount a disk here (not root)")

@pytest.mark.xfail(strict=True)
def test_that_is_known_to_fail():
    assert False
"""
MODULE = "import pytest\npytest.importorskip('a_module_that_nobody_has')\n"


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Tests that follow the rules of these; how they end."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "conftest.py").write_text("from tests.conftest import *\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_some.py").write_text(SUITE)
    (folder / "test_module.py").write_text(MODULE)

    def ends(*words, **environment):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
        variables = {"PATH": "", "PYTHONPATH": str(ROOT)} | environment
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
        counted = re.findall(r"(\d+) (\w+)", done.stdout.strip().splitlines()[-1])
        return done.returncode, {word: int(count) for count, word in counted}, done.stdout

    return ends


def test_a_skip_is_a_skip_where_nobody_said_otherwise(suite):
    code, counted, _ = suite()
    assert code == 0 and counted == {"passed": 1, "skipped": 5, "xfailed": 1}


@pytest.mark.parametrize("how", ["option", "environment", pytest.param("workers", marks=pytest.mark.slow)])
def test_with_no_skips_a_skip_has_failed_but_for_what_no_machine_has_to_have(suite, how):
    words = {"option": ["--no-skips"], "environment": [], "workers": ["--no-skips", "-n", "2"]}[how]
    words = [*words, "--continue-on-collection-errors"]
    code, counted, said = suite(*words, HINDSIGHT_NO_SKIPS="1" if how == "environment" else "0")
    failed = counted.get("failed", 0) + counted.get("errors", counted.get("error", 0))
    assert code and failed == 4 and counted["passed"] == counted["skipped"] == counted["xfailed"] == 1
    for why in ("no browser", "no real data", "no checker", "a_module_that_nobody_has"):
        assert re.search(f"has to run .--no-skips.: .*{why}", said), said


def test_what_is_shared_is_made_once_and_a_failure_is_told_to_all(tmp_path, monkeypatch):
    monkeypatch.setenv(shared.NAME, f"1:{tmp_path}")
    made = []
    with ThreadPoolExecutor() as pool:
        places = {*pool.map(lambda _: shared.once("one", lambda place: made.append(place.mkdir())), range(8))}
    assert places == {tmp_path / "one"} and len(made) == 1

    def fail(place):
        made.append(place)
        raise ValueError("no world")

    for _ in range(2):
        with pytest.raises((ValueError, RuntimeError), match="no world"):
            shared.once("other", fail)
    assert len(made) == 2


def test_the_folder_that_is_shared_goes_with_the_session(tmp_path):
    code = "from tests import shared; shared.begin(); print(shared.once('one', lambda place: place.mkdir()))"
    variables = {"PATH": "", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    place = Path(done.stdout.strip())
    assert place.is_relative_to(tmp_path) and not place.parent.exists()
