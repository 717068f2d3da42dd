"""Values that are packed come back to within half a step, by a reader that goes number by number."""

import numpy as np
import pytest

from hindsight.archive.packing import pack, round_step
from tests.archive.pages import unpacked

generator = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (30, 1), (25, 12)])
@pytest.mark.parametrize(("level", "step"), [(0.0, 0.05), (54_000.0, 20.0), (-30.0, 0.5)])
def test_values_are_right_to_half_a_step(shape, level, step):
    values = level + 40 * step * generator.standard_normal(shape).cumsum(0)
    found = pack(values, step)
    assert found["step"] == step and abs(unpacked(found) - values).max() <= step / 2 * (1 + 1e-9)
    assert abs(unpacked(found) - values).max() > step / 4 or values.size == 1  # they are not kept in full


def test_missing_values_stay_missing_and_others_do_not():
    values = generator.standard_normal((20, 7))
    values[3], values[7, 2], values[0, 0] = np.nan, np.nan, np.nan
    found = unpacked(pack(values, 0.01))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    assert np.nanmax(abs(found - values)) <= 0.005 * (1 + 1e-9)
    assert np.isnan(unpacked(pack(np.full((2, 3), np.nan), 1.0))).all()


def test_a_range_beyond_the_numbers_doubles_the_step():
    values = np.array([[0.0, 1e6], [3.0, -1e6]])
    found = pack(values, 1.0)
    assert found["step"] == 32.0 and abs(unpacked(found) - values).max() <= 16.0


def test_the_whole_range_of_numbers_is_used():
    values = np.array([[0.0, 65533.0], [65533.0, 0.0]])
    assert pack(values, 1.0)["step"] == 1.0
    np.testing.assert_array_equal(unpacked(pack(values, 1.0)), values)


def test_smooth_fields_take_less_than_a_byte_a_value():
    phase = np.linspace(0, 6, 60)[:, None] + np.linspace(0, 9, 500)
    assert len(pack(np.sin(phase), 0.01)["data"]) < 0.7 * phase.size


@pytest.mark.parametrize(
    ("largest", "step"), [(0.013, 0.01), (0.99, 0.5), (1.0, 1.0), (37.0, 20.0), (0.2, 0.2), (5e4, 5e4), (9.99, 5.0)]
)
def test_steps_are_round(largest, step):
    assert round_step(largest) == step
