"""More inputs of the kinds that users have, through the first steps, compared with the truth."""

import sys

import pytest

from tests.workflow import runs

sys.path.append(str(runs.ROOT / "benchmarks"))

import chain  # noqa: E402
import inputs  # noqa: E402
import kinds  # noqa: E402

RIGHT = ("right", "refused in words")


NAMES = [f"{number}/{kind}" for number, inner in kinds.FURTHER.items() for kind in inner]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (k % 2)) for k, name in enumerate(NAMES)]
)
def test_more_inputs_are_read_correctly_or_refused(tmp_path, name):
    number, kind = name.split("/")
    assert inputs.verdict(tmp_path, name, kinds.FURTHER[number][kind], tmp_path, chain.inside) in RIGHT
