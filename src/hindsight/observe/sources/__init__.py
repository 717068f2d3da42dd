"""Readers of observation files: one module a format, whose `read` returns reports (`reports.COLUMNS`).

`collect` reads what the settings name. A file that cannot be read costs its own reports, and a note says why.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.sources import bufr, igra, isd, madis, metar, nnja, prepbufr, table
from hindsight.settings.input_files import expanded, report_paths
from hindsight.settings.reports import Reports, Source, TableFormat

Between = tuple[np.datetime64, np.datetime64]  # first and last time, UTC
READERS = {"bufr": bufr, "igra": igra, "madis": madis, "metar": metar, "prepbufr": prepbufr}  # that need only a path


class Note(NamedTuple):
    """What was lost of a file, as a sentence."""

    file: str
    sentence: str


def collect(settings: Reports, folder: Path, between: Between) -> tuple[pd.DataFrame, list[Note]]:
    """Read the reports that the settings name.

    Args:
        settings: format and files.
        folder: the data folder.
        between: first and last time of the reports to keep, both included.

    Returns:
        Reports (`reports.COLUMNS`; from a table also `kind`), and notes on what could not be read.

    Raises:
        UserError: if none of the files can be read, or an archive (`nnja`) has no report of these days.
    """
    if settings.source == "nnja":
        return _from_archive(settings, between)
    stations = folder / expanded(settings.stations) if settings.stations else None
    paths = [Path(path) for path in report_paths(settings.files, str(folder), *between)]
    if not paths:
        sentence = f"no file of {', '.join(settings.files)} below {folder} has a date from {between[0]} to {between[1]}"
        return reports.empty(), [Note(str(folder), sentence)]
    return read(settings.source, paths, settings.table, stations, between)


def read(
    source: Source,
    paths: Sequence[Path],
    table_settings: TableFormat,
    stations: Path | None = None,
    between: Between | None = None,
) -> tuple[pd.DataFrame, list[Note]]:
    """Read files of one format. Rows that several files repeat are kept.

    Args:
        source: the format.
        paths: the files.
        table_settings: which column is what; `table` alone uses it.
        stations: a list of stations; `table` and `isd` alone use it.
        between: first and last time (UTC) of the reports to keep, both included; none: all.

    Returns:
        Reports, and notes on files and rows that could not be read; a report without a time is lost.

    Raises:
        UserError: if none of the files can be read.
    """
    reader = _reader(source, table_settings, stations)
    notes, parts, first = [], [], None
    for path in paths:
        part = _attempt(reader, path, notes)
        if isinstance(part, UserError):
            first = first or part
        else:
            parts.append(_within(part, between, path, notes))
    if first and not parts:
        raise UserError(f"none of the {len(paths)} file(s) of source {source} can be read: {first}") from first
    return pd.concat(parts, ignore_index=True) if parts else reports.empty(), notes


def _from_archive(settings: Reports, between: Between) -> tuple[pd.DataFrame, list[Note]]:
    """Reports of the message types of an archive; of those that arrived as several types, the first in the settings."""
    notes, parts = [], []
    for folder in settings.files:
        where = f"{settings.url}/{folder}"
        part = nnja.read(folder, settings, between, lambda sentence, where=where: notes.append(Note(where, sentence)))
        again = nnja.repeats(part, parts)
        if again.any():
            notes.append(Note(where, f"{where}: {again.sum()} of {len(part)} values arrived in two message types"))
        parts.append(part[~again])
    if not sum(map(len, parts)):
        said = notes[0].sentence if notes else "no message type"
        raise UserError(f"the archive has no reports from {between[0]} to {between[1]}: {said}")
    return pd.concat(parts, ignore_index=True), notes


def _reader(source: Source, settings: TableFormat, stations: Path | None) -> Callable[..., pd.DataFrame]:
    if source == "table":
        return lambda path, warn: table.read(path, settings, stations, warn)
    if source == "isd":
        return lambda path, warn: isd.read(path, stations, warn)
    return READERS[source].read


def _attempt(reader: Callable[..., pd.DataFrame], path: Path, notes: list[Note]) -> pd.DataFrame | UserError:
    """The reports of a file, or why there are none, which is also noted."""
    try:
        return reader(path, lambda sentence: notes.append(Note(str(path), sentence)))
    except UserError as error:
        failure = error
    except Exception as error:  # damaged bytes can make a library fail anywhere
        failure = UserError(
            f"{path} cannot be read, it is damaged or of another format ({type(error).__name__}: {error})"
        )
    notes.append(Note(str(path), str(failure)))
    return failure


def _within(part: pd.DataFrame, between: Between | None, path: Path, notes: list[Note]) -> pd.DataFrame:
    """The reports within the times."""
    times = part["time"].to_numpy("datetime64[ns]")
    if count := int(np.isnat(times).sum()):
        notes.append(Note(str(path), f"{path}: {count} values have no time and are left out"))
    keep = ~np.isnat(times) if between is None else (times >= between[0]) & (times <= between[1])
    return part[keep].reset_index(drop=True)
