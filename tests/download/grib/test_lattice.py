"""Points of GRIB messages, against the loop that the standard describes and cfgrib's own reading."""

from itertools import product

import cfgrib
import eccodes
import numpy as np
import pytest
from cfgrib.messages import Message

from hindsight.download.grib import lattice, messages
from hindsight.errors import UserError
from tests.download.grib import grib_files

FLAGS = ("iScansNegatively", "jScansPositively", "jPointsAreConsecutive", "alternativeRowScanning")
EVERYWHERE = (None, None, None, None)


def of(content: bytes, box=EVERYWHERE):
    message = Message(eccodes.codes_new_from_message(content))
    found = lattice.of_message(message, box, "a message")
    return found, found.arrange(messages.values(message, "a.grib", 0))


@pytest.mark.parametrize("edition, flags", [(e, f) for e in (1, 2) for f in product((0, 1), repeat=4) if f[3] < e])
def test_every_scanning_order_gives_the_same_field(edition, flags):
    values = grib_files.field(3)[:, :20]  # half the globe
    found, arranged = of(grib_files.message(values, edition=edition, scanning=dict(zip(FLAGS, flags)), west=20.0))
    assert np.abs(arranged - values[::-1]).max() < 50 * grib_files.PRECISION
    assert found.points.latitude == pytest.approx(grib_files.LATITUDE[::-1])
    assert found.points.longitude == pytest.approx(20 + np.arange(0, 200, 10.0))


BOXES = {  # south, north, west, east; columns of 0, 10, … 350
    (30, 60, 20, 50): np.arange(20, 51, 10),
    (30, 60, -20, 15): np.arange(-20, 11, 10),
    (30, 60, 350, 370): np.arange(350, 371, 10),
    (30, 60, 170, 190): np.arange(170, 191, 10),
    (30, 60, -180, 180): np.arange(-180, 171, 10),
    (30, 60, 0, 360): np.arange(0, 351, 10),
    (30, 60, None, None): np.arange(0, 351, 10),
}


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("west", [0.0, -180.0])
def test_a_box_is_cut_out_across_greenwich_and_the_date_line(box, west):
    values = grib_files.field(2)
    rolled = np.roll(values, 18 if west else 0, 1)
    found, arranged = of(grib_files.message(rolled, west=west), box)
    wanted = BOXES[box] if box[2] is not None or not west else np.arange(-180, 171, 10)
    assert list(found.points.longitude) == pytest.approx(list(wanted)) and found.points.latitude[[0, -1]].tolist() == [
        30,
        60,
    ]
    rows, columns = [6, 5, 4, 3], [int(round(lon % 360)) // 10 for lon in wanted]
    assert np.abs(arranged - values[np.ix_(rows, columns)]).max() < 50 * grib_files.PRECISION


def test_a_region_across_greenwich_stays_in_one_piece():
    values = grib_files.field(2)[5:9, :4]
    content = grib_files.message(values, west=350.0, south=10.0)
    found, arranged = of(content)
    assert list(found.points.longitude) == [-10, 0, 10, 20]
    assert np.abs(arranged - values[::-1]).max() < 50 * grib_files.PRECISION


def test_points_and_values_are_cfgribs(data):
    for path in sorted(data.glob("era5_*_grib/*.grib")):
        reference = cfgrib.open_datasets(str(path), indexpath="", squeeze=False)[0]
        offset, _, _, message = next(messages.walk(path))
        found = lattice.of_message(message, EVERYWHERE, "a message")
        assert np.abs(found.points.latitude[::-1] - reference["latitude"].values).max() < 1e-9
        assert np.abs(found.points.longitude - reference["longitude"].values).max() < 1e-9


@pytest.mark.parametrize(
    ("content", "box", "says"),
    [
        (grib_files.reduced_gaussian, EVERYWHERE, "its grid is reduced_gg, not regular .*cdo remapcon"),
        (lambda: grib_files.message(grib_files.field(1), gridType="regular_gg"), EVERYWHERE, "its grid is regular_gg"),
        (grib_files.spectral, EVERYWHERE, "its grid is sh, .*cdo sp2gpl"),
        (lambda: grib_files.message(grib_files.field(1)), (31, 39, 0, 90), "fewer than 2 points"),
    ],
)
def test_a_grid_that_will_not_do_is_refused_by_its_name(content, box, says):
    with pytest.raises(UserError, match=says):
        of(content(), box)
