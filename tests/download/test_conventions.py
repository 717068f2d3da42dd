"""Names that stores and files use."""

import pytest

from hindsight.download import conventions


@pytest.mark.parametrize(
    ("name", "role"), [("lat", "latitude"), ("longitude", "longitude"), ("valid_time", "time"), ("level", "level")]
)
def test_a_dimension_has_one_role_whatever_its_name(name, role):
    assert conventions.ROLES[name] == role and conventions.VERSION not in conventions.ROLES
