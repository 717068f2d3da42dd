"""Composites of FMI: what was written comes back; real files have the size that they state."""

import numpy as np
import pytest
from pyproj import Transformer

from hindsight.download.radar import fmi
from hindsight.download.radar.composite import Damaged
from hindsight.fields.plane import reference_system
from tests.download.radar import radar_files

PIXELS = np.random.default_rng(5).integers(0, 256, (12, 10))
PIXELS[0, :2] = 255, 0


@pytest.mark.parametrize("pack", [True, False])
def test_what_was_written_comes_back(tmp_path, pack):
    path = radar_files.fmi(tmp_path / "a.pgm", PIXELS, pack=pack)
    expected = np.where(PIXELS == 255, np.nan, np.where(PIXELS == 0, -np.inf, PIXELS / 2 - 32))
    np.testing.assert_array_equal(fmi.values(path), expected.astype("f4"))
    found = fmi.describe(path)
    assert found.time == np.datetime64("2016-09-28T14:45") and (found.layout.rows, found.layout.columns) == (12, 10)
    assert found.layout.quantity == "dBZ" and "FIN" in found.layout.product


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"param": "VIL"}, "it shows VIL"),
        ({"param": None}, "an unnamed quantity"),
        ({"obstime": "yesterday"}, "its time is 'yesterday'"),
        ({"type": "mercator"}, "its projection is mercator"),
        ({"truelatitude": None}, "lacks a number"),
        ({"metersperpixel_x": "500"}, "by its header, and .* by its corners"),
    ],
)
def test_a_file_that_is_no_rain_is_damaged(tmp_path, change, says):
    with pytest.raises(Damaged, match=says):
        fmi.describe(radar_files.fmi(tmp_path / "a.pgm.gz", PIXELS, **change))


def test_a_file_that_is_cut_short_is_damaged(tmp_path):
    packed, plain = (radar_files.fmi(tmp_path / f"{pack}", PIXELS, pack=pack) for pack in (True, False))
    for path in (packed, plain):
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(Damaged, match="cannot be unpacked|bytes of pixels"):
            fmi.values(path)
    packed.write_bytes(b"P6 1 1 255 ")
    with pytest.raises(Damaged, match="not that of a binary PGM"):
        fmi.describe(packed)


def test_real_composites_are_where_their_corners_are(data):
    path = sorted((data / "radar_fmi_20160928").iterdir())[0]
    layout, values = fmi.describe(path).layout, fmi.values(path)
    crs = reference_system(layout.projection)
    x, y = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True).transform([18.6, 34.903], [57.93, 69.005])
    np.testing.assert_allclose([layout.west, layout.west + 760 * layout.width], np.array(x) / 1000, atol=1e-6)
    np.testing.assert_allclose([layout.north - 1226 * layout.height, layout.north], np.array(y) / 1000, atol=1e-6)
    assert values.shape == (1226, 760) and np.isnan(values).sum() == 226844
