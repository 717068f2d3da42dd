"""Credentials, which only the steps that need them can read.

Everywhere else they are replaced by `(hidden)`: in settings files, the configuration in the report, recipes, and the
metadata of Snakemake. The values are in one file beside the settings file of the stage that needs them, readable by its
owner only. A change of credentials reruns nothing.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, TextIO

from pydantic import PlainSerializer, SerializationInfo

from hindsight.errors import UserError
from hindsight.partials import partial, sweep
from hindsight.settings.section import Section

NAME = ".credentials.json"
HIDDEN = "(hidden)"
PUBLIC = ("", "anon")  # tokens that are not secret
SHORTEST = 4  # letters of a value that is removed from texts: "1" would be everywhere
_values: set[str] = set()  # credentials that this process has read


def _serialise(value: str | int | float | bool, info: SerializationInfo) -> str | int | float | bool:
    revealed = (info.context or {}).get("revealed", False)
    return value if revealed or _is_public(value) else HIDDEN


def _is_public(value: str | int | float | bool) -> bool:
    """Whether an option is no secret: a boolean, a public token, or a URL without password or key."""
    address = isinstance(value, str) and re.fullmatch(r"\w+://[^@?#]*", value)
    return isinstance(value, bool) or value in PUBLIC or bool(address)


Credential = Annotated[str | int | float | bool, PlainSerializer(_serialise)]


def write(sections: dict[str, Section], folder: Path) -> None:
    """Write the credentials of sections to a file readable by its owner only; without any, no file is left.

    Args:
        sections: by their names in the settings files.
        folder: of the settings files.
    """
    path, found = folder / NAME, {name: part for name, section in sections.items() if (part := _of(section))}
    if not found:
        path.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    sweep(path)
    own = partial(path)
    own.unlink(missing_ok=True)
    with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(found, file)
    own.replace(path)


def fill_in(part: dict, path: Path) -> dict:
    """Insert credentials from the file beside a settings file into its sections, as far as it has them.

    Raises:
        UserError: if the file of credentials cannot be read.
    """
    beside = path.parent / NAME
    try:
        found = json.loads(beside.read_text()) if HIDDEN in json.dumps(part) and beside.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read the credentials {beside} ({error}); their owner is the user who started snakemake last; "
            "snakemake writes them again when you start it"
        ) from None
    remember(found)
    return _overlay(part, found)


def check(options: dict, setting: str) -> dict:
    """Return options for a library, after checking that no credential is hidden.

    Raises:
        UserError: if a credential is hidden.
    """
    if hidden := [name for name, value in options.items() if value == HIDDEN]:
        raise UserError(
            f"{setting}: {', '.join(hidden)} is not known here: it is in {NAME} beside the settings file, which "
            "snakemake writes when it starts; run this step by snakemake"
        )
    return options


def remember(secrets: object) -> None:
    """Register values, every leaf of nested dictionaries, that this process must not print."""
    for value in secrets.values() if isinstance(secrets, dict) else ():
        remember(value)
    if isinstance(secrets, str | int | float) and not isinstance(secrets, bool):
        text = str(secrets)
        path = text.endswith(".json") or os.path.exists(text)
        if len(text) >= SHORTEST and not _is_public(secrets) and not path:
            _values.add(text)


def scrub(text: str) -> str:
    """Replace the registered credentials in a text."""
    for value in sorted(_values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


@contextmanager
def hide() -> Iterator[None]:
    """Replace credentials in everything that is printed, and in a later traceback."""
    if not _values:
        yield
        return
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Scrubbed(stream) for stream in streams)
    sys.excepthook = _print_traceback
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Scrubbed:
    """A stream that replaces credentials."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without credentials."""
        return self._stream.write(scrub(text))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(scrub("".join(traceback.format_exception(kind, error, trace))))


def _of(section: Section) -> dict:
    """The credentials of a section, nested as in the section."""
    hidden, revealed = (section.model_dump(mode="json", context={"revealed": each}) for each in (False, True))
    return _differences(hidden, revealed)


def _differences(hidden: dict, revealed: dict) -> dict:
    found = {}
    for name, value in revealed.items():
        inner = isinstance(value, dict)
        different = _differences(hidden[name], value) if inner else value if value != hidden[name] else {}
        if different != {}:
            found[name] = different
    return found


def _overlay(part: object, found: object) -> object:
    if isinstance(part, dict):
        known = found if isinstance(found, dict) else {}
        return {name: _overlay(value, known.get(name, {})) for name, value in part.items()}
    return found if part == HIDDEN and found != {} else part
