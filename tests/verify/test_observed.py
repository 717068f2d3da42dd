"""Pictures of departures: what is drawn is what the tables say; the worst station is the one that was spoilt."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from hindsight.fields import observations
from hindsight.verify import observed, style
from tests.verify import worlds


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    """Departures of a world in which one station reports 400 too much."""
    folder = tmp_path_factory.mktemp("world")
    world = worlds.make(folder, worlds.BOX, channels=("msl",))
    for path in world["observations"]:
        table = observations.read([path])
        table.loc[table["station"] == "s5", "value"] += 1000
        observations.write(table, path)
    found = worlds.summarised(folder, world)
    return {name: pd.read_csv(path) for name, path in found.items()}


def test_bars_are_the_numbers_of_rows_and_curves_their_rmse(summary):
    figure = observed.over_time(summary["monthly"], "sparse", "truth")
    above, below = figure.axes
    monthly = summary["monthly"]
    of = monthly[(monthly["platform"] == "all") & (monthly["analysis"] == "diffusion")]
    used = of[of["use"] == "used"]["rows"].tolist()
    colours = [to_hex(bar.get_facecolor()) for bar in above.patches]
    assert [bar.get_height() for bar in above.patches if to_hex(bar.get_facecolor()) == colours[0]] == used
    assert sum(bar.get_height() for bar in above.patches) == of["rows"].sum()
    curves = {line.get_label(): line.get_ydata() for line in below.lines}
    np.testing.assert_allclose(curves["diffusion, withheld"], of[of["use"] == "withheld"]["rmse"])
    assert set(curves) == {"truth, withheld"} | {
        f"{name}, {use}" for name in ("diffusion", "optimal interpolation") for use in ("used", "withheld")
    }
    assert below.get_ylabel() == "msl (Pa)"
    style.plt.close(figure)


def test_every_station_is_on_the_map_in_the_colour_of_its_rmse(summary):
    figure = observed.station_map(summary["stations"], "sparse", worlds.BOX, [])
    marks = [collection for collection in figure.axes[0].collections if len(collection.get_offsets()) in (3, 9)]
    of = summary["stations"].query("analysis == 'diffusion'")
    drawn = np.concatenate([np.asarray(collection.get_array()) for collection in marks])
    np.testing.assert_allclose(np.sort(drawn), np.sort(of["rmse"]))
    style.plt.close(figure)


def test_the_worst_station_is_the_one_that_departs_most_for_what_is_expected(summary):
    found = observed.worst(summary["stations"], count=3)
    assert len(found["rows"]) == 3 and found["rows"][0][0] == "s5" and len(found["rows"][0]) == len(found["head"])
    assert float(found["rows"][0][-1]) > 2 > float(found["rows"][1][-1])
