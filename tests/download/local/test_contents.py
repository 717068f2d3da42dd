"""The contents of all files."""

import numpy as np
import pytest

from hindsight.download import dates
from hindsight.download.local import contents
from hindsight.errors import UserError
from hindsight.settings import Download
from tests.download.local.local_files import LATITUDE, TIMES, field, listed, saved, variable


def test_contents_are_read_as_they_were_written(tmp_path):
    files = saved(tmp_path, variable(field()), variable(field(1e5), "Pa", "msl", height=2.0))
    found, request = listed(files, "t2m")
    contents.run(request, files=files, contents=tmp_path / "c.json")
    assert contents.read(tmp_path / "c.json") == found
    assert len(found.grids) == 1 and found.grids[0]["latitude"] == LATITUDE.tolist()
    np.testing.assert_array_equal(dates.unpack(found.files[0].times), TIMES)
    assert found.files[1].variables["msl"].heights == [2.0] and found.files[0].variables["t2m"].heights is None


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path):
    for name in ("a.nc", "b.nc"):
        (tmp_path / name).write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="(?s)cannot read .*a.nc.*expected complete netCDF or Zarr.*cannot read .*b.nc"):
        listed([tmp_path / "a.nc", tmp_path / "b.nc"], "t2m")
    with pytest.raises(UserError, match="there is no .*c.nc"):
        contents.run(Download(), files=[tmp_path / "c.nc"], contents=tmp_path / "c.json")
