"""One name everywhere: a rule, its step, its module, its test, its log and its benchmark are called the same."""

import re
from pathlib import Path

import pytest

from hindsight import cli

ROOT = Path(__file__).parents[2]
RULES = [
    (smk, rule, body)
    for smk in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for rule, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", smk.read_text(), re.M)
    if "hindsight " in body
]
STEPS = cli.steps()
ONE_FOR_MANY = {"baseline"}  # rules whose wildcard is the name of the step


@pytest.mark.parametrize(
    ("smk", "rule", "body"), RULES, ids=lambda x: x if isinstance(x, str) and "\n" not in x else ""
)
def test_every_rule_is_named_like_its_step(smk, rule, body):
    name = "{method}" if rule in ONE_FOR_MANY else rule
    step = "{wildcards.method:q}" if rule in ONE_FOR_MANY else rule
    assert f'"hindsight {smk.stem}.{step} ' in body
    assert re.search(rf"logs/[^\"]*/{smk.stem}/{name}(-[^/\"]*)?\.log", body.replace("{{", "{").replace("}}", "}"))
    assert re.search(rf"logs/[^\"]*/{smk.stem}/{name}(-[^/\"]*)?\.tsv", body)
    assert '"""' in body.split("\n")[0], "a rule has a sentence"
    if rule not in ONE_FOR_MANY:
        assert STEPS[f"{smk.stem}.{rule}"].module.endswith(f".{rule}")


def test_no_two_modules_of_a_stage_are_steps_of_one_name():
    src = ROOT / "src/hindsight"
    modules = [path.relative_to(src) for path in src.rglob("*.py") if re.search(r"^def run\(", path.read_text(), re.M)]
    names = [f"{path.parts[0]}.{path.stem}" for path in modules if len(path.parts) > 1]
    assert sorted(names) == sorted(STEPS)


def test_every_numerical_module_has_a_test_of_its_name():
    for path in sorted((ROOT / "src/hindsight").rglob("*.py")):
        inside = path.relative_to(ROOT / "src/hindsight")
        if path.name.startswith("__") or inside.parts[0] == "settings" and len(inside.parts) > 1:
            continue
        test = ROOT / "tests" / inside.parent / f"test_{inside.name}"
        assert test.is_file(), f"{inside} has no {test.relative_to(ROOT)}"


def test_a_stage_gets_exactly_the_sections_that_its_steps_read():
    """A section that no step of a stage reads would cause needless reruns; a missing one would fail its jobs."""
    import inspect
    from importlib import import_module

    from hindsight import settings

    asked: dict[str, set[str]] = {stage: set() for stage in settings.STAGE_SECTIONS}
    for step, (module, _) in STEPS.items():
        stage, name = step.split(".")
        seen = asked[name if name in settings.STAGE_SECTIONS else stage]  # a step may have a settings file of its own
        for parameter in inspect.signature(import_module(module).run).parameters.values():
            seen.update(name for name, section in settings.SECTIONS.items() if section is parameter.annotation)
    for stage, sections in asked.items():
        assert sections == {*settings.STAGE_SECTIONS[stage], *({stage} & set(settings.SECTIONS))}, stage


def test_every_rule_gives_its_step_the_settings_file_of_its_name_or_its_stage():
    from hindsight import settings

    for smk, rule, body in RULES:
        files = [file for file in re.findall(r"settings/(\w+)\.json", body) if file != "configuration"]
        assert (
            files == [rule if rule in settings.STAGE_SECTIONS else smk.stem] or smk.stem == "download" and not files
        ), rule
