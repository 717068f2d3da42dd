"""Pictures of a line: what is drawn is what was given, where it is."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num

from hindsight.fields.grid import Grid
from hindsight.verify import lines, style
from tests.verify.worlds import RING

generator = np.random.default_rng(0)
TIMES = np.datetime64("2001-01-01", "ns") + np.arange(9) * np.timedelta64(6, "h")
USED = pd.DataFrame({"latitude": [0.0, 0.0], "longitude": [-9.0, 90.0]})
MERIDIAN = Grid(np.linspace(-60, 60, 7), np.array([10.0]))


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    style.plt.close("all")


def test_the_line_is_the_side_with_more_than_a_point():
    ring, meridian = lines.Line.of(RING), lines.Line.of(MERIDIAN)
    assert (ring.name, meridian.name) == ("longitude", "latitude")
    assert len(ring.places) == 40 and np.allclose(ring.edges[[0, -1]], [-4.5, 355.5])
    assert np.allclose(meridian.edges[[0, -1]], [-70, 70])


def test_time_runs_downwards_and_every_value_is_in_its_place():
    truth, members = generator.random((9, 2, 1, 40)), generator.random((5, 9, 2, 1, 40))
    figure = lines.hovmoller(truth, members, TIMES, ["z500", "x"], RING, USED, "half")
    axes = [axis for axis in figure.axes if axis.get_title(loc="left")]
    assert [a.get_title(loc="left") for a in axes[4:]] == [
        "half: truth", "half: analysis, mean", "half: analysis − truth", "half: spread"
    ]  # fmt: skip
    mean = members[:, :, 1, 0].mean(0)
    expected = [truth[:, 1, 0], mean, mean - truth[:, 1, 0], members[:, :, 1, 0].std(0, ddof=1)]
    for axis, values in zip(axes[4:], expected):
        np.testing.assert_allclose(axis.collections[0].get_array(), values)
        last, first = axis.get_ylim()
        assert first < last and np.isclose(first, date2num(TIMES[0]) - 0.125)
        assert np.isclose(last, date2num(TIMES[-1]) + 0.125)
    assert not axes[4].lines and axes[5].lines[0].get_xdata().tolist() == [351.0, 90.0]


@pytest.mark.parametrize("grid", [RING, MERIDIAN])
def test_errors_are_drawn_at_their_points(scores, grid):
    shape = (*[scores.sizes[d] for d in ("network", "analysis", "channel")], *grid.shape)
    scores = scores.drop_dims(["latitude", "longitude"]).assign(
        {
            name: (("network", "analysis", "channel", "latitude", "longitude"), generator.random(shape))
            for name in ("rmse_map", "spread_map")
        }
    )
    figure = lines.errors(scores, grid, {"dense": USED, "sparse": USED})
    axis = figure.axes[2]
    assert axis.get_title(loc="left") == "sparse, z500"
    one = scores.sel(network="sparse", channel="z500", analysis="diffusion")
    places = grid.longitude if grid is RING else grid.latitude
    for line, name in zip(axis.lines, ("rmse_map", "spread_map")):
        np.testing.assert_allclose(line.get_xdata(), places)
        np.testing.assert_allclose(line.get_ydata(), one[name].values.ravel())
    assert len(axis.lines) == 2 * 2 + 1 and axis.get_xlabel() == ("longitude" if grid is RING else "latitude")


def test_format_of_degrees():
    _, axis = style.plt.subplots()
    lines.Line.of(RING).label(axis)
    axis.figure.canvas.draw()
    words = [text.get_text() for text in axis.get_xticklabels()]
    assert "90°E" in words and "90°W" in words and axis.get_xlim() == (-4.5, 355.5)
