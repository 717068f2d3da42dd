"""Feedback beside the archive: the same bytes, listed with rows, columns and checksums; nothing stale stays."""

import hashlib
import json

import pandas as pd
import pytest

from hindsight.archive import observations
from hindsight.errors import UserError
from hindsight.settings import Domain, Product
from hindsight.verify import feedback


def tables(folder, count=2):
    """Feedback of some shards, one row each."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"2009010{k + 1}T00.parquet" for k in range(count)]
    for number, path in enumerate(paths):
        row = dict.fromkeys(feedback.COLUMNS, 0.0) | {"time": pd.Timestamp("2009-01-01"), "rank": number}
        feedback.write(pd.DataFrame([row]), path)
    return paths


def sections(count):
    """Settings of an archive of shards of one day."""
    period = {"start": "2009-01-01T00:00", "end": f"2009-01-{count:02d}T00:00"}
    return Domain(test=period), Product(shard_frames=1)


def published(tmp_path, count=2):
    marker = tmp_path / "archive/observations.json"
    observations.run(
        *sections(count), feedback=tables(tmp_path / "from", count), folder=tmp_path / "archive/feedback", marker=marker
    )
    return json.loads(marker.read_text())


def test_tables_are_copied_and_listed(tmp_path):
    found = published(tmp_path)
    assert found["columns"] == feedback.COLUMNS and list(found["files"]) == [
        "20090101T00.parquet",
        "20090102T00.parquet",
    ]
    for name, one in found["files"].items():
        content = (tmp_path / "archive/feedback" / name).read_bytes()
        assert content == (tmp_path / "from" / name).read_bytes()
        assert one == {"rows": 1, "sha256": hashlib.sha256(content).hexdigest()}
    named = observations.files_of(tmp_path / "archive/observations.json")
    assert all(path.is_file() for path, _ in named.values()) and list(named)[0] == "feedback/20090101T00.parquet"


def test_a_second_run_writes_nothing_and_removes_what_is_of_no_shard(tmp_path):
    published(tmp_path)
    first = tmp_path / "archive/feedback/20090101T00.parquet"
    before = first.stat().st_mtime_ns
    published(tmp_path, 1)
    assert first.stat().st_mtime_ns == before and list(first.parent.iterdir()) == [first]


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "20090101T00.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"20090101T00\.parquet"):
        observations.run(
            *sections(1), feedback=[tmp_path / "20090101T00.parquet"], folder=tmp_path / "f", marker=tmp_path / "m.json"
        )


def test_a_shard_without_feedback_is_named(tmp_path):
    with pytest.raises(UserError, match="1 shard.*20090103T00"):
        observations.run(
            *sections(3), feedback=tables(tmp_path / "a"), folder=tmp_path / "f", marker=tmp_path / "m.json"
        )
