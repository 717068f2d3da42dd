"""Publish the feedback of the archived network beside the fields: every observation, and whether it was used."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hindsight.archive import objects
from hindsight.errors import UserError
from hindsight.fields import shards
from hindsight.settings import Domain, Ensemble


def run(domain: Domain, product: Ensemble, *, feedback: list[Path], folder: Path, marker: Path) -> None:
    """Copy the tables of feedback into a folder of the archive, and list them with their rows and checksums.

    A table that is there already with the same content is left as it is; one of a shard that the archive no longer has
    is removed.

    Raises:
        UserError: if a shard has no table, or a table cannot be read.
    """
    files, columns = {}, {}
    if missing := {cut.name for cut in shards.cut(domain, product)} - {path.stem for path in feedback}:
        raise UserError(f"{len(missing)} shard(s) have no feedback, the first {min(missing)}; run snakemake")
    for path in sorted(feedback):
        columns |= {field.name: field.metadata[b"description"].decode() for field in _schema(path)}
        objects.put(folder / path.name, path.read_bytes())
        files[path.name] = {"rows": pq.read_metadata(path).num_rows, "sha256": objects.sha256(path)}
    for old in set(folder.glob("*.parquet")) - {folder / name for name in files}:
        old.unlink()
    objects.put_json(marker, {"folder": folder.name, "columns": columns, "files": files})
    print(f"{len(files)} tables with {sum(one['rows'] for one in files.values())} rows of feedback")


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the feedback {path} ({error}); delete it and run snakemake again") from None


def files_of(marker: Path) -> dict[str, tuple[Path, str]]:
    """The files that a marker lists, and their checksums, by their names below the archive."""
    content = json.loads(marker.read_text())
    folder = content["folder"]
    return {
        f"{folder}/{name}": (marker.parent / folder / name, one["sha256"]) for name, one in content["files"].items()
    }
