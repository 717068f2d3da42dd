"""Which files outside the project a configuration names, and whether they are there: known before any job starts."""

from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from hindsight.errors import UserError

if TYPE_CHECKING:
    from hindsight.settings import Settings


def source_files(settings: "Settings") -> list[str]:
    """The files of the source, in order; those that are fetched first, where they will lie."""
    if settings.download.source not in ("local", "grib"):
        return []
    fetched = [f"resources/{settings.download.dataset}/files/{name}" for name in remote_files(settings)]
    patterns = [pattern for pattern in _patterns(settings) if "://" not in pattern]
    return fetched + sorted({path for pattern in patterns for path in glob(str(Path(settings.data) / pattern))})


def remote_files(settings: "Settings") -> dict[str, str]:
    """URLs of the source's files that are not on this machine, by the names they will have."""
    return {url.rsplit("/", 1)[-1]: url for url in _patterns(settings) if "://" in url}


def _patterns(settings: "Settings") -> list[str]:
    chosen = settings.download
    return {"local": chosen.files, "grib": chosen.grib.files}.get(chosen.source, [])


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
        for pattern in _patterns(settings)
        if "://" not in pattern and not glob(str(folder / pattern))
    ]
    if (bucket := bucket_folder(settings)) and not Path(bucket).is_dir():
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
