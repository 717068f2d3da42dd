"""The catalogue of GRIB files: for each message its file, its place in it, its parameter, level, member and times.

There may be one file or thousands. Messages need not form a hypercube: control and members, kinds of levels, steps,
editions and grids may be mixed. Headers are read once: each file has a small index beside the catalogue, which is valid
while the size and modification time of the file stay the same. It is not cfgrib's index, which lies beside the data,
where the user may have no right to write, and which ignores a file that was replaced by an older one.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from hindsight.download.grib import messages
from hindsight.errors import UserError
from hindsight.fields import store
from hindsight.progress import Progress
from hindsight.settings import Download

INDEX_VERSION = 2  # an index of another version is rebuilt
# keys of ecCodes:
NUMBERS = ("edition", "number", "totalNumber", "eps", "dataDate", "dataTime", "startStep", "endStep", "stepUnits")
WORDS = ("typeOfLevel", "dataType", "stepType", "gridType", "md5GridSection", "expver")
NAMES = ("shortName", "cfVarName", "name", "cfName", "units")  # follow from paramId
SECONDS = {0: 60, 1: 3600, 2: 86400, 10: 10800, 11: 21600, 12: 43200, 13: 1}  # in each unit of steps
DETERMINISTIC = -1  # member of fields without an ensemble
PARALLEL_BYTES = 64e6  # of files; for fewer, starting a process takes longer than reading
BATCH = 1 << 17  # messages whose times are computed at once
ROW_GROUP = 1 << 17  # messages; a part reads complete groups
SHOWN = 5  # files that an error lists
HEADERS = pa.schema(  # of a message, as an index has them
    [(name, pa.int64()) for name in ("offset", "length", "field")]
    + [("checksum", pa.string()), ("paramId", pa.int64())]
    + [(name, pa.string()) for name in NAMES]
    + [("level", pa.float64())]
    + [(name, pa.int64()) for name in NUMBERS]
    + [(name, pa.string()) for name in WORDS]
)
SERIES = ["paramId", *NAMES, "typeOfLevel", "level", "member"]  # messages that agree in these are a series in time


def run(settings: Download, *, files: list[Path], catalogue: Path) -> None:
    """List the messages of all GRIB files; only files that are new or have changed are read."""
    if missing := [str(file) for file in files if not file.is_file()]:
        raise UserError(f"there is no {', '.join(missing[:SHOWN])}; correct the setting data or download.grib.files")
    indices = {file: _index_of(file, catalogue) for file in sorted(files)}
    _read_all({f: i for f, i in indices.items() if not is_current(f, i)}, settings.grib.processes)
    table = pa.concat_tables(_batches(indices)).unify_dictionaries().combine_chunks()
    table = table.take(np.argsort(table["valid"].to_numpy(), kind="stable"))  # so that a part reads little
    table = table.replace_schema_metadata({"inventory": _inventory(table)})
    store.replace(catalogue, lambda partial: pq.write_table(table, partial, row_group_size=ROW_GROUP))


def inventory(catalogue: Path) -> pd.DataFrame:
    """The series in a catalogue, read from its metadata: a row for each series, with its first and last time.

    Returns:
        Columns `SERIES`, `first` and `last`.
    """
    found = pd.DataFrame(json.loads(pq.read_schema(catalogue).metadata[b"inventory"]))
    return found.assign(**{side: found[side].astype("datetime64[s]") for side in ("first", "last")})


def is_current(file: Path, index: Path) -> bool:
    """Whether an index was made of a file as it is now."""
    return index.is_file() and _read(index).schema.metadata.get(b"identity") == _identity(file)


def write_index(file: Path, index: Path) -> int:
    """Read the headers of a file, write its index, and return the number of its messages.

    Raises:
        UserError: at the first message that cannot be read.
    """
    schema = HEADERS.with_metadata({"identity": _identity(file)})
    table = pa.Table.from_pylist(list(_headers(file)), schema)
    store.replace(index, lambda partial: _write(table, partial))
    return len(table)


def _read_all(stale: dict[Path, Path], processes: int) -> None:
    """Read files in parallel, the largest first; files that cannot be read are reported together at the end."""
    sizes = {file: file.stat().st_size for file in sorted(stale, key=lambda f: (-f.stat().st_size, f))}
    watch, done, number, errors = Progress("download.catalogue", int(sum(sizes.values()) / 1e6), "MB"), 0.0, 0, []
    for file, found in _read_each(sizes, stale, processes):
        done += sizes[file] / 1e6
        errors += [str(found)] if isinstance(found, UserError) else []
        number += found if isinstance(found, int) else 0
        watch(int(done), f"{number} messages")
    if errors:
        more = [f"and {len(errors) - SHOWN} more"] if len(errors) > SHOWN else []
        raise UserError("\n  ".join([*sorted(errors)[:SHOWN], *more]))


def _read_each(
    sizes: dict[Path, int], stale: dict[Path, Path], processes: int
) -> Iterator[tuple[Path, int | UserError]]:
    workers = min(processes, len(sizes))
    if workers < 2 or sum(sizes.values()) < PARALLEL_BYTES:
        yield from ((file, _try_index(file, stale[file])) for file in sizes)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = {pool.submit(_try_index, file, stale[file]): file for file in sizes}
        yield from ((jobs[job], job.result()) for job in as_completed(jobs))


def _try_index(file: Path, index: Path) -> int | UserError:
    try:
        return write_index(file, index)
    except UserError as error:
        return error


def _headers(file: Path) -> Iterator[dict]:
    names: dict[int, dict] = {}
    for offset, length, field, message in messages.walk(file):
        if not messages.key(message, "gridType", str):
            raise messages.damaged(file, offset, "a message without a grid")
        parameter = messages.key(message, "paramId", int)
        if parameter not in names:
            names[parameter] = {name: messages.key(message, name, str) for name in NAMES}
        yield {
            "offset": offset,
            "length": length,
            "field": field,
            "checksum": messages.checksum(message),
            "paramId": parameter,
            **names[parameter],
            "level": messages.key(message, "level", float),
            **{name: messages.key(message, name, int) for name in NUMBERS},
            **{name: messages.key(message, name, str) for name in WORDS},
        }


def _with_times(headers: pd.DataFrame) -> pd.DataFrame:
    """Add the forecast's base time, first and last time of validity (`begin`, `valid`) and member; levels in hPa."""
    day = pd.to_datetime(headers["dataDate"].astype(str), format="%Y%m%d", errors="coerce")
    clock = headers["dataTime"] // 100 * 60 + headers["dataTime"] % 100
    base = (day + pd.to_timedelta(clock, "min")).astype("datetime64[s]")
    unit = headers["stepUnits"].map(SECONDS).fillna(3600)
    begin, valid = (base + pd.to_timedelta(headers[step] * unit, "s") for step in ("startStep", "endStep"))
    ensemble = headers[["totalNumber", "eps", "number"]].any(axis=1) | headers["dataType"].isin(["cf", "pf"])
    timed = {"base": base, "begin": begin, "valid": valid}
    return headers.assign(
        **{name: time.astype("datetime64[s]") for name, time in timed.items()},
        level=headers["level"].where(headers["typeOfLevel"] != "isobaricInPa", headers["level"] / 100),
        member=np.where(ensemble, headers["number"], DETERMINISTIC),
    ).drop(columns=["number", "totalNumber", "eps", "dataDate", "dataTime", "startStep", "endStep", "stepUnits"])


