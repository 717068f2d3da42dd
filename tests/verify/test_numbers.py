"""The report's tables of scores."""

import numpy as np
import pytest
import xarray as xr

from hindsight.verify import numbers


def test_ratios_are_percent_changes_marked_if_significant(scores):
    pick = {"analysis": "diffusion", "compared": "rmse", "network": "dense"}
    for end, values in (("", [0.9, 1.1]), ("_lower", [0.85, 1.05]), ("_upper", [0.95, 1.2])):
        scores[f"ratio{end}"].loc[pick] = values
        scores[f"seasonal_ratio{end}"].loc[pick | {"season": "MAM", "channel": "msl"}] = 1 + 0.1 * (end == "_upper")
    rmse = numbers.ratios(scores)[0]
    assert rmse["name"] == "RMSE" and [row["name"] for row in rmse["rows"]] == ["whole period", "DJF", "MAM"]
    assert rmse["rows"][0]["values"][0] == {"text": "−10.0 %", "range": "−15.0 to −5.0", "tone": "good"}
    assert rmse["rows"][0]["values"][1] == {"text": "+10.0 %", "range": "+5.0 to +20.0", "tone": "bad"}
    assert rmse["rows"][2]["values"][1]["tone"] == ""
    assert numbers.ratios(scores.drop_vars("ratio")) == []


def test_the_headline_is_the_crps_of_the_table_with_its_interval(scores):
    pick = {"analysis": "diffusion", "compared": "crps", "channel": "msl"}
    for end, values in (("", [0.9, 1.1]), ("_lower", [0.85, 1.05]), ("_upper", [0.95, np.nan])):
        scores[f"ratio{end}"].loc[pick] = values
    scores.attrs["confidence"] = 0.9
    dense, sparse = numbers.headline(scores, "msl")
    assert (dense["text"], dense["tone"], sparse["text"]) == ("−10.0 %", "good", "+10.0 %")
    interval = "90 % interval −15.0 to −5.0 %"
    assert (
        dense["label"]
        == f"CRPS of msl relative to optimal interpolation (negative is better), network dense; {interval}"
    )
    assert sparse["label"].endswith("network sparse; no interval")


def test_a_reference_stands_last_beside_the_analyses_at_withheld_observations(scores):
    assert numbers.scores_at_withheld(scores) == []
    shape = ("network", "withheld_metric", "channel"), np.arange(12.0).reshape(2, 3, 2)
    for end, more in (("score", 100), ("lower", 90), ("upper", 110)):
        scores[f"reference_{end}"] = shape[0], shape[1] + more
    scores = scores.assign_coords(withheld_metric=["rmse", "bias", "crps"])
    scores.attrs |= {"against": "reference", "compared_with": "ERA-Interim"}
    groups = numbers.scores_at_withheld(scores)
    assert [group["name"] for group in groups] == ["RMSE", "bias", "CRPS"]
    last = groups[2]["rows"][-1]
    assert last["name"] == "ERA-Interim" and [v["text"] for v in last["values"]] == ["104", "105", "110", "111"]
    pick = {"region": "withheld observations", "network": "dense", "channel": "z500", "metric": "bias"}
    first = scores["regional_score"].sel(pick | {"analysis": groups[1]["rows"][0]["name"].replace(" ", "_")})
    assert float(groups[1]["rows"][0]["values"][0]["text"].replace("−", "-")) == pytest.approx(float(first), abs=0.06)


def test_without_a_baseline_the_headline_is_the_crps_itself(scores):
    pick = {"analysis": "diffusion", "metric": "crps", "channel": "msl", "network": "dense"}
    for name, value in (("score", 12.345), ("lower", 11.0), ("upper", 13.5)):
        scores[name].loc[pick] = value
    scores.attrs["confidence"] = 0.9
    first = numbers.headline(scores.drop_vars("ratio"), "msl")[0]
    assert (first["text"], first["label"]) == ("12.3 Pa", "CRPS of msl, network dense; 90 % interval 11.0 to 13.5 Pa")


def test_every_score_is_in_its_column_and_the_best_analysis_first(scores):
    scores["score"].loc[{"metric": "crps", "analysis": "optimal_interpolation"}] = 0.01
    pick = {"metric": "bias", "analysis": "optimal_interpolation", "network": "sparse", "channel": "msl"}
    for name, value in (("score", 12.345), ("lower", 11.0), ("upper", 13.5)):
        scores[name].loc[pick] = value
    groups = {group["name"]: group for group in numbers.scores_by_metric(scores)}
    assert list(groups) == list(numbers.METRICS.values())
    assert groups["bias"]["rows"][0]["name"] == "optimal interpolation"
    assert groups["bias"]["rows"][0]["values"][3] == {"text": "12.3", "range": "11.0 to 13.5", "tone": ""}
    assert groups["anomaly correlation, pooled over time"]["dimensionless"] and not groups["RMSE"]["dimensionless"]


@pytest.mark.parametrize(
    ("score", "text", "range_"),
    [
        ((80.31, 78.27, 82.38), "80.3", "78.3 to 82.4"),
        ((1135.2, 1050.1, 1213.4), "1135", "1050 to 1213"),
        ((-0.004, -0.049, 0.042), "−0.004", "−0.049 to 0.042"),
        ((2.0, 2.0, 2.0), "2.000", "2.000 to 2.000"),
        ((80.31, np.nan, np.nan), "80.3", "no interval"),
    ],
)
def test_a_score_has_the_digits_that_its_interval_supports(score, text, range_):
    found = numbers.format_score(*score)
    assert (found["text"], found["range"]) == (text, range_)


def test_a_change_without_an_interval_is_not_marked():
    one = xr.Dataset({"ratio": 0.5, "ratio_lower": np.nan, "ratio_upper": np.nan})
    assert numbers.percent_change(one, "ratio") == {"text": "−50.0 %", "range": "no interval", "tone": ""}


def test_the_page_says_how_intervals_are_made_or_why_there_is_none(scores):
    assert numbers.interval_note(scores, 0.9).startswith("90 %, from the variation of each score")
    scores["lower"][:] = np.nan
    assert numbers.interval_note(scores, 0.9) == "none: they need 30 scored frames"
