"""The bytes of files that are compressed, cut or damaged."""

import gzip
import io
import zipfile

import pytest

from hindsight.errors import UserError
from hindsight.observe.sources import content

TEXT = b"".join(b"line %d of many\n" % number for number in range(50_000))


def read(tmp_path, raw, read=content.read):
    (tmp_path / "x").write_bytes(raw)
    said = []
    return read(tmp_path / "x", said.append), said


def test_plain_gzipped_and_zipped_files_are_read_alike(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b", TEXT[700:])
        archive.writestr("a", TEXT[:700])
    members = gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:])
    for raw in (TEXT, gzip.compress(TEXT), members, packed.getvalue()):
        assert read(tmp_path, raw) == (TEXT, [])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_truncated_gzip_file_gives_what_lies_before_the_cut(tmp_path, share):
    raw = gzip.compress(TEXT)
    found, said = read(tmp_path, raw[: int(share * len(raw))])
    assert TEXT.startswith(found) and share / 2 < len(found) / len(TEXT) < 1
    assert len(said) == 1 and f"truncated: {len(found)} bytes" in said[0]
    lines, _ = read(tmp_path, raw[: int(share * len(raw))], content.lines)
    assert lines == TEXT.splitlines()[: len(lines)] and len(lines) >= found.count(b"\n")


def test_a_file_whose_checksum_is_wrong_is_refused_since_any_value_may_be(tmp_path):
    raw = bytearray(gzip.compress(TEXT, 0))
    raw[5000] ^= 1
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path, bytes(raw))


def test_an_empty_and_an_absent_file_are_refused_in_words(tmp_path):
    with pytest.raises(UserError, match="is empty"):
        read(tmp_path, b"")
    with pytest.raises(UserError, match="cannot be read .No such file"):
        content.read(tmp_path / "none", print)
