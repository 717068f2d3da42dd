"""Covariances summed block by block, against all frames at once."""

import numpy as np
import pytest
import torch

from hindsight.train.covariances import CovarianceSums, accumulate
from tests.train import helpers

FRAMES = np.random.default_rng(0).standard_normal((50, 1, 4, 4)).astype(np.float32)
BROKEN = np.repeat([0, 1, -1, 3, -1, 5], [12, 10, 3, 15, 1, 9])  # joints and masked frames, some at the edges of blocks
MIX = torch.from_numpy(np.random.default_rng(1).standard_normal((2, 16, 5)))


def view(fields):
    """The fields themselves, and five complex mixtures of them."""
    return [fields, torch.complex(fields @ MIX[0], fields @ MIX[1])]


def brute(segment):
    """E[x_t x_t^H] and E[x_{t+1} x_t^H], pair by pair."""
    known = [t for t in range(50) if segment[t] >= 0]
    pairs = [t for t in range(49) if segment[t] == segment[t + 1] >= 0]
    found = []
    for x in view(torch.from_numpy(FRAMES).flatten(1).double()):
        x = x.numpy()
        now = sum(np.outer(x[t], x[t].conj()) for t in known) / len(known)
        found.append((now, sum(np.outer(x[t + 1], x[t].conj()) for t in pairs) / len(pairs)))
    return found, len(known), len(pairs)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("block", [1, 2, 11, 12, 13, 49, 64])
@pytest.mark.parametrize("segment", [np.zeros(50, int), BROKEN], ids=["whole", "broken"])
def test_blocks_add_up_to_the_covariances_of_all_frames(segment, block, parts):
    """Frames that are masked are NaN; no pair spans a gap or a masked frame, and each pair counts once."""
    values = np.where(segment[:, None, None, None] < 0, np.nan, FRAMES)
    expected, known, pairs = brute(segment)
    for moments, (now, later) in zip(
        accumulate(helpers.Held(values, segment=segment, block=block), view, parts), expected
    ):
        assert (moments.frames, moments.pairs) == (known, pairs)
        np.testing.assert_allclose(moments.covariance, now, atol=1e-13)
        np.testing.assert_allclose(moments.lagged, later, atol=1e-13)
    assert np.abs(expected[1][1] - expected[1][1].conj().T).max() > 0.1  # an order that was turned round would show


@pytest.mark.parametrize("block", [7, 20, 64])
def test_a_part_has_its_own_frames_and_the_others_are_all_but_these(block):
    values = np.where(BROKEN[:, None, None, None] < 0, np.nan, FRAMES)
    (sums, _) = accumulate(helpers.Held(values, segment=BROKEN, block=block), view, 3)
    x, part = FRAMES.reshape(50, -1).astype(float), np.digitize(np.cumsum(BROKEN >= 0), [17, 32])  # of 46
    for number in range(3):
        mine, others = (x[(BROKEN >= 0) & chosen] for chosen in (part == number, part != number))
        assert sums.counts[number] == len(mine)
        np.testing.assert_allclose(sums.now[number], mine.T @ mine, atol=1e-12)
        np.testing.assert_allclose(sums.without(number), others.T @ others / len(others), atol=1e-12)


def test_with_fewer_frames_than_parts_some_parts_have_none():
    segment = np.repeat([0, -1, 1], [1, 48, 1])
    (sums, _) = accumulate(helpers.Held(FRAMES, segment=segment), view, 5)
    assert sums.counts == [1, 0, 1, 0, 0] and sums.parts == [0, 2]


def test_a_block_has_one_frame_before_it_and_is_read_once():
    held = helpers.Held(FRAMES, block=20)
    accumulate(held, view)
    assert held.read == [(0, 20), (19, 40), (39, 50)]


def test_sums_of_two_segments_add_up_to_those_of_both():
    first = accumulate(helpers.Held(FRAMES[:30]), view)
    second = accumulate(helpers.Held(FRAMES[30:]), view)
    both = accumulate(helpers.Held(FRAMES, segment=np.repeat([0, 1], [30, 20])), view)
    for one, other, expected in zip(first, second, both):
        for found in (one + other, other + one, one + other + CovarianceSums.zero(expected.now[0])):
            assert (found.frames, found.pairs) == (50, 48)
            torch.testing.assert_close(found.now, expected.now)
            torch.testing.assert_close(found.later, expected.later)


def test_without_pairs_the_lagged_covariance_is_zero():
    (found, _) = accumulate(helpers.Held(FRAMES, segment=np.arange(50)), view)
    assert found.pairs == 0 and not found.lagged.any() and found.covariance.diagonal().min() > 0


def test_the_same_frames_give_the_same_bits():
    one, other = (accumulate(helpers.Held(FRAMES, block=7), view) for _ in range(2))
    assert all(torch.equal(a.later, b.later) and torch.equal(a.now, b.now) for a, b in zip(one, other))
