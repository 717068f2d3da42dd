"""Real files of observations, where they are."""

import pytest

from tests.conftest import DATA


def file(name: str):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no real observations in {DATA}; set HINDSIGHT_DATA to the folder that has {name}")
    return path


def counts(found) -> dict[str, int]:
    return found["quantity"].value_counts().to_dict()
