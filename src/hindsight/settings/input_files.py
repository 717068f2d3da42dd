"""The files outside the project that a configuration names; they are checked before any job starts."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hindsight.errors import UserError
from hindsight.settings.quality import read_denials

if TYPE_CHECKING:
    from hindsight.settings import Download, Settings

PERIODS = {"H": "h", "j": "D", "d": "D", "m": "M", "Y": "Y", "y": "Y"}  # of the codes of a date, the shortest first
LONGEST_NAME = 150  # bytes; file systems allow 255, and names of logs and partial files are longer


def expanded(path: str) -> str:
    """A path with `~` and `$NAME` expanded as in a shell; a path that exists stays as it is."""
    return path if os.path.exists(path) else os.path.expandvars(os.path.expanduser(path))


def source_files(download: "Download", data: str) -> list[str]:
    """The source's files on this machine, in order."""
    patterns = [pattern for pattern in _patterns(download) if "://" not in pattern]
    return sorted({path for pattern in patterns for path in _matching(data, pattern)})


def _matching(folder: str, pattern: str) -> list[str]:
    """The files below a folder that match a pattern; `**` matches any number of folders."""
    pattern = expanded(pattern)
    if os.path.exists(exact := os.path.join(folder, pattern)):
        return [exact]
    return [os.path.join(folder, path) for path in glob(pattern, root_dir=folder, recursive=True)]


def remote_files(download: "Download") -> dict[str, str]:
    """URLs of the source's files on other machines, by the path that each is fetched to.

    The name of a file is preceded by a digest of its URL if several URLs have that name, as in archives with a folder
    for each year; a name too long for a file system is replaced by the digest.
    """
    urls = list(dict.fromkeys(url for url in _patterns(download) if "://" in url))
    count = Counter(map(_name, urls))
    return {f"resources/{download.dataset}/files/{_local_name(url, count[_name(url)] == 1)}": url for url in urls}


def _local_name(url: str, unique: bool) -> str:
    """The local name of a file from a URL."""
    name = _name(url)
    if len(name.encode()) > LONGEST_NAME:
        return _digest(url) + os.path.splitext(name)[1][:10]
    return name if unique and name else f"{_digest(url)}-{name}"


def _name(url: str) -> str:
    return url.split("?", 1)[0].rsplit("/", 1)[-1]


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def sizes_and_times(files: list[str]) -> dict[str, tuple[int, int]]:
    """The size (bytes) and time (ns) of files, which change when a file changes.

    Raises:
        UserError: if a file cannot be accessed.
    """
    try:
        status = {file: os.stat(file) for file in files}
    except OSError as error:
        raise UserError(
            f"cannot access {error.filename} ({error.strerror}); remove it from the source, or repair it"
        ) from None
    return {file: (one.st_size, one.st_mtime_ns) for file, one in status.items()}


def _patterns(download: "Download") -> list[str]:
    patterns = {"local": download.files, "grib": download.grib.files, "radar": download.radar.files}
    return patterns.get(download.source, [])


def bucket_folder(settings: "Settings") -> str | None:
    """The bucket, if it is a folder of this machine."""
    bucket = settings.download.bucket
    if settings.download.source != "bucket" or "://" in bucket.url:
        return None
    return str(Path(settings.data) / bucket.url)


def _below(settings: "Settings", name: str) -> str:
    """The path of a file below the data folder, or of an absolute path."""
    return str(Path(settings.data) / expanded(name))


def static_files(settings: "Settings") -> list[str]:
    """Files of land fraction and orography, if given."""
    given = (settings.preprocess.land, settings.preprocess.orography)
    return [_below(settings, name) for name in dict.fromkeys(given) if name]


def station_files(settings: "Settings", network: str) -> list[str]:
    """The station list of a network, if it has one."""
    file = settings.observe.networks[network].file
    return [_below(settings, file)] if file else []


def report_files(settings: "Settings", name: str, first: np.datetime64, last: np.datetime64) -> list[str]:
    """The files of reports that a job for some times (UTC, both included) reads, and the list of stations."""
    spec = settings.observe.reports[name]
    stations = [_below(settings, spec.stations)] if spec.stations else []
    return stations + ([] if spec.source == "nnja" else report_paths(spec.files, settings.data, first, last))


def report_paths(patterns: Sequence[str], folder: str, first: np.datetime64, last: np.datetime64) -> list[str]:
    """The files of patterns, sorted.

    Args:
        patterns: below the folder, with `*` and `**`; perhaps with codes of `strftime`, such as
            `prepbufr/%Y/%m/prepbufr_%Y%m%d.parquet`. Then only dates within the times are looked for, and one before,
            since a file may hold later hours.
        folder: the data folder.
        first: first time, UTC.
        last: last time, UTC.
    """
    dated = [each for pattern in patterns for each in (_dated(pattern, first, last) if "%" in pattern else [pattern])]
    return sorted({path for pattern in dated for path in _matching(folder, pattern) if os.path.isfile(path)})


def _dated(pattern: str, first: np.datetime64, last: np.datetime64) -> list[str]:
    """The pattern at each date, from one step of its shortest code (at least a day) before the first time."""
    unit = _shortest(pattern) or "Y"
    before = np.timedelta64(24 if unit == "h" else 1, unit)
    dates = np.arange(first.astype(f"datetime64[{unit}]") - before, last.astype(f"datetime64[{unit}]") + 1)
    return list(dict.fromkeys(date.astype("datetime64[s]").astype(datetime).strftime(pattern) for date in dates))


