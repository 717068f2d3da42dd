"""Settings of real reports: what a source needs and what it has no use for."""

import pytest
from pydantic import ValidationError

from hindsight.settings.reports import Reports

VALUES = {"values": [{"column": "p", "quantity": "surface_air_pressure", "units": "hPa"}]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "table", "files": ["a.csv"]}, "needs table.values"),
        ({"source": "igra", "files": ["a.zip"], "stations": "list.csv"}, "remove stations"),
        ({"source": "igra", "files": []}, "at least 1 item"),
        ({"source": "gts", "files": ["a"]}, "'table', 'madis'"),
        ({"source": "bufr"}, "files"),
        (
            {
                "source": "table",
                "files": ["a.csv"],
                "table": {"values": [{"column": "t", "quantity": "air_temperature", "units": "hPa"}]},
            },
            "air_temperature in 'hPa', which cannot be converted to K",
        ),
    ],
)
def test_incomplete_settings_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        Reports.model_validate(given)


def test_a_column_of_values_is_called_by_its_column_where_it_has_no_name():
    found = Reports.model_validate({"source": "table", "files": ["a.csv"], "stations": "s.csv", "table": VALUES})
    assert found.table.values[0].name == "p"


def test_tokens_are_hidden_in_files_of_settings():
    found = Reports.model_validate({"source": "nnja", "files": ["conv/adpsfc"], "options": {"token": "secret"}})
    assert "secret" not in found.model_dump_json() and found.options["token"] == "secret"
    assert '"anon"' in Reports(source="nnja", files=["a"], options={"token": "anon"}).model_dump_json()
