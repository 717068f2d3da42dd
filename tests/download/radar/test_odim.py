"""Composites of ODIM: what was written comes back."""

import numpy as np
import pytest
from pyproj import Transformer

from hindsight.download.radar import odim
from hindsight.download.radar.composite import Damaged
from hindsight.fields.plane import reference_system
from tests.download.radar import radar_files
from tests.download.radar.radar_files import COLUMNS, PROJECTION, ROWS

PIXELS = np.random.default_rng(4).integers(0, 256, (ROWS, COLUMNS))
PIXELS[0, :2] = 255, 0


@pytest.mark.parametrize(
    ("quantity", "gain", "offset", "factor", "dry"),
    [
        ("DBZH", 0.5, -32.0, 1, -np.inf),
        ("TH", 0.5, -32.0, 1, -np.inf),
        ("RATE", 0.2, 0.0, 1, 0),
        ("ACRR", 0.1, 0, 4, 0),
    ],
)
def test_what_was_written_comes_back(tmp_path, quantity, gain, offset, factor, dry):
    """An amount over 15 minutes is a rate of four times as much."""
    path = radar_files.odim(tmp_path / "a.h5", PIXELS, quantity=quantity, gain=gain, offset=offset, minutes=15)
    expected = np.where(PIXELS == 255, np.nan, np.where(PIXELS == 0, dry, factor * (gain * PIXELS + offset)))
    np.testing.assert_allclose(odim.values(path), expected, rtol=1e-6, atol=1e-5)


def test_time_and_layout(tmp_path):
    found = odim.describe(radar_files.odim(tmp_path / "a.h5", PIXELS, "2010-08-26T23:55"))
    assert found.time == np.datetime64("2010-08-26T23:55")
    layout, crs = found.layout, reference_system(PROJECTION)
    x, y = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True).transform(0.0, 55.0)
    assert (layout.rows, layout.columns, layout.width, layout.height) == (ROWS, COLUMNS, 1, 1)
    assert layout.west == pytest.approx(x / 1000) and layout.north == pytest.approx(y / 1000 + ROWS)


@pytest.mark.parametrize(
    ("quantity", "end", "nominal", "time"),
    [
        ("ACRR", "2010-08-26T00:05", "2010-08-25T23:50", "2010-08-26T00:05"),  # the start of the period
        ("ACRR", "2010-08-26T00:05", "2010-08-26T00:15", "2010-08-26T00:05"),
        ("ACRR", "2010-08-26T00:04:59", "2010-08-26T00:05", "2010-08-26T00:05"),
        ("RATE", "2010-08-26T00:07:31", "2010-08-26T00:05", "2010-08-26T00:05"),  # the last scan
    ],
)
def test_the_time_of_an_amount_is_the_end_of_its_period_and_that_of_a_rate_is_nominal(
    tmp_path, quantity, end, nominal, time
):
    path = radar_files.odim(tmp_path / "a.h5", PIXELS, end, quantity=quantity, nominal=nominal, minutes=15)
    assert odim.describe(path).time == np.datetime64(time)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"object": "PVOL"}, "an ODIM object PVOL, and not a composite"),
        ({"quantity": "VRAD"}, "it holds VRAD, and rain is made of"),
    ],
)
def test_a_file_that_is_no_rain_is_damaged(tmp_path, change, says):
    with pytest.raises(Damaged, match=says):
        odim.describe(radar_files.odim(tmp_path / "a.h5", PIXELS, **change))


@pytest.mark.parametrize("read", [odim.describe, odim.values])
def test_an_amount_of_no_period_is_damaged(tmp_path, read):
    with pytest.raises(Damaged, match="no period"):
        read(radar_files.odim(tmp_path / "a.h5", PIXELS, quantity="ACRR", minutes=0))
