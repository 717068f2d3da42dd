"""Numbers that belong to observations."""

import numpy as np
import pandas as pd
import pytest

from hindsight.fields import perturbations

KNOWN = [  # Random123's kat_vectors: counter, key, words
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def reports(count=50):
    times = np.datetime64("2009-01-01", "ns") + np.arange(count) % 3 * np.timedelta64(6, "h")
    return pd.DataFrame(
        {
            "time": times, "station": [f"s{n // 6}" for n in range(count)],
            "channel": np.array(["z500", "msl"])[np.arange(count) // 3 % 2], "level": np.nan, "footprint": "",
            "latitude": 40.0 + np.arange(count) // 6, "longitude": -5.0,
        }
    )  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_the_generator_has_its_published_values(counter, key, words):
    number = lambda text: tuple(np.uint64(int(word, 16)) for word in text.split())
    assert perturbations.philox(number(counter), number(key)) == number(words)


def test_keys_do_not_depend_on_the_order_of_rows():
    whole = reports()
    own, order = perturbations.keys(whole), np.random.default_rng(0).permutation(50)
    np.testing.assert_array_equal(perturbations.keys(whole.iloc[order]), own[order])
    np.testing.assert_array_equal(perturbations.keys(whole.iloc[1:]), own[1:])
    assert len(set(own)) == 50


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("time", np.datetime64("2010-01-01")), ("station", "x"), ("channel", "t850"), ("level", 500.0),
        ("latitude", -41.0), ("longitude", -5.01), ("footprint", "mean 2x2"),
    ],
)  # fmt: skip
def test_the_key_depends_on_station_channel_time_and_position(column, value):
    whole = reports()
    other = whole.assign(**{column: value})
    assert not set(perturbations.keys(whole)) & set(perturbations.keys(other).tolist())


def test_the_key_does_not_depend_on_value_or_longitude_convention():
    whole = reports().assign(value=1.0, error=1.0)
    np.testing.assert_array_equal(perturbations.keys(whole), perturbations.keys(whole.assign(value=2.0, error=9.0)))
    np.testing.assert_array_equal(perturbations.keys(whole), perturbations.keys(whole.assign(longitude=355.0)))


def test_duplicate_reports_have_different_keys():
    twice = pd.concat([reports(), reports()], ignore_index=True)
    found = perturbations.keys(twice)
    assert len(set(found)) == 100
    np.testing.assert_array_equal(found[:50], perturbations.keys(reports()))


def test_numbers_are_standard_normal_and_independent_between_keys():
    key = perturbations.keys(reports(30000).assign(level=np.arange(30000.0)))
    base = (7, 1, [3], 5)
    draw = lambda seed, purpose, members, step: perturbations.normal(seed, purpose, members, step, key)[0]
    values = draw(*base)
    assert abs(values.mean()) < 0.02 and abs(values.std() - 1) < 0.02 and abs((values**4).mean() - 3) < 0.2
    others = [(8, 1, [3], 5), (7, 2, [3], 5), (7, 1, [3], 6), (7, 1, [3], 5 + 2**33)]
    others += [(7, 1, [member], 5) for member in (0, 1, 2, 4, 7)]
    numbers = np.stack([values, values[::-1], *(draw(*other) for other in others)])
    assert np.abs(np.corrcoef(numbers) - np.eye(len(numbers))).max() < 0.03
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.03


def test_a_member_draws_the_same_alone_and_in_a_block_and_a_row_in_any_shape():
    key = perturbations.keys(reports(12)).reshape(3, 4)
    block = perturbations.normal(1, 0, range(6), np.array([[1], [2], [3]]), key)
    assert block.shape == (6, 3, 4)
    np.testing.assert_array_equal(perturbations.normal(1, 0, [5], np.array([[1], [2], [3]]), key)[0], block[5])
    np.testing.assert_array_equal(perturbations.normal(1, 0, range(6), 2, key[1]), block[:, 1])


def test_the_values_never_change_between_versions():
    """An archive extended next year must draw what it drew this year."""
    key = perturbations.keys(reports(2))
    assert key.tolist() == GOLDEN_KEYS
    np.testing.assert_allclose(perturbations.normal(1, 2, [0, 5], -3, key), GOLDEN, atol=1e-6)


GOLDEN_KEYS = [6488354007934369007, -3543239269573776232]
GOLDEN = [[-0.2753816327124428, -0.7035210509793121], [-0.45336251786785287, -1.0577836302082564]]
