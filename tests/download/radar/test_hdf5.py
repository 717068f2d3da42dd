"""Attributes of HDF5 files, and files that are none."""

import netCDF4
import numpy as np
import pytest

from hindsight.download.radar import hdf5
from hindsight.download.radar.composite import Damaged


def test_attributes_are_read_as_text_and_numbers(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.h5", "w") as file:
        file.createGroup("what").setncatts({"text": "COMP\x00", "number": np.float32([2.5]), "whole": np.int64(7)})
    with hdf5.opened(tmp_path / "a.h5") as file:
        what = file["what"]
        assert hdf5.text(what, "text") == "COMP"
        assert [hdf5.number(what, name) for name in ("number", "whole")] == [2.5, 7.0]
    for lacking in ("nothing", "what/nothing"):
        with pytest.raises(Damaged, match="nothing"), hdf5.opened(tmp_path / "a.h5") as file:
            file[lacking]
    with pytest.raises(Damaged, match="nothing"), hdf5.opened(tmp_path / "a.h5") as file:
        hdf5.text(file["what"], "nothing")


def test_a_file_that_is_cut_short_is_damaged(tmp_path):
    (tmp_path / "a.h5").write_bytes(hdf5.SIGNATURE + b"\x00" * 100)
    with pytest.raises(Damaged), hdf5.opened(tmp_path / "a.h5"):
        pass
