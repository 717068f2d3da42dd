"""Maps: where things are drawn, and what is drawn there."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.contour import ContourSet

from hindsight.fields.grid import Grid
from hindsight.fields.plane import DEGREE
from hindsight.verify import maps
from tests.verify.worlds import BOX, GLOBE

COAST = [np.array([[-5.0, 41], [0, 47], [5, 54]])]
USED = pd.DataFrame({"latitude": [45.0, 50], "longitude": [0.0, 355.0]})
generator = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_a_globe_fills_the_map_from_180_west_to_180_east():
    figure, axis = plt.subplots()
    maps.world_map(axis, generator.random(GLOBE.shape), GLOBE, [])
    axis.axis("off")
    assert axis.get_xlim() == (-180, 180) and axis.get_ylim() == (-90, 90) and axis.get_aspect() == 1
    figure.canvas.draw()
    box = axis.get_window_extent()
    image = np.asarray(figure.canvas.buffer_rgba())[::-1]
    inside = image[int(box.y0) + 2 : int(box.y1) - 2, int(box.x0) + 2 : int(box.x1) - 2, :3]
    assert not (inside == 255).all(-1).any()  # no white column at the seam


def test_a_box_shows_whole_cells_in_their_true_shape():
    _, axis = plt.subplots()
    maps.world_map(axis, generator.random(BOX.shape), BOX, COAST)
    assert axis.get_xlim() == (-21.5, 11.5) and axis.get_ylim() == (38.5, 56.5)
    assert np.isclose(axis.get_aspect(), 1 / np.cos(np.deg2rad(47.5)))


def test_longitudes_of_stations_and_coasts_are_wrapped_to_the_map():
    beyond = Grid(BOX.latitude, np.arange(160.0, 221, 5))
    line = [np.array([[-170.0, 45], [-165, 46]])]
    _, axis = plt.subplots()
    maps.world_map(axis, np.zeros(beyond.shape), beyond, line)
    stations = pd.DataFrame({"latitude": [45.0] * 3, "longitude": [-170.0, 190.0, 170.0]})
    maps.stations_on(axis, stations)
    assert axis.lines[0].get_xdata().tolist() == [190.0, 195.0]
    assert axis.lines[1].get_xdata().tolist() == [190.0, 190.0, 170.0]
    maps.world_map(axis, np.zeros(GLOBE.shape), GLOBE, [])
    maps.stations_on(axis, pd.DataFrame({"latitude": [0.0, 0], "longitude": [350.0, -10.0]}))
    assert axis.lines[-1].get_xdata().tolist() == [-10.0, -10.0]


def test_the_part_of_a_globe_around_a_storm_may_cross_the_date_line():
    grid, rows, columns = maps.crop_near(GLOBE, 45.0, 178.0)
    field = np.cos(np.deg2rad(GLOBE.longitude)) * GLOBE.latitude[:, None]
    np.testing.assert_allclose(
        field[np.ix_(rows, columns)], np.cos(np.deg2rad(grid.longitude)) * grid.latitude[:, None], atol=1e-9
    )
    assert np.allclose(np.diff(grid.longitude), 5.625) and grid.longitude[0] < 178 < grid.longitude[-1]
    assert np.ptp(grid.longitude) > 80 and np.ptp(grid.latitude) > 50
    assert maps.crop_near(BOX, 45.0, 0.0)[0] is BOX


def test_an_error_is_signed_and_centred_and_stations_are_on_the_analysis():
    truth = np.zeros((1, *BOX.shape))
    members = np.stack([np.full_like(truth, 2.0), np.full_like(truth, 4.0)])
    figure = maps.channel_maps(truth, members, ["z500"], BOX, USED, [])
    axes = figure.axes[:4]
    error = axes[2].collections[0]
    np.testing.assert_allclose(error.get_array(), 3.0)
    assert error.get_clim() == (-3.0, 3.0)
    np.testing.assert_allclose(axes[3].collections[0].get_array(), np.sqrt(2.0))
    assert axes[1].lines[0].get_xdata().tolist() == [0.0, -5.0]


def test_a_strip_has_a_column_a_frame_and_a_row_a_kind():
    times = np.datetime64("2009-01-01T12", "ns") + np.arange(3) * np.timedelta64(12, "h")
    truth, members = generator.random((3, *BOX.shape)), generator.random((4, 3, *BOX.shape))
    figure = maps.frame_strip(truth, members, times, "msl", BOX, USED, COAST)
    titles = [axis.get_title(loc="left") for axis in figure.axes[:3]]
    assert titles == ["2009-01-01 12 UTC", "2009-01-02 00 UTC", "2009-01-02 12 UTC"]
    shown = [axis.collections[0].get_array() for axis in figure.axes[:12]]
    expected = [*truth, *members.mean(0), *(members.mean(0) - truth), *members.std(0, ddof=1)]
    np.testing.assert_allclose(shown, expected)


def test_error_maps_share_their_colours_by_channel(scores):
    grid = Grid(np.linspace(40, 55, 4), np.linspace(-10, 10, 6))
    figure = maps.error_maps(scores.sel(network="dense", analysis="diffusion"), grid, USED, COAST)
    maps_only = [axis for axis in figure.axes if axis.get_title(loc="left")]
    limits = [axis.collections[0].get_clim() for axis in maps_only]
    assert limits[0] == limits[2] and limits[1] == limits[3] and limits[0] != limits[1]


def test_points_that_are_not_covered_are_left_blank():
    covered = np.ones(BOX.shape, bool)
    covered[1, 2] = covered[4] = False
    _, axis = plt.subplots()
    mesh = maps.world_map(axis, generator.random(BOX.shape), Grid(BOX.latitude, BOX.longitude, covered), [])
    np.testing.assert_array_equal(np.ma.getmaskarray(mesh.get_array()).reshape(BOX.shape), ~covered)


def test_a_plane_is_labelled_by_distances_from_its_centre():
    axis = plt.subplots()[1]
    side = (np.arange(64) - 31.5) * 2 / DEGREE  # 128 km
    maps.world_map(axis, generator.random((64, 64)), Grid(side, side, is_plane=True), [])
    axis.figure.canvas.draw()
    for one in (axis.xaxis, axis.yaxis):
        labels = [text.get_text().removesuffix(" km") for text in one.get_ticklabels()]
        assert "0" in labels and len(labels) >= 3
        np.testing.assert_allclose([float(label) for label in labels], one.get_ticklocs() * DEGREE, atol=1e-6)


def test_colours_of_rain_are_those_of_a_power_and_show_a_shower_beside_a_storm():
    """A tenth of the largest value has two fifths of the colours, not a tenth; maps of rain have no isolines."""
    truth = np.zeros((1, *BOX.shape))
    truth[0, 2, 2], truth[0, 3, 3] = 100.0, 10.0
    members = np.stack([truth, truth])
    _, _, _, limits = maps.comparison(truth, members, amount=True)[0]
    np.testing.assert_allclose(limits["norm"](np.array([0.0, 10.0, 100.0])), [0, 0.1**0.4, 1])
    assert maps.comparison(truth, members)[0][3] == {"vmin": 0, "vmax": 100}
    for channel, lines in (("rain", False), ("msl", True)):
        figure = maps.frame_strip(truth, members, np.array(["2009-01-01"], "M8[ns]"), channel, BOX, USED, [])
        assert any(isinstance(part, ContourSet) for part in figure.axes[0].get_children()) == lines
