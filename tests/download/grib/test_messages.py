"""Messages of GRIB files: all of them, or a sentence that says where the file is damaged."""

import eccodes
import numpy as np
import pytest

from hindsight.download.grib import messages
from hindsight.errors import UserError
from tests.download.grib import grib_files


@pytest.fixture
def three():
    return [grib_files.message(grib_files.field(k), edition=1 + k % 2, level=500 + 100 * k) for k in range(3)]


def walked(path):
    return [(o, n, f, message["level"]) for o, n, f, message in messages.walk(path)]


def test_every_message_is_found_where_it_lies(three, tmp_path):
    path = grib_files.file(tmp_path / "a.grib", three[0], bytes(30), three[1], b"\r\r\n042\r\r\nHTXA50 ECMF", three[2])
    starts = [0, len(three[0]) + 30, path.stat().st_size - len(three[2])]
    assert walked(path) == [(o, len(m), 0, 500 + 100 * k) for k, (o, m) in enumerate(zip(starts, three))]


def test_fields_of_one_message_are_told_apart_and_taken_one_by_one(tmp_path):
    parts = [grib_files.message(grib_files.field(k), edition=2, level=500 + 100 * k) for k in range(3)]
    one = grib_files.several_fields(*parts)
    path = grib_files.file(tmp_path / "a.grib", one, parts[0])
    assert [(o, n, f) for o, n, f, _ in walked(path)] == [(0, len(one), k) for k in range(3)] + [
        (len(one), len(parts[0]), 0)
    ]
    with messages.open_file(path) as file:
        for k in (2, 0, 1):
            message = messages.read_message(file, path, 0, k)
            assert message["level"] == 500 + 100 * k
            assert messages.values(message, path, 0) == pytest.approx(grib_files.field(k).ravel(), abs=1e-4)


def test_only_missing_values_are_nan(tmp_path):
    values = grib_files.field(1)
    values[3, 5:9] = np.nan
    for edition in (1, 2):
        path = grib_files.file(tmp_path / "a.grib", grib_files.message(values, edition=edition))
        found = messages.values(next(messages.walk(path))[3], path, 0).reshape(values.shape)
        assert np.array_equal(np.isnan(found), np.isnan(values))


DAMAGE = {
    "cut in a message": lambda a, b, c: (a + b + c[:-200], len(a + b)),
    "cut in its first bytes": lambda a, b, c: (a + b + c[:3], len(a + b)),
    "a beginning that is no more one": lambda a, b, c: (a + b"XXXX" + b[4:] + c, len(a)),
    "an end that is no more one": lambda a, b, c: (a + b[:-4] + b"1234" + c, len(a)),
    "a length that is wrong": lambda a, b, c: (a + b[:15] + bytes([b[15] ^ 64]) + b[16:] + c, len(a)),
    "something else after the last": lambda a, b, c: (a + b + c + b"<html>" * 50, len(a + b + c)),
    "no message at all": lambda a, b, c: (b"nobody knows what this is", 0),
    "nothing": lambda a, b, c: (b"", 0),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_at_the_byte_where_it_is_damaged(three, tmp_path, damage):
    content, offset = DAMAGE[damage](*three)
    path = grib_files.file(tmp_path / "a.grib", content)
    with pytest.raises(UserError, match=rf"a.grib is cut short or damaged at byte {offset} .*fetch the file again"):
        walked(path)


def test_values_that_cannot_be_decoded_are_refused(three, tmp_path):
    handle = eccodes.codes_new_from_message(three[0])
    bits = len(three[0]) - 4 - eccodes.codes_get(handle, "section4Length") + 10  # octet 11: bits a value
    spoilt = three[0][:bits] + bytes([200]) + three[0][bits + 1 :]
    path = grib_files.file(tmp_path / "a.grib", spoilt)
    with pytest.raises(UserError, match="a.grib is cut short or damaged at byte 0"):
        messages.values(next(messages.walk(path))[3], path, 0)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read .*none.grib"):
        messages.open_file(tmp_path / "none.grib")
