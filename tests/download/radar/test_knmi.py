"""Composites of KNMI: what was written comes back; real files have the corners that they state."""

import netCDF4
import numpy as np
import pytest
from pyproj import Transformer

from hindsight.download.radar import knmi
from hindsight.download.radar.composite import Damaged
from hindsight.fields.plane import reference_system
from tests.download.radar import radar_files
from tests.download.radar.radar_files import COLUMNS, ROWS

PIXELS = np.random.default_rng(3).integers(0, 300, (ROWS, COLUMNS))
PIXELS[0, 0], PIXELS[1, 1] = 65535, 0


def test_amounts_become_rates_over_their_period(tmp_path):
    path = radar_files.knmi(tmp_path / "a.h5", PIXELS, minutes=5)
    expected = np.where(PIXELS == 65535, np.nan, PIXELS * 0.01 * 12)
    np.testing.assert_allclose(knmi.values(path), expected, rtol=1e-6)
    hourly = radar_files.knmi(tmp_path / "b.h5", PIXELS, minutes=60)
    np.testing.assert_allclose(knmi.values(hourly), expected / 12, rtol=1e-6)


def test_reflectivities_and_where_nothing_was_detected(tmp_path):
    pixels = np.minimum(PIXELS, 255)
    path = radar_files.knmi(
        tmp_path / "a.h5", pixels, parameter="REFLECTIVITY_[DBZ]", formula="GEO=0.500000*PV+-32.000000", out=255
    )
    expected = np.where(pixels == 255, np.nan, np.where(pixels == 0, -np.inf, pixels / 2 - 32))
    np.testing.assert_allclose(knmi.values(path), expected)
    assert knmi.describe(path).layout.quantity == "dBZ"


def test_time_and_layout(tmp_path):
    found = knmi.describe(radar_files.knmi(tmp_path / "a.h5", PIXELS, "2010-12-31T23:55"))
    assert found.time == np.datetime64("2010-12-31T23:55")
    layout = found.layout
    assert (layout.rows, layout.columns, layout.west, layout.north) == (ROWS, COLUMNS, 100, -3650)
    assert (layout.width, layout.height, layout.quantity) == (1, 1, "mm h-1")
    assert "+a=6378137 +b=6356752 " in layout.projection


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"parameter": "ECHOTOP"}, "shows ECHOTOP, and rain is made of"),
        ({"formula": "GEO=exp(PV)"}, "not a factor times the pixel"),
        ({"dimension": "DEG,DEG"}, "points are in DEG,DEG"),
        ({"minutes": 0}, "which is no period"),
    ],
)
def test_a_file_that_is_no_rain_is_damaged(tmp_path, change, says):
    path = radar_files.knmi(tmp_path / "a.h5", PIXELS, **change)
    with pytest.raises(Damaged, match=says):
        knmi.describe(path)
        knmi.values(path)


def test_real_composites_have_the_corners_that_they_state(data):
    path = sorted((data / "radar_knmi_20100826").iterdir())[0]
    layout = knmi.describe(path).layout
    with netCDF4.Dataset(path) as file:
        corners = file["geographic"].geo_product_corners.reshape(4, 2)  # south-west, then clockwise
    crs = reference_system(layout.projection)
    x, y = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True).transform(*corners.T)
    east, south = layout.west + layout.columns * layout.width, layout.north - layout.rows * layout.height
    stated = [[layout.west, layout.west, east, east], [south, layout.north, layout.north, south]]
    np.testing.assert_allclose(np.array([x, y]) / 1000, stated, atol=0.06)  # corners are given to 0.001 degrees
