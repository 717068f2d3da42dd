"""Blocks of frames: sums of messages, each decoded once."""

import numpy as np
import pandas as pd
import pytest

from hindsight.download.grib import messages
from hindsight.download.grib.decode import Reader
from hindsight.errors import UserError
from hindsight.progress import Progress
from tests.download.grib import grib_files

EVERYWHERE = (None, None, None, None)
WITHIN = 60 * grib_files.PRECISION  # of fields that span 60


def reader(*paths, box=EVERYWHERE) -> Reader:
    """A reader of all messages of some files."""
    rows = [
        (str(path), offset, field, messages.checksum(message), message["md5GridSection"])
        for path in paths
        for offset, _, field, message in messages.walk(path)
    ]
    table = pd.DataFrame(rows, columns=["file", "offset", "field", "checksum", "md5GridSection"])
    return Reader(table, 0, box, Progress("test", len(rows)))


def test_a_frame_is_a_sum_of_messages_each_decoded_once_and_nan_where_there_is_none(tmp_path):
    content = [grib_files.message(grib_files.field(k), edition=1 + k % 2) for k in range(4)]
    paths = [grib_files.file(tmp_path / "b.grib", *content[:2]), grib_files.file(tmp_path / "a.grib", *content[2:])]
    read = reader(*paths)
    block = read.block([[(0, 1)], [], [(3, 1), (1, -1)], [(k, 1) for k in range(4)]], np.float64)
    fields = [grib_files.field(k)[::-1] for k in range(4)]
    for found, expected in zip(block[[0, 2, 3]], (fields[0], fields[3] - fields[1], sum(fields))):
        assert np.abs(found - expected).max() < 4 * WITHIN + 1e-4  # float32 of 1120
    assert np.isnan(block[1]).all() and block.dtype == np.float32 and read.decoded == 4


def test_files_from_the_north_and_from_the_south_are_one_grid(tmp_path):
    scannings = ({}, {"jScansPositively": 1}, {"iScansNegatively": 1, "jPointsAreConsecutive": 1})
    content = [grib_files.message(grib_files.field(1), scanning=scanning) for scanning in scannings]
    block = reader(grib_files.file(tmp_path / "a.grib", *content)).block([[(k, 1)] for k in range(3)], np.float32)
    assert np.abs(block - grib_files.field(1)[::-1]).max() < WITHIN + 2e-5


def test_two_grids_are_refused(tmp_path):
    small = grib_files.message(grib_files.field(1)[:, :18])
    read = reader(grib_files.file(tmp_path / "a.grib", grib_files.message(grib_files.field(1)), small))
    assert read.on_grid(0) and not read.on_grid(1)
    with pytest.raises(UserError, match="a.grib is on a grid of 19 x 18 .* on a grid of 19 x 36 .*so regrid some"):
        read.block([[(0, 1)], [(1, 1)]], np.float32)


def test_a_file_that_has_changed_since_is_refused(tmp_path):
    path = grib_files.file(tmp_path / "a.grib", grib_files.message(grib_files.field(1)))
    read = reader(path)
    grib_files.file(path, grib_files.message(grib_files.field(2)))
    with pytest.raises(UserError, match="at byte 0 of .*a.grib has changed since .*run snakemake again"):
        read.block([[(0, 1)]], np.float32)
    path.unlink()
    with pytest.raises(UserError, match="cannot read .*a.grib"):
        read.block([[(0, 1)]], np.float32)
