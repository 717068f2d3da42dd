"""The pictures: each drawn, none blank, and what they show is what was given."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from hindsight.fields.grid import Grid
from hindsight.verify import figures

GRID = Grid(np.linspace(40, 55, 4), np.linspace(-10, 10, 6))
COAST = [np.array([[-5.0, 41], [0, 47], [5, 54]])]
STATIONS = pd.DataFrame({"latitude": [45.0, 50], "longitude": [0.0, 5], "withheld": [False, True]})
generator = np.random.default_rng(0)
DRAW = {
    "maps": lambda s: figures.analysis_maps(
        generator.random((2, 4, 6)), generator.random((3, 2, 4, 6)), ["z500", "msl"], GRID, STATIONS, COAST
    ),
    "bars": lambda s: figures.skill_bars(s, "rmse"),
    "ranks": figures.rank_histograms,
    "errors": lambda s: figures.error_maps(s, GRID, COAST, "dense"),
    "spectra": lambda s: figures.power_spectra(s, "dense"),
    "series": lambda s: figures.time_series(
        np.arange(9), generator.random((9, 2)), generator.random((3, 9, 2)), ["z500", "msl"], "here"
    ),
    "learning": lambda s: figures.learning_curve(pd.DataFrame({"step": [0, 10], "sigma_0.1": [1.0, 0.9]})),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_drawn_and_is_not_blank(scores, name):
    uri = figures.embedded(DRAW[name](scores))
    image = plt.imread(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert image.shape[1] > 400 and image[..., :3].std() > 0.02


def test_an_error_map_is_signed_and_centred_and_only_used_stations_are_dots():
    truth = np.zeros((1, 4, 6))
    members = np.stack([np.full((1, 4, 6), 2.0), np.full((1, 4, 6), 4.0)])
    figure = figures.analysis_maps(truth, members, ["z500"], GRID, STATIONS, [])
    axes = figure.axes[:4]
    error = axes[2].collections[0]
    np.testing.assert_allclose(error.get_array(), 3.0)
    assert error.get_clim() == (-3.0, 3.0)
    np.testing.assert_allclose(axes[3].collections[0].get_array(), np.sqrt(2.0))
    assert axes[1].lines[0].get_xdata().tolist() == [0.0]
    plt.close(figure)


@pytest.mark.parametrize(("value", "text"), [(-20.0, "20°W"), (350.0, "10°W"), (14.5, "14.5°E")])
def test_longitudes_are_written_as_people_do(value, text):
    assert figures.east(value) == text
    assert figures.north(-30) == "30°S"
