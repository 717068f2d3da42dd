"""Readers of observation files: one module a format, whose `read` returns reports (`reports.COLUMNS`).

`collect` reads what the settings name. A file that cannot be read costs its own reports, and a note says why.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from glob import glob
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hindsight.errors import UserError
from hindsight.observe import reports
from hindsight.observe.sources import bufr, igra, isd, madis, metar, nnja, prepbufr, table
from hindsight.settings.input_files import expanded
from hindsight.settings.reports import Reports, Source, TableFormat

Between = tuple[np.datetime64, np.datetime64]  # first and last time, UTC
READERS = {"bufr": bufr, "igra": igra, "madis": madis, "metar": metar, "prepbufr": prepbufr}  # that need only a path
PERIODS = {"H": "h", "j": "D", "d": "D", "m": "M", "Y": "Y", "y": "Y"}  # of the codes of a date, the shortest first


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
        UserError: if there are no files, or none of them can be read.
    """
    if settings.source == "nnja":
        return _from_archive(settings, between)
    stations = folder / expanded(settings.stations) if settings.stations else None
    paths = sorted({path for pattern in settings.files for path in files(pattern, folder, *between)})
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


def files(pattern: str, folder: Path, first: np.datetime64, last: np.datetime64) -> list[Path]:
    """The files of a pattern, sorted.

    Args:
        pattern: below the folder, with `*` and `**`; perhaps with codes of `strftime`, such as
            `prepbufr/%Y/%m/prepbufr_%Y%m%d.parquet`. Then only dates within the times are looked for, and one before,
            since a file may hold later hours.
        folder: the data folder.
        first: first time, UTC.
        last: last time, UTC.

    Raises:
        UserError: if there are none.
    """
    patterns = _dated(pattern, first, last) if "%" in pattern else [pattern]
    found = {path for each in patterns for path in glob(expanded(each), root_dir=folder, recursive=True)}
    paths = sorted(folder / path for path in found if os.path.isfile(folder / path))
    if not paths:
        dates = f", for the dates {patterns[0]} to {patterns[-1]}" if "%" in pattern else ""
        raise UserError(f"no file matches {folder / pattern}{dates}; correct `files`, or the data folder")
    return paths


def _dated(pattern: str, first: np.datetime64, last: np.datetime64) -> list[str]:
    """The pattern at each date, from one step of its shortest code (at least a day) before the first time."""
    unit = next((unit for code, unit in PERIODS.items() if f"%{code}" in pattern), None)
    if unit is None:
        codes = ", ".join(f"%{code}" for code in PERIODS)
        raise UserError(f"files: {pattern} has a % without a code of a date that is known here ({codes})")
    before = np.timedelta64(24 if unit == "h" else 1, unit)
    dates = np.arange(first.astype(f"datetime64[{unit}]") - before, last.astype(f"datetime64[{unit}]") + 1)
    names = [date.astype("datetime64[s]").astype(datetime).strftime(pattern) for date in dates]
    return list(dict.fromkeys(names))