def _batches(indices: dict[Path, Path]) -> Iterator[pa.Table]:
    """The indices of files with their times, in batches of many files: a small batch takes as long as a large one."""
    batch, rows = [], 0
    for file, index in indices.items():
        headers = _read(index).read_all().replace_schema_metadata()
        batch.append(headers.add_column(0, "file", pa.array([str(file)] * len(headers))))
        rows += len(headers)
        if rows >= BATCH:
            yield _catalogued(batch)
            batch, rows = [], 0
    if batch:
        yield _catalogued(batch)


def _catalogued(headers: list[pa.Table]) -> pa.Table:
    timed = _with_times(pa.concat_tables(headers).to_pandas())
    table = pa.Table.from_pandas(timed, preserve_index=False).replace_schema_metadata()
    for name in ("file", *NAMES, *WORDS):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
    return table


def _read(index: Path) -> pa.ipc.RecordBatchFileReader:
    return pa.ipc.open_file(pa.py_buffer(index.read_bytes()))  # no file stays open


def _write(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def _inventory(table: pa.Table) -> str:
    found = table.group_by(SERIES).aggregate([("valid", "min"), ("valid", "max")]).to_pandas()
    found = found.rename(columns={"valid_min": "first", "valid_max": "last"}).sort_values(SERIES)
    text = {side: found[side].dt.strftime("%Y-%m-%dT%H:%M:%S") for side in ("first", "last")}
    return found.assign(**text).to_json(orient="records")


def _index_of(file: Path, catalogue: Path) -> Path:
    """The index of a file, in one of many subfolders so that none holds thousands of files."""
    name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]
    return catalogue.with_name(catalogue.name + ".index") / name[:2] / f"{name}.arrow"


def _identity(file: Path) -> bytes:
    status = file.stat()
    return json.dumps([INDEX_VERSION, status.st_size, status.st_mtime_ns]).encode()