def _shortest(pattern: str) -> str | None:
    """The period of the code of a date in a pattern that changes most often; none: it has no such code."""
    return next((unit for code, unit in PERIODS.items() if f"%{code}" in pattern), None)


def _faults_of_reports(settings: "Settings", name: str) -> list[str]:
    """What is wrong with the patterns of files of reports."""
    spec, faults = settings.observe.reports[name], []
    for pattern in spec.files if spec.source != "nnja" else []:
        if "%" in pattern and _shortest(pattern) is None:
            codes = ", ".join(f"%{code}" for code in PERIODS)
            faults.append(f"{pattern} has a % without a code of a date that is known here ({codes})")
        elif not _matching(settings.data, re.sub(r"%[a-zA-Z]", "*", pattern)):
            faults.append(f"nothing matches {Path(settings.data) / pattern}")
    return [f"observe.reports.{name}.files: {fault}" for fault in faults]


def matching(setting: str, paths: Sequence[Path]) -> Path:
    """The one of some paths that ends as a setting says, the shortest if several do."""
    name = expanded(setting)
    fitting = [path for path in paths if path.parts[-len(Path(name).parts) :] == Path(name).parts or str(path) == name]
    return min(fitting, key=lambda path: len(path.parts))


def choice_files(settings: "Settings", network: str) -> list[str]:
    """The files of stations' names that a network of reports names."""
    spec = settings.observe.networks[network]
    named = [spec.use.file, spec.withhold.stations.file if spec.withhold.stations else None]
    return list(dict.fromkeys(_below(settings, file) for file in named if file))


def denial_files(settings: "Settings", network: str) -> list[str]:
    """The file of denials of a network of reports, if there is one."""
    file = settings.observe.networks[network].denied_file
    return [_below(settings, file)] if file else []


def with_all_denials(settings: "Settings") -> "Settings":
    """The settings with the denials of files among those of the networks.

    Jobs and reruns then depend on the rows of a file that concern them, and not on the file.

    Raises:
        UserError: if a file is not a list of denials.
    """
    networks = {}
    for name, spec in settings.observe.networks.items():
        listed = [one for path in denial_files(settings, name) for one in read_denials(Path(path))]
        networks[name] = spec.model_copy(update={"denied": [*spec.denied, *listed], "denied_file": None})
    observe = settings.observe.model_copy(update={"networks": networks})
    return settings.model_copy(update={"observe": observe})


def coastline_files(settings: "Settings") -> list[str]:
    """The coastline of the maps, if given."""
    return [_below(settings, settings.verify.coastline)] if settings.verify.coastline else []


def check_files(settings: "Settings") -> None:
    """Refuse a configuration that names missing files.

    Raises:
        UserError: listing all missing files, or names that Snakemake would misread.
    """
    folder = Path(settings.data)
    setting = {kind: f"download.{kind}.files" for kind in ("grib", "radar")}.get(
        settings.download.source, "download.files"
    )
    missing = [
        f"{setting}: nothing matches {folder / pattern}"
        for pattern in _patterns(settings.download)
        if "://" not in pattern and not _matching(settings.data, pattern)
    ]
    missing += [
        f"{setting}: {url} names no file; name the files, each by its URL"
        for url in remote_files(settings.download).values()
        if url.endswith("/")
    ]
    missing += [
        f"{setting}: {url} is an OPeNDAP address, which is not a file; use the server's address of the file itself, "
        f"{url.replace('/dodsC/', '/fileServer/')}"
        for url in remote_files(settings.download).values()
        if "/dodsC/" in url
    ]
    if (bucket := bucket_folder(settings)) and not Path(bucket).exists():  # `metadata` refuses what is no store
        missing.append(f"download.bucket.url: there is no {bucket}")
    named = [("preprocess.land or orography", path) for path in static_files(settings)]
    named += [("verify.coastline", path) for path in coastline_files(settings)]
    named += [
        (f"observe.networks.{network}.file", path)
        for network in settings.observe.scored
        for path in station_files(settings, network)
    ]
    named += [
        (f"observe.networks.{network}: use, withhold or denied_file", path)
        for network in settings.observe.scored
        for path in choice_files(settings, network) + denial_files(settings, network)
    ]
    for reports, spec in settings.observe.reports.items():
        if spec.stations:
            named.append((f"observe.reports.{reports}.stations", _below(settings, spec.stations)))
        missing += _faults_of_reports(settings, reports)
    missing += [f"{where}: there is no {path}" for where, path in named if not Path(path).is_file()]
    named += [(setting, path) for path in remote_files(settings.download)]
    if filled := [f"{where}: {path}" for where, path in named if "{" in path or "}" in path]:
        raise UserError(
            "names of files in the workflow must not contain braces, which Snakemake would replace; rename them, or "
            "their folders:\n  " + "\n  ".join(filled)
        )
    if missing:
        unset = "" if folder.exists() else ", ".join(re.findall(r"\$\w+|\$\{\w+\}", settings.data))
        where = f"{folder}, and no variable {unset} is set" if unset else f"{folder}"
        raise UserError(
            "files are missing:\n  " + "\n  ".join(missing) + f"\nThe data folder is {where}; name another "
            "with `make … DATA=FOLDER` or `--config data=FOLDER`, or remove the settings listed above"
        )
