"""Inputs that users have: every case and kind through the first steps, compared with the truth."""

import sys

import pytest

from tests.workflow import runs

sys.path.append(str(runs.ROOT / "benchmarks"))

import chain  # noqa: E402
import inputs  # noqa: E402
from truths import CASES  # noqa: E402

RIGHT = ("right", "refused in words")
WITH_SNAKEMAKE = ("01/0005", "02/number", "05/land", "12/zipnc", "15/braces", "15/quote", "15/names", "16/same")


def names(*numbers):
    """The names of the kinds of some scripts."""
    return [f"{number}/{kind}" for number in numbers for kind in CASES[number]]


def becomes(cases, name, folder, run=chain.inside):
    """The verdict on a kind, by the steps in this process or by Snakemake."""
    number, kind = name.split("/")
    return inputs.verdict(cases, name, CASES[number][kind], folder, run)


@pytest.mark.parametrize("name", names(*sorted(CASES.keys() - {"17"})))
def test_inputs_that_users_have_are_read_correctly_or_refused(cases, tmp_path, name):
    assert becomes(cases, name, tmp_path) in RIGHT


def test_every_script_is_known(cases):
    assert {path.name[:2] for path in cases.glob("[0-9]*.py")} == set(CASES)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_SNAKEMAKE)
def test_the_same_with_snakemake(cases, tmp_path, name):
    assert becomes(cases, name, tmp_path, chain.workflow) in RIGHT


@pytest.mark.slow
@pytest.mark.parametrize("name", names("17"))
def test_memory_is_bounded_by_a_setting_and_not_by_the_size_of_a_file(cases, tmp_path, name):
    assert becomes(cases, name, tmp_path) == "right"
