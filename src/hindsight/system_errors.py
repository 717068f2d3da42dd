"""Faults of the machine, each in a sentence: what happened, where, and what to do.

What the system says is often wrapped: safetensors puts its error number into a text, netCDF calls a full disk an HDF
error. So the whole chain of exceptions is looked at, and the disks themselves.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from hindsight.partials import partial, remove, sweep

LITTLE = 2**20  # bytes; a disk with less left is full
LESS_MEMORY = {  # what takes less memory, by stage
    "download": "lower download.part_frames",
    "preprocess": "lower preprocess.file_mb",
    "train": "lower train.batch, raise train.accumulate, or set train.recompute: true",
    "reanalyse": "lower reanalyse.batch or product.member_block",
    "archive": "lower product.shard_frames",
}
MEMORY = r"can't allocate memory|out of memory|Unable to allocate"
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
NOTHING = "nothing half-made looks whole"
PEER = r"Connection (closed|reset) by peer|NCCL|gloo"


def explain(error: BaseException, step: str, paths: list[Path]) -> str | None:
    """What a fault of the machine means for the person who runs a step.

    Args:
        error: that ended the step.
        step: its name.
        paths: it was given.

    Returns:
        What happened and what to do, or None if this is no fault of the machine.
    """
    return explain_disk(error, paths) or _memory(error, step) or _team(error)


def explain_disk(error: BaseException, paths: list[Path]) -> str | None:
    """The same, of faults of the disk alone."""
    return _full(error, paths) or _forbidden(error, paths)


def remove_partial(paths: list[Path]) -> None:
    """Delete what a step left half-made, so that it takes no room on a disk that is full."""
    for path in paths:
        place = path.parent if path.name == "zarr.json" else path
        remove(partial(place))
        sweep(place)


def _full(error: BaseException, paths: list[Path]) -> str | None:
    said = [link for link in _chain(error) if _number(link) in FULL]
    opaque = any("HDF error" in str(link) for link in _chain(error))
    full = next((place for path in paths if shutil.disk_usage(place := _folder(path)).free < LITTLE), None)
    if not said and not (opaque and full):
        return None
    where = next((path for link in said if (path := _named(link))), full)
    return f"the disk is full{f' where {where} lies' if where else ''}; free some and run again; {NOTHING}"


def _forbidden(error: BaseException, paths: list[Path]) -> str | None:
    said = [link for link in _chain(error) if _number(link) in FORBIDDEN]
    if not said:
        return None
    paths = [path for link in said if (path := _named(link))] or paths
    for path in paths:
        if path.exists() and not _may(path, os.R_OK):
            return f"you may not read {path}; ask {_owner(path)}, who owns it, for the right to, and run again"
    folders = list(map(_folder, paths))
    where = next((folder for folder in folders if not _may(folder, os.W_OK)), folders[0] if folders else Path.cwd())
    if os.statvfs(where).f_flag & os.ST_RDONLY:
        return f"the disk of {where} is read-only; mount it for writing, or work on another one; {NOTHING}"
    return f"you may not write in {where}; ask {_owner(where)}, who owns it, or work in another folder; {NOTHING}"


def _memory(error: BaseException, step: str) -> str | None:
    for link in _chain(error):
        if isinstance(link, MemoryError) or isinstance(link, RuntimeError) and re.search(MEMORY, str(link)):
            lower = LESS_MEMORY.get(step.split(".")[0])
            first = str(link).strip().split("\n")[0]
            return f"memory ran out ({first}); {f'{lower}, or ' if lower else ''}give the job more; {NOTHING}"
    return None


def _team(error: BaseException) -> str | None:
    if not any(isinstance(link, RuntimeError) and re.search(PEER, str(link)) for link in _chain(error)):
        return None
    return (
        "another process that trains with this one is gone: killed, out of memory, or its node lost; the log has what "
        "it said; run snakemake again, training goes on from its checkpoint"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    """The system's number of an error, which libraries written in Rust put into the text."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return error.errno
    found = re.search(r"\(os error (\d+)\)|\[[Ee]rrno (\d+)\]", str(error))
    return int(found[1] or found[2]) if found else None


def _named(error: BaseException) -> Path | None:
    """The path that an error speaks of."""
    if name := getattr(error, "filename", None):
        return Path(os.fsdecode(name))
    found = re.search(r"""(?:at path "|local file ')([^"']+)""", str(error))
    return Path(found[1]) if found else None


def _may(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=True)


def _folder(path: Path) -> Path:
    """The nearest folder on the way to a path that is there."""
    return next(
        parent for parent in path.absolute().parents if os.path.isdir(parent)
    )  # `is_dir` raises where one may not look


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return "the person"
