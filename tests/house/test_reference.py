"""Generated files are fresh, documented code is documented, and every configuration is valid."""

import ast
import difflib
from pathlib import Path

import pytest
import yaml

from hindsight import reference, settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", reference.pages(), ids=lambda p: p.name)
def test_a_generated_file_is_fresh(path):
    expected = reference.pages()[path]
    found = path.read_text() if path.exists() else ""
    diff = "\n".join(difflib.unified_diff(found.splitlines(), expected.splitlines(), lineterm="", n=0))
    assert found == expected, f"run `make format`:\n{diff[:2000]}"


def test_the_reference_is_itself_a_valid_configuration():
    assert settings.read(yaml.safe_load(reference.reference())) == settings.Settings()


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_every_configuration_is_valid(path):
    settings.read(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_everything_public_has_a_docstring(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), path
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name}"


def test_every_setting_has_a_meaning():
    for section in settings.SECTIONS.values():
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"


def test_no_module_outgrows_its_budget():
    for path in (ROOT / "src").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
