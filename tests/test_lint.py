"""Spelling and types; `make lint` runs the same. Style and format are in `workflow/test_rules`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hindsight import __version__

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("words", [["codespell"], ["ty", "check"]], ids=["spelling", "types"])
def test_the_repository_passes(words):
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_the_same_everywhere():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"hindsight-{__version__}-" in (ROOT / "docs/how-to/install.md").read_text()


def test_every_development_tool_is_pinned():
    """`make setup` installs what `constraints.txt` says: a tool without a line there would change from day to day."""
    listed = (ROOT / "pyproject.toml").read_text().split("dev = [")[1].split("]")[0]
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {re.match(r"[\w-]+", name)[0] for name in re.findall(r'"(.+)"', listed)} <= pinned
