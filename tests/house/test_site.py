"""The site of the documentation: every page is in its navigation, links work, and nothing comes from another host."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_page_stands_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        assert f" {page.relative_to(ROOT / 'docs')}\n" in navigation, f"mkdocs.yml has no {page.name} in its nav"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built without a network; links that lead nowhere and pages without a place stop the build."""
    if find_spec("mkdocstrings") is None:
        pytest.skip("no mkdocs here: `make setup-docs`")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    nowhere = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_front_is_the_readme(site):
    assert "make demo" in (site / "index.html").read_text() and (site / "images/demo.png").is_file()


def test_pages_load_nothing_from_other_hosts(site):
    loads = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\s\">]+")
    for page in site.rglob("*.html"):
        assert not (found := loads.findall(page.read_text())), f"{page.name}: {found}"


def test_diagrams_are_drawn_by_a_script_of_the_site(site):
    page = (site / "explanation/house.html").read_text()
    assert 'class="mermaid"' in page and 'src="../theme/mermaid.js"' in page and (site / "theme/mermaid.js").is_file()


def test_public_functions_stand_in_the_reference_and_in_the_search(site):
    page = (site / "reference/api/hindsight/harmonics.html").read_text()
    assert "hindsight.harmonics" in page and "doc-function" in page
    assert "hindsight.harmonics" in (site / "search/search_index.js").read_text()
