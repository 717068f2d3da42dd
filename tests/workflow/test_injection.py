"""No text in a configuration reaches a shell as anything but text: every free-text setting is given commands to run.

Settings are found by walking their schema, so a new one is tried by itself. All of them are set at once, files have such
names too, and the whole workflow runs with steps that do nothing but write down what they were given.
"""

import copy
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hindsight import settings
from hindsight.errors import UserError
from hindsight.settings import Settings
from tests.workflow import runs

SOURCES = ("local", "grib", "bucket")
KEY = object()  # in a path: the name of an entry
BRACES = "{log}{0}{{x}}"  # what Snakemake would fill in
PREFIXES = ("", "tcp://", "file:", "gs://bucket/")  # of texts that have to begin in some way
INNER = ({}, 0.5, "text", {"south": 0, "north": 1, "west": 0, "east": 1})  # entries of dictionaries


def payload(number: int, line: str = "\n", braces: str = "") -> str:
    """A text that runs commands where it is not quoted, and where it is between single or between double quotes."""
    mark = f"INJECTED{number}"
    touch = f"a b';touch {mark}q;'\"$(touch {mark}d)\"`touch {mark}b`;touch {mark}u;{line} touch {mark}n{line}"
    return touch + braces


def texts(schema: dict, node: dict, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all free texts of a JSON schema, names of entries included."""
    node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node
    for other in [*node.get("anyOf", []), *node.get("allOf", [])]:
        yield from texts(schema, other, path)
    if node.get("type") == "string" and not {"enum", "const", "format"} & set(node):
        yield path
    for name, inner in node.get("properties", {}).items():
        yield from texts(schema, inner, (*path, name))
    if isinstance(more := node.get("additionalProperties"), dict):
        yield (*path, KEY)
        yield from texts(schema, more, (*path, "plain"))
    if isinstance(items := node.get("items"), dict):
        yield from texts(schema, items, (*path, 0))


def values(path: tuple, number: int) -> Iterator[object]:
    """What is tried at a path, as it stands in a configuration."""
    variants = itertools.product(PREFIXES, ("\n", ""), (BRACES, ""))
    tried = [prefix + payload(number, line, braces) for prefix, line, braces in variants]
    if path[-1] is KEY:
        yield from ({text: value} for text in tried for value in INNER)
    elif path[-1] == 0:
        yield from ([text, f"https://host/{text}.nc"] for text in tried)
        yield from ([text] for text in tried)
    else:
        yield from tried


def laid(config: dict, path: tuple, value: object) -> dict:
    """A configuration with a value at a path."""
    path = path[:-1] if path[-1] is KEY or path[-1] == 0 else path
    change: object = value
    for name in reversed(path):
        change = {name: change}
    return runs.merged(config, change)


def poisoned(source: str, data: Path) -> tuple[dict, dict[tuple, object]]:
    """A configuration with commands in every text that it may hold, and what was accepted, by path; files are there."""
    config = runs.merged(runs.IDLE, {"data": str(data), "download": {"source": source, "dataset": "d"}, "run": "r"})
    config["observe"]["networks"]["plain"] = {"kind": "stations", "file": "stations.csv"}
    config["download"] |= {"grib": {"files": ["*.grib"]}, "bucket": {"url": "there"}}
    accepted: dict[tuple, object] = {}
    schema = Settings.model_json_schema()
    for number, path in enumerate(dict.fromkeys(texts(schema, schema)), 1):
        for value in values(path, number) if path != ("data",) else ():
            for text in leaves(value):
                if "/" not in text:
                    (data / text).mkdir() if path[-1] == "url" else (data / text).touch()
            tried = laid(copy.deepcopy(config), path, value)
            try:
                settings.check_files(settings.read(tried))
            except UserError:
                continue
            config, accepted[path] = tried, value
            break
    return config, accepted


def leaves(value: object) -> Iterator[str]:
    """The texts of a value."""
    if isinstance(value, str):
        yield value
    for inner in value if isinstance(value, list) else ():
        yield from leaves(inner)


@pytest.fixture(params=["local", *(pytest.param(source, marks=pytest.mark.slow) for source in SOURCES[1:])])
def ran(request, tmp_path):
    """A run of a poisoned configuration: source, folder, the settings that were accepted, what steps were given."""
    data = tmp_path / payload(0)
    (data / "there").mkdir(parents=True)
    (data / "stations.csv").touch()
    for ending in ("nc", "grib"):
        (data / f"{payload(1000, braces=BRACES)}.{ending}").touch()
    config, accepted = poisoned(request.param, data)
    done, given = runs.idle(tmp_path / "work", config)
    assert done.returncode == 0, done.stdout[-5000:]
    return request.param, tmp_path / "work", accepted, given


def test_no_setting_and_no_name_of_a_file_runs_a_command(ran):
    source, folder, accepted, given = ran
    touched = [path for path in folder.parent.rglob("INJECTED*") if re.fullmatch(r"INJECTED\d+[a-z]", path.name)]
    assert not touched, touched
    assert (folder / "results/r/verify/report.html").exists() and (folder / "results/r/archive/copy.json").exists()
    scheduler = accepted["preprocess", "scheduler"]
    assert scheduler.startswith("tcp://a b';touch") and scheduler in given  # as it is, one word
    if source == "local":
        (name, url) = accepted["download", "files", 0]
        assert url in given and any(word.endswith(f"/files/{name}.nc") for word in given)
    assert str(folder.parent / payload(0)) in given or source == "bucket"
    wanted = [("archive", "title"), ("archive", "copy_to", "url"), ("archive", "copy_to", "options", KEY)]
    wanted += [("preprocess", "land"), ("verify", "coastline"), ("observe", "networks", "plain", "file")]
    wanted += [("verify", "regions", KEY), ("download", "bucket", "options", KEY), ("download", "title")]
    assert [path for path in wanted if path not in accepted] == []


@pytest.mark.parametrize("name", ["x;touch y", "$(x)", "a b", "a'b", "a/b", "../a", "", "-x", "é", "_x", "x\n", "X", "1x"])
def test_names_that_become_folders_and_wildcards_are_plain_words(name):
    for change in (
        {"run": name},
        {"download": {"dataset": name}},
        {"observe": {"networks": {name: {}}}},
    ):
        key = next(iter(change))
        if key != "observe" and name in ("_x", "1x"):
            continue
        with pytest.raises(UserError, match=key):
            settings.read(change)
