"""A module imports from its own package and from lower layers only."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src/hindsight"
LAYERS = [  # from the lowest; packages of one layer do not import each other
    {"errors", "partials", "progress", "signals"},
    {"running", "settings", "system_errors", "transfer_errors", "where"},
    {"fields", "storage"},
    {"harmonics", "machine", "steering"},
    {"backbones", "diffusion", "dynamics", "operators", "scores"},
    {"prior"},
    {"controller"},
    {"download", "preprocess", "observe", "train", "reanalyse", "baselines", "verify", "archive"},
    {"cli"},
    {"reference", "__main__"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def imports(path: Path) -> set[str]:
    """The top-level modules and packages of hindsight that a module imports, at its head or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "hindsight":
            found |= {alias.name for alias in node.names if alias.name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hindsight."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("hindsight.")}
    return found


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_imports_only_go_down(path):
    inside = path.relative_to(SRC)
    here = inside.parts[0].removesuffix(".py")
    if here == "__init__":
        return
    for there in imports(path) - {here}:
        assert LAYER[there] < LAYER[here], f"{here} (layer {LAYER[here]}) imports {there} (layer {LAYER[there]})"


@pytest.mark.parametrize("package", ["settings", "fields", "archive", "download", "preprocess", "verify", "scores"])
def test_torch_stays_on_the_upper_layers(package):
    for path in (SRC / package).rglob("*.py"):
        names = [a.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Import) for a in n.names]
        assert "torch" not in names, path
