"""Whatever a shell is given is quoted."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUOTED = re.compile(
    r"(\w+)=\s*(?:lambda [^:]*:\s*)?(?:input_list|braced|launcher)\("
)  # parameters that are words of a shell
COMMANDS = [
    (f"{smk.stem}.{name}", body)
    for smk in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for name, body in re.findall(r"^ *rule (\w+):\n((?:(?! *rule \w+:).*\n)*)", smk.read_text(), re.M)
    if "shell:" in body
]


def fields(body: str) -> tuple[list[str], list[str]]:
    """What Snakemake puts into a command, and what Python puts into it before."""
    command = body[body.index("shell:") :]
    formatted = re.findall(r'\bf"((?:[^"\\]|\\.)*)"', command)
    constants = [each for text in formatted for each in re.findall(r"\{(.*?)\}", text)]
    plain = re.sub(r'\bf"(?:[^"\\]|\\.)*"', "", command)
    return re.findall(r"\{([^{}]*)\}", plain), constants


@pytest.mark.parametrize(("name", "body"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_command_quotes_what_it_is_given(name, body):
    quoted = {f"params.{param}" for param in QUOTED.findall(body)} | {"threads"}  # a number
    given, constants = fields(body)
    assert given, "it is given nothing?"
    assert [each for each in given if not each.endswith(":q") and each not in quoted] == []
    assert [each for each in given if each.removesuffix(":q") in quoted and each.endswith(":q")] == [], "twice"
    assert all(each.startswith("constant(") for each in constants)


def test_no_rule_starts_a_shell_in_another_way():
    """From Python, that is, where none of this would be looked at."""
    for path in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk"), *(ROOT / "src").rglob("*.py")]:
        text = path.read_text()
        assert not re.search(r"\bshell\(|shell=True|os\.system|os\.popen|getoutput", text), path
