"""The house rule: a room may use the floors below it, never a neighbour or the floor above."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src/hindsight"
FLOORS = [  # lowest first; names on one floor do not import each other
    {"errors", "partials", "progress", "signals"},
    {"running", "settings", "system_errors", "where"},
    {"fields"},
    {"harmonics", "machine"},
    {"backbones", "diffusion", "dynamics", "operators", "scores"},
    {"prior"},
    {"download", "preprocess", "observe", "train", "reanalyse", "baselines", "verify", "archive"},
    {"cli"},
    {"reference", "__main__"},
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def imports(path: Path) -> set[str]:
    """The sub-packages of ours that a module imports, wherever in the module it does."""
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
        assert FLOOR[there] < FLOOR[here], f"{here} (floor {FLOOR[here]}) imports {there} (floor {FLOOR[there]})"


@pytest.mark.parametrize("room", ["settings", "fields", "archive", "download", "preprocess", "verify", "scores"])
def test_torch_stays_on_the_upper_floors(room):
    for path in (SRC / room).rglob("*.py"):
        names = [a.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Import) for a in n.names]
        assert "torch" not in names, path
