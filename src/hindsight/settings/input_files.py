"""Which files outside the project a configuration names, and whether they are there: known before any job starts."""

import hashlib
import os
import re
from collections import Counter
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from hindsight.errors import UserError

if TYPE_CHECKING:
    from hindsight.settings import Download, Settings

LONGEST_NAME = 150  # bytes; a file system has room for 255, with what logs and halves are called besides


def expanded(path: str) -> str:
    """A path as a shell takes it: `~` is the home folder, `$NAME` a variable; but one that is there stays as it is."""
    return path if os.path.exists(path) else os.path.expandvars(os.path.expanduser(path))


def source_files(download: "Download", data: str) -> list[str]:
    """The files of the source that are on this machine, in order."""
    patterns = [pattern for pattern in _patterns(download) if "://" not in pattern]
    return sorted({path for pattern in patterns for path in _matching(data, pattern)})


def _matching(folder: str, pattern: str) -> list[str]:
    """What a pattern matches below a folder, whose own name is none; `**` stands for folders, as many as there are."""
    pattern = expanded(pattern)
    if os.path.exists(exact := os.path.join(folder, pattern)):
        return [exact]
    return [os.path.join(folder, path) for path in glob(pattern, root_dir=folder, recursive=True)]


def remote_files(download: "Download") -> dict[str, str]:
    """URLs of the source's files that are not on this machine, by where they will lie.

    Files of one name, as archives with a folder a year have them, or those that only a query tells apart, are named by
    a digest of the URL, too; and so are names that a file system has no room for.
    """
    urls = list(dict.fromkeys(url for url in _patterns(download) if "://" in url))
    count = Counter(map(_name, urls))
    return {f"resources/{download.dataset}/files/{_place(url, count[_name(url)] == 1)}": url for url in urls}


def _place(url: str, alone: bool) -> str:
    """What a file from a URL is called here."""
    name = _name(url)
    if len(name.encode()) > LONGEST_NAME:
        return _digest(url) + os.path.splitext(name)[1][:10]
    return name if alone and name else f"{_digest(url)}-{name}"


def _name(url: str) -> str:
    return url.split("?", 1)[0].rsplit("/", 1)[-1]


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def identified(files: list[str]) -> dict[str, tuple[int, int]]:
    """Files with the size (bytes) and the time (ns) of each, which say whether one has changed.

    Raises:
        UserError: at a file that cannot be looked at.
    """
    try:
        about = {file: os.stat(file) for file in files}
    except OSError as error:
        raise UserError(
            f"cannot look at {error.filename} ({error.strerror}); take it out of the source, or mend it"
        ) from None
    return {file: (one.st_size, one.st_mtime_ns) for file, one in about.items()}


def _patterns(download: "Download") -> list[str]:
    return {"local": download.files, "grib": download.grib.files}.get(download.source, [])


def bucket_folder(settings: "Settings") -> str | None:
    """The bucket, where it is a folder of this machine."""
    bucket = settings.download.bucket
    if settings.download.source != "bucket" or "://" in bucket.url:
        return None
    return str(Path(settings.data) / bucket.url)


def _below(settings: "Settings", name: str) -> str:
    """A file below the data folder, or anywhere."""
    return str(Path(settings.data) / expanded(name))


def static_files(settings: "Settings") -> list[str]:
    """Land fraction and orography, where given."""
    given = (settings.preprocess.land, settings.preprocess.orography)
    return [_below(settings, name) for name in dict.fromkeys(given) if name]


def station_files(settings: "Settings", network: str) -> list[str]:
    """The station list of a network, where it has one."""
    file = settings.observe.networks[network].file
    return [_below(settings, file)] if file else []


def coastline_files(settings: "Settings") -> list[str]:
    """The coastline that maps are drawn with, where given."""
    return [_below(settings, settings.verify.coastline)] if settings.verify.coastline else []


def check_files(settings: "Settings") -> None:
    """Refuse a configuration that names files which are not there.

    Raises:
        UserError: listing all of them; or names that Snakemake does not understand.
    """
    folder = Path(settings.data)
    setting = {"grib": "download.grib.files"}.get(settings.download.source, "download.files")
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
        f"{setting}: {url} is an OPeNDAP address, which gives no file; take the server's address of the file itself, "
        f"{url.replace('/dodsC/', '/fileServer/')}"
        for url in remote_files(settings.download).values()
        if "/dodsC/" in url
    ]
    if (bucket := bucket_folder(settings)) and not Path(bucket).exists():  # a zip: `metadata` says so
        missing.append(f"download.bucket.url: there is no {bucket}")
    named = [("preprocess.land or orography", path) for path in static_files(settings)]
    named += [("verify.coastline", path) for path in coastline_files(settings)]
    named += [
        (f"observe.networks.{network}.file", path)
        for network in settings.observe.networks
        for path in station_files(settings, network)
    ]
    missing += [f"{where}: there is no {path}" for where, path in named if not Path(path).is_file()]
    named += [(setting, path) for path in remote_files(settings.download)]
    if filled := [f"{where}: {path}" for where, path in named if "{" in path or "}" in path]:
        raise UserError(
            "names of files that Snakemake looks after may not have braces, which it would fill in; rename them, or "
            "the folders that they are in:\n  " + "\n  ".join(filled)
        )
    if missing:
        unset = "" if folder.exists() else ", ".join(re.findall(r"\$\w+|\$\{\w+\}", settings.data))
        where = f"{folder}, and no variable {unset} is set" if unset else f"{folder}"
        raise UserError(
            "files are missing:\n  " + "\n  ".join(missing) + f"\nThe data folder is {where}; name another "
            "with `make … DATA=FOLDER` or `--config data=FOLDER`, or take the settings out"
        )
