"""Explain errors of the machine in a sentence: a full disk, missing permission, too little memory, a lost process.

Libraries often hide the error of the system: safetensors puts its number into the text, netCDF reports a full disk as
an HDF error. So the whole chain of exceptions is examined, and the disks themselves.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from hindsight.partials import partial, remove, sweep
from hindsight.signals import INCOMPLETE

FULL_BELOW = 2**20  # bytes of free space below which a disk counts as full
LESS_MEMORY = {  # settings that reduce memory, by step; other steps have none
    "download.bucket": "lower download.part_frames",
    "download.grib": "lower download.part_frames",
    "download.local": "lower download.memory_mb",
    "download.synthetic": "lower download.synthetic.segments",
    "preprocess.regrid": "lower preprocess.file_mb",
    "train.audit": "lower train.audit.windows or train.audit.frames",
    "train.controller": "lower controller.batch or controller.members, or set controller.recompute: true",
    "train.linear_prior": "lower train.linear_prior.parts, or set or lower train.linear_prior.modes",
    "train.prior": "lower train.batch, raise train.accumulate, or set train.recompute: true",
    "reanalyse.shard": "lower reanalyse.batch, reanalyse.solver_memory or product.member_block",
    "archive.break_points": "lower product.shard_frames",
    "archive.check": "lower product.shard_frames or product.member_block",
    "archive.write": "lower product.shard_frames",
}
MEMORY = r"can't allocate memory|out of memory|Unable to allocate"
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
LOST_PROCESS = r"Connection (closed|reset) by peer|NCCL|gloo"


def explain(error: BaseException, step: str, paths: list[Path]) -> str | None:
    """Explain an error of the machine to the user of a step.

    Args:
        error: the exception that ended the step.
        step: name of the step.
        paths: paths among its options.

    Returns:
        What happened and what to do; None if it is not an error of the machine.
    """
    return explain_disk(error, paths) or _memory(error, step) or _team(error)


def explain_disk(error: BaseException, paths: list[Path]) -> str | None:
    """Explain an error of the disk, as `explain` does; None for other errors."""
    return _full(error, paths) or _forbidden(error, paths)


def remove_partial(paths: list[Path]) -> None:
    """Delete the partial files of a step, to free their space on a full disk."""
    for path in paths:
        place = path.parent if path.name == "zarr.json" else path
        remove(partial(place))
        sweep(place)


def _full(error: BaseException, paths: list[Path]) -> str | None:
    links = [link for link in _chain(error) if _number(link) in FULL]
    opaque = any("HDF error" in str(link) for link in _chain(error))
    full = next((place for path in paths if shutil.disk_usage(place := _folder(path)).free < FULL_BELOW), None)
    if not links and not (opaque and full):
        return None
    where = next((path for link in links if (path := _path(link))), full)
    return f"the disk is full{f' ({where})' if where else ''}; free some space and run again; {INCOMPLETE}"


def _forbidden(error: BaseException, paths: list[Path]) -> str | None:
    links = [link for link in _chain(error) if _number(link) in FORBIDDEN]
    if not links:
        return None
    paths = [path for link in links if (path := _path(link))] or paths
    for path in paths:
        if path.exists() and not _may(path, os.R_OK):
            return f"you may not read {path}; ask its owner ({_owner(path)}) for permission, and run again"
    folders = list(map(_folder, paths))
    where = next((folder for folder in folders if not _may(folder, os.W_OK)), folders[0] if folders else Path.cwd())
    if os.statvfs(where).f_flag & os.ST_RDONLY:
        return f"the disk of {where} is read-only; mount it for writing, or work on another one; {INCOMPLETE}"
    return (
        f"you may not write in {where}; ask its owner ({_owner(where)}) for permission, or work in another folder; "
        f"{INCOMPLETE}"
    )


def _memory(error: BaseException, step: str) -> str | None:
    for link in _chain(error):
        if isinstance(link, MemoryError) or isinstance(link, RuntimeError) and re.search(MEMORY, str(link)):
            lower = LESS_MEMORY.get(step)
            first = str(link).strip().split("\n")[0]
            return f"memory ran out ({first}); {f'{lower}, or ' if lower else ''}give the job more; {INCOMPLETE}"
    return None


def _team(error: BaseException) -> str | None:
    if not any(isinstance(link, RuntimeError) and re.search(LOST_PROCESS, str(link)) for link in _chain(error)):
        return None
    return (
        "another training process has ended (killed, out of memory, or its node lost); its last messages are in the "
        "log; run snakemake again, and training continues from its checkpoint"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    """The error number of the system, which libraries written in Rust put into the text."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return error.errno
    found = re.search(r"\(os error (\d+)\)|\[[Ee]rrno (\d+)\]", str(error))
    return int(found[1] or found[2]) if found else None


def _path(error: BaseException) -> Path | None:
    """The path that an error names."""
    if name := getattr(error, "filename", None):
        return Path(os.fsdecode(name))
    found = re.search(r"""(?:at path "|local file ')([^"']+)""", str(error))
    return Path(found[1]) if found else None


def _may(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=True)


def _folder(path: Path) -> Path:
    """The nearest existing folder above a path."""
    # not `Path.is_dir`, which raises without read permission
    return next(parent for parent in path.absolute().parents if os.path.isdir(parent))


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return "unknown"
