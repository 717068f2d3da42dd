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


def test_units_are_those_of_the_quantity():
    named = {"msl": "msl (Pa)", "sp": "sp (Pa)", "t 500 hPa": "t 500 hPa (K)", "u 850 hPa": "u 850 hPa (m s⁻¹)"}
    assert {name: observed.label_of(name) for name in named} == named


def test_the_worst_station_is_the_one_that_departs_most_for_what_is_expected(summary):
    chosen = observed.worst(summary["stations"], count=3)
    table = observed.worst_table(chosen)
    assert len(table["rows"]) == 3 and table["rows"][0][0] == "s5" and len(table["rows"][0]) == len(table["head"])
    assert float(table["rows"][0][-1]) > 2 > float(table["rows"][1][-1])


def test_series_of_the_worst_are_drawn_beside_what_is_expected(summary):
    chosen = observed.worst(summary["stations"], count=3)
    figure = observed.worst_series(chosen, summary["series"])
    assert [axis.get_title(loc="left") for axis in figure.axes][0] == f"s5, sparse, {chosen['use'].iloc[0]}"
    mine = summary["series"].query("station == 's5'")
    curves = [line.get_ydata() for line in figure.axes[0].lines]
    np.testing.assert_allclose(curves[1], mine["bias"])
    np.testing.assert_allclose(curves[2], mine["rmse"])
    assert figure.axes[0].get_ylabel() == "msl (Pa)" and len(figure.axes) == 3
    style.plt.close(figure)


def test_uses_have_colours_of_their_own():
    found = observed.colours_of(list(observed.CODES)[:8], {"used": "#000000"})
    assert found["used"] == "#000000" and len(set(found.values())) == 7  # six others, in turn
