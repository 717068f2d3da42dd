"""The pictures: each drawn, none blank, and what they show is what was given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from hindsight.verify import figures
from hindsight.verify.excerpts import Series
from tests.verify.worlds import BOX, GLOBE

generator = np.random.default_rng(0)
TIMES = np.datetime64("2009-01-01", "ns") + np.arange(9) * np.timedelta64(1, "D")
SEEN = pd.DataFrame({"time": TIMES[:4], "channel": ["z500", "msl"] * 2, "value": 0.5, "error": 0.1})
PLACES = [Series(45.0, 5.0, kept, generator.random((9, 2)), generator.random((3, 9, 2)), SEEN) for kept in (0, 1)]
DRAW = {
    "bars": lambda s: figures.scores_by_region(s, "rmse"),
    "bars without seasons": lambda s: figures.scores_by_region(s.drop_dims("season"), "crps"),
    "distances": figures.distances,
    "ranks": figures.rank_histograms,
    "spectra": lambda s: figures.power_spectra(s, BOX),
    "series": lambda s: figures.time_series(TIMES, PLACES, ["z500", "msl"], "dense"),
    "seams": figures.seam_ratios,
    "learning": lambda s: figures.learning_curve(pd.DataFrame({"step": [0, 10], "sigma_0.1": [1.0, 0.9]})),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_drawn_and_is_not_blank(scores, name):
    figure = DRAW[name](scores)
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())
    assert image.shape[1] > 400 and image[..., :3].std() > 5
    plt.close(figure)


def test_regions_and_seasons_label_their_scores(scores):
    figure = figures.scores_by_region(scores, "rmse")
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["everywhere", "withheld observations", "DJF", "MAM"]
    pick = {"network": "dense", "channel": "z500", "metric": "rmse", "analysis": "diffusion"}
    ours = scores.sel(pick)
    expected = [*ours["regional_score"].values, *ours["seasonal_score"].values]
    assert axis.containers[0].lines[0].get_xdata().tolist() == expected
    plt.close(figure)


def test_errors_are_drawn_at_the_middle_of_distance_bins(scores):
    figure = figures.distances(scores)
    line = figure.axes[2].containers[0].lines[0]  # the second network, whose bins are 250 km wide
    np.testing.assert_allclose(line.get_xdata(), 125 + 250 * np.arange(8), atol=250 * 0.1)
    pick = {"network": "sparse", "channel": "z500", "analysis": "diffusion", "quantity": "rmse"}
    assert line.get_ydata().tolist() == scores["distance_score"].sel(pick).values.tolist()
    plt.close(figure)


@pytest.mark.parametrize(("grid", "name"), [(GLOBE, "zonal wavenumber"), (BOX, "waves in 33° of longitude")])
def test_labels_of_wavenumbers(scores, grid, name):
    figure = figures.power_spectra(scores, grid)
    assert figure.axes[0].get_xlabel() == name
    plt.close(figure)


def test_a_region_that_a_network_was_not_scored_in_has_no_line(scores):
    for key in ("score", "lower", "upper"):
        scores[f"regional_{key}"].loc[{"network": "dense", "region": "withheld observations"}] = np.nan
    figure = figures.scores_by_region(scores, "rmse")
    names = [[text.get_text() for text in figure.axes[k].get_yticklabels()] for k in (0, 2)]
    assert names == [["everywhere", "DJF", "MAM"], ["everywhere", "withheld observations", "DJF", "MAM"]]
    plt.close(figure)


@pytest.mark.parametrize("count", range(1, 9))
def test_marks_of_a_row_stay_between_those_of_its_neighbours(count):
    """The nearest rows are 1 apart, and a reference's mark lies 0.4 below."""
    shifts = np.array([shift for shift, _ in figures._shifts(["a"] * count)])
    assert np.abs(shifts).max() < 0.4 and shifts.sum() == pytest.approx(0)
    assert count == 1 or np.diff(shifts).min() == pytest.approx(min(0.26, 0.72 / (count - 1)))
