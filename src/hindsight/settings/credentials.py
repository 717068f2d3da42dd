"""Credentials: what only the step that needs it may know.

Whatever is made of the settings says `(hidden)` in their place: settings files, the configuration in the report,
recipes, what Snakemake remembers of its jobs. The values are in one file beside the settings file of the stage that
needs them, which its owner alone may read. Nothing is made anew when they change.
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
OPEN = ("", "anon")  # tokens that everybody may know
SHORTEST = 4  # letters of what is looked for in texts: "1" stands in all of them
_known: set[str] = set()  # to this process


def _shown(value: str | int | float | bool, info: SerializationInfo) -> str | int | float | bool:
    revealed = (info.context or {}).get("revealed", False)
    return value if revealed or _no_secret(value) else HIDDEN


def _no_secret(value: str | int | float | bool) -> bool:
    """Whether an option opens nothing: a switch, the token of anybody, an address without a password or a key."""
    address = isinstance(value, str) and re.fullmatch(r"\w+://[^@?#]*", value)
    return isinstance(value, bool) or value in OPEN or bool(address)


Credential = Annotated[str | int | float | bool, PlainSerializer(_shown)]


def write(sections: dict[str, Section], folder: Path) -> None:
    """Put the credentials of some sections beside their settings files, for their owner's eyes; none: no file.

    Args:
        sections: by the names that they have in the settings files.
        folder: of these files.
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
    """The sections of a settings file with the credentials that lie beside it, as far as they do.

    Raises:
        UserError: if they may not be read.
    """
    beside = path.parent / NAME
    try:
        found = json.loads(beside.read_text()) if HIDDEN in json.dumps(part) and beside.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read the credentials {beside} ({error}); they belong to who started snakemake last, and snakemake "
            "writes them anew when you start it"
        ) from None
    remember(found)
    return _laid_over(part, found)


def check(options: dict, setting: str) -> dict:
    """Options as they are given to a library.

    Raises:
        UserError: if a credential is not known here.
    """
    if hidden := [name for name, value in options.items() if value == HIDDEN]:
        raise UserError(
            f"{setting}: {', '.join(hidden)} is not known here: it stands in {NAME} beside the settings file, which "
            "snakemake writes when it starts; run this step by snakemake"
        )
    return options


def remember(secrets: object) -> None:
    """Keep values out of what this process prints from now on: every leaf of nested dictionaries."""
    for value in secrets.values() if isinstance(secrets, dict) else ():
        remember(value)
    if isinstance(secrets, str | int | float) and not isinstance(secrets, bool):
        text = str(secrets)
        path = text.endswith(".json") or os.path.exists(text)
        if len(text) >= SHORTEST and not _no_secret(secrets) and not path:
            _known.add(text)


def scrub(text: str) -> str:
    """A text without the credentials that this process knows."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


@contextmanager
def hide() -> Iterator[None]:
    """While it lasts nothing that is printed has a credential in it, and neither has a traceback later on."""
    if not _known:
        yield
        return
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Scrubbed(stream) for stream in streams)
    sys.excepthook = _told
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Scrubbed:
    """A stream that credentials do not get through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what is left of a text."""
        return self._stream.write(scrub(text))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(scrub("".join(traceback.format_exception(kind, error, trace))))


def _of(section: Section) -> dict:
    """The credentials of a section, where they stand in it."""
    shown, whole = (section.model_dump(mode="json", context={"revealed": each}) for each in (False, True))
    return _apart(shown, whole)


def _apart(shown: dict, whole: dict) -> dict:
    found = {}
    for name, value in whole.items():
        inner = isinstance(value, dict)
        different = _apart(shown[name], value) if inner else value if value != shown[name] else {}
        if different != {}:
            found[name] = different
    return found


def _laid_over(part: object, found: object) -> object:
    if isinstance(part, dict):
        known = found if isinstance(found, dict) else {}
        return {name: _laid_over(value, known.get(name, {})) for name, value in part.items()}
    return found if part == HIDDEN and found != {} else part
