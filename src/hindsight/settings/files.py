"""Which files outside the project a configuration names, and whether they are there: known before any job starts."""

import os
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from hindsight.errors import UserError

if TYPE_CHECKING:
    from hindsight.settings import Download, Settings


def source_files(download: "Download", data: str) -> list[str]:
    """The files of the source that are on this machine, in order."""
    patterns = [pattern for pattern in _patterns(download) if "://" not in pattern]
    return sorted({path for pattern in patterns for path in glob(str(Path(data) / pattern))})


def remote_files(download: "Download") -> dict[str, str]:
    """URLs of the source's files that are not on this machine, by where they will lie."""
    urls = [url for url in _patterns(download) if "://" in url]
    return {f"resources/{download.dataset}/files/{url.rsplit('/', 1)[-1]}": url for url in urls}


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


def static_files(settings: "Settings") -> list[str]:
    """Land fraction and orography, where given."""
    given = (settings.preprocess.land, settings.preprocess.orography)
    return [str(Path(settings.data) / name) for name in dict.fromkeys(given) if name]


def station_files(settings: "Settings", network: str) -> list[str]:
    """The station list of a network, where it has one."""
    file = settings.observe.networks[network].file
    return [str(Path(settings.data) / file)] if file else []


def coastline_files(settings: "Settings") -> list[str]:
    """The coastline that maps are drawn with, where given."""
    return [str(Path(settings.data) / settings.verify.coastline)] if settings.verify.coastline else []


def check_files(settings: "Settings") -> None:
    """Refuse a configuration that names files which are not there.

    Raises:
        UserError: listing all of them.
    """
    folder = Path(settings.data)
    setting = {"grib": "download.grib.files"}.get(settings.download.source, "download.files")
    missing = [
        f"{setting}: nothing matches {folder / pattern}"
        for pattern in _patterns(settings.download)
        if "://" not in pattern and not glob(str(folder / pattern))
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
    if missing:
        raise UserError(
            "files are missing:\n  " + "\n  ".join(missing) + f"\nThe data folder is {folder}; name another "
            "with `make … DATA=FOLDER` or `--config data=FOLDER`, or take the settings out"
        )
