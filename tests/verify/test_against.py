"""How the fields that analyses are compared with are called."""

import pytest
import xarray as xr

from hindsight.verify.against import Against, capitalised


@pytest.mark.parametrize(
    ("kind", "title", "names"),
    [
        ("truth", "a model", ("truth", "Truth", "the truth", "error")),
        ("truth", "", ("truth", "Truth", "the truth", "error")),
        ("reference", "ERA-Interim", ("ERA-Interim", "ERA-Interim", "ERA-Interim", "difference")),
        ("reference", "", ("reference", "Reference", "the reference", "difference")),
    ],
)
def test_a_truth_is_the_truth_and_a_reference_has_its_name(kind, title, names):
    one = Against(kind, title)
    assert (one.label, capitalised(one.label), one.named, one.difference) == names
    assert Against.of(xr.Dataset(attrs=one.attributes)) == one


def test_older_scores_are_relative_to_the_truth():
    assert Against.of(xr.Dataset()).is_truth


def test_without_fields_the_main_scores_are_at_withheld_observations_and_maps_show_the_analysis_alone():
    one = Against("none", "a model")
    assert (one.label, one.region, one.panels) == ("", "withheld observations", "analysis and spread")
    assert Against().region == "everywhere" and Against().panels == "truth, analysis, error and spread"
