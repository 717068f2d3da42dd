"""The report's tables; the whole page is made and looked at in tests/workflow."""

import numpy as np
import pandas as pd

from hindsight.verify import report


def test_ratios_say_how_much_better_and_whether_that_is_sure(scores):
    pick = {"analysis": "diffusion", "compared": "rmse"}
    for name, values in (("ratio", [0.9, 1.1]), ("ratio_lower", [0.85, 1.05]), ("ratio_upper", [0.95, 1.2])):
        scores[name].loc[pick | {"network": "dense"}] = values
    cells = report.ratios(scores.sel(network="dense"), ["z500", "msl"])[0]["values"]
    assert cells[0] == {"text": "-10.0 % (-15.0 to -5.0)", "tone": "good"}
    assert cells[1]["text"].startswith("+10.0 %") and cells[1]["tone"] == "bad"


def test_the_score_table_counts_stations_and_puts_the_best_first(scores):
    scores["score"].loc[{"metric": "crps", "analysis": "optimal_interpolation"}] = 0.01
    table = pd.DataFrame(
        {
            "station": ["a", "a", "b", "b"],
            "channel": ["z500", "msl"] * 2,
            "withheld": [False] * 2 + [True] * 2,
            "error": [50.0, 45.0] * 2,
        }
    )
    found = report.score_table(scores.sel(network="dense"), "dense", table, ["z500", "msl"])
    assert (found["stations"], found["withheld"]) == (1, 1) and "50 m2 s-2" in found["noise"]
    assert found["rows"][0]["name"] == "optimal interpolation"
    assert len(found["rows"][0]["values"]) == len(found["metrics"]) * 2
    assert np.isclose(float(found["rows"][0]["values"][2]), 0.01)
