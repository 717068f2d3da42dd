"""The files, links, steps and make targets that the docs name exist."""

import re
from pathlib import Path

import pytest

from hindsight import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_the_docs_exist(page):
    text, makefile = page.read_text(), (ROOT / "Makefile").read_text()
    for target in re.findall(r"^(?:    |.*`)make ([a-z-]+)", text, re.M):
        assert f"\n{target}:" in makefile, f"{page.name}: make {target}"
    for step in re.findall(r"`hindsight ([a-z_]+\.[a-z_]+)", text):
        assert step in cli.steps(), f"{page.name}: hindsight {step}"
    for path in re.findall(r"(?:python |--configfile |--profile )((?:benchmarks|config|profiles)/[a-z0-9_./]+)", text):
        assert (ROOT / path).exists() or path.endswith("mine.yaml"), f"{page.name}: {path}"


def test_no_page_is_unfinished():
    for page in PAGES:
        assert not re.search(r"RESULTS_|TODO|TBD", page.read_text()), page


def test_no_file_has_marks_of_an_unfinished_merge():
    folders = ("benchmarks", "config", "docs", "profiles", "src", "tests", "workflow")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    texts = [path for path in files if path.suffix in (".md", ".py", ".smk", ".txt", ".yaml")]
    assert texts and not [path for path in texts if re.search(r"^(<{7}|>{7}) ", path.read_text(), re.M)]
