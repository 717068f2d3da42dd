"""Public names are made of words that a reader can look up: terms of the glossary, or words of `words.txt`.

To print the names with other words, and unused words of the list: `python -m tests.house.test_glossary`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs/reference/glossary.md"
WORDS = Path(__file__).with_name("words.txt")  # of Python and its libraries, and of plain English; reviewed by hand
TERM = r"\*\*(.+?)\*\*|`(.+?)`|^\| ([A-Za-z, ]+) \|"  # bold, code, or a letter for a dimension
BARE = set(  # participles and adverbs alone do not say what is named
    "about apart asked beside found held known listed look looked made own picked said seen shown there together told "
    "wanted way whole".split()
)


def words(text: str) -> set[str]:
    """The words of a name or a text, singular and in lower case, split at underscores and capitals."""
    found = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)
    return {re.sub(r"ies$", "y", word.lower()).removesuffix("s") or "s" for word in found}


def terms() -> set[str]:
    return words(" ".join(map("".join, re.findall(TERM, GLOSSARY.read_text(), re.M))))


def plain() -> set[str]:
    return words(re.sub(r"^#.*", "", WORDS.read_text(), flags=re.M))


def public(body: list[ast.stmt]) -> Iterator[str]:
    """Public functions and classes, their parameters, and the public methods and fields of classes."""
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            yield node.name
            yield from (argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg))
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (node.name, *public(node.body))


def names() -> Iterator[tuple[str, str]]:
    """Every public name of the package, with the module that has it."""
    for path in sorted((ROOT / "src/hindsight").rglob("*.py")):
        inside = path.relative_to(ROOT / "src/hindsight")
        for name in (path.stem, *public(ast.parse(path.read_text()).body)):
            if not name.startswith("_"):
                yield str(inside), name


def strange() -> list[str]:
    """Names with a word that is neither a term nor plain, with their module and the words."""
    good = terms() | plain()
    return [f"{inside}: {name}: {', '.join(odd)}" for inside, name in names() if (odd := sorted(words(name) - good))]


def test_public_names_are_made_of_words_of_the_glossary_or_plain_english():
    assert not strange()


def test_a_participle_alone_is_no_public_name():
    assert not [f"{inside}: {name}" for inside, name in names() if name in BARE]


if __name__ == "__main__":
    used = set().union(*(words(name) for _, name in names()))
    print("\n".join(strange()))
    print("not used:", *sorted(plain() - used))
