"""H B H^T against the dense covariance of all frames, for priors fitted to waves round a globe and a torus."""

from functools import cache, partial

import numpy as np
import pytest
import torch

from hindsight.diffusion import zonal_covariance
from hindsight.diffusion.zonal_covariance import Extent, Table, Values
from hindsight.settings.train import LinearPrior
from hindsight.train import linear_prior
from tests.oracles import linear_gaussian as oracle
from tests.train import helpers
from tests.train.test_channelwise import GLOBE, W, weather

FRAMES, TERMS = 4, 3
KINDS = {
    "all modes": ({"modes": None}, False),
    "few modes and the rest": ({"modes": 3}, False),
    "truncated": ({"truncation": 2, "residual": False}, False),
    "torus": ({"modes": None}, True),
}


@cache
def fitted(kind):
    """A prior of two channels whose coupled modes propagate, and its covariance over all frames."""
    settings, torus = KINDS[kind]
    chosen = LinearPrior(**{"basis": "waves", "coupled_modes": 3, "floor": 1e-9, "parts": 1} | settings)
    fields = weather(300, 0.1) + 0.5 * np.roll(weather(300, 0.1), 1, (0, 3))
    process = linear_prior.fit(helpers.Held(fields.astype(np.float32), GLOBE), chosen, torus)
    return process, torch.tensor(oracle.covariance(process, FRAMES))


def rows(process, count=60, seed=0):
    """Rows of one to three values, the unused ones anywhere; with the dense operator."""
    generator = np.random.default_rng(seed)
    frame = torch.tensor(generator.integers(0, FRAMES, (count, TERMS)))
    point = torch.tensor(generator.integers(0, process.size, (count, TERMS)))
    used = torch.arange(TERMS) < torch.tensor(generator.integers(1, TERMS + 1, (count, 1)))
    weight = torch.tensor(generator.normal(size=(count, TERMS)).astype("f4")) * used
    operator = torch.zeros(count, FRAMES * process.size, dtype=torch.float64)
    operator.scatter_add_(1, frame * process.size + point, weight.double())
    return frame, point, weight, operator


def covariances(process, groups):
    """Of groups of rows, each by frames, points and weights."""
    return list(zonal_covariance.covariances(process, [partial(Values.of, process, *group) for group in groups]))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_dense_covariance_seen_through_the_rows(kind):
    process, covariance = fitted(kind)
    *places, operator = rows(process)
    (found,) = covariances(process, [places])
    expected = (operator @ covariance @ operator.T).float()
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6 * float(expected.diagonal().max()))


@pytest.mark.parametrize("largest", [500, 4000, 10**6], ids=lambda count: f"tables of {count}")
@pytest.mark.parametrize("at_once", [1, 1000], ids=lambda count: f"{count} circles at once")
def test_groups_are_independent_of_each_other_and_of_what_is_held_at_once(at_once, largest, monkeypatch):
    process, covariance = fitted("few modes and the rest")
    monkeypatch.setattr(zonal_covariance, "AT_ONCE", at_once * (2 * FRAMES - 1) * process.size)
    drawn = [rows(process, 5 + seed, seed) for seed in range(4)]
    for name, value in (("HELD", 120), ("LARGEST", largest), ("SOURCES", 7)):
        monkeypatch.setattr(zonal_covariance, name, value)
    found = covariances(process, [places for *places, _ in drawn])
    assert len(found) == len(drawn)
    for one, (*_, operator) in zip(found, drawn):
        expected = (operator @ covariance @ operator.T).float()
        torch.testing.assert_close(one, expected, rtol=0, atol=3e-6 * float(expected.diagonal().max()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_with_other_variances_has_their_covariance(kind):
    process, _ = fitted(kind)
    _, point, weight, _ = rows(process)
    variance = 1 / (1 / process.variance + 1 / 0.7**2)
    group = Values.of(process, torch.zeros(1, 1, dtype=torch.long), point, weight)
    (found,) = zonal_covariance.covariances(process, [lambda: group], variance)
    in_modes = process.modes.project(torch.zeros(len(point), process.size).scatter_add_(1, point, weight))
    torch.testing.assert_close(found, (in_modes * variance) @ in_modes.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_variances_of_circles_are_the_diagonal(kind):
    process, covariance = fitted(kind)
    expected = covariance.diagonal()[: process.size].view(-1, W).float()
    torch.testing.assert_close(zonal_covariance.variances(process)[:, None].expand_as(expected), expected)


def test_no_group_and_a_group_without_rows():
    process, _ = fitted("torus")
    assert covariances(process, []) == []
    nothing = torch.zeros(0, TERMS, dtype=torch.long)
    (found,) = covariances(process, [(nothing, nothing, nothing.float())])
    assert found.shape == (0, 0)


def test_only_waves_have_the_same_statistics_at_all_longitudes():
    assert all(zonal_covariance.applies(fitted(kind)[0]) for kind in KINDS)
    assert not zonal_covariance.applies(oracle.process())


def test_a_table_holds_what_its_groups_need_and_no_more():
    """Groups of two latitudes of both channels, two of them across the first meridian; other latitudes have none."""
    process, covariance = fitted("few modes and the rest")
    generator, groups = np.random.default_rng(1), []
    for north, east in ((1, W - 1), (1, 4), (4, W - 1)):
        line, column = np.arange(20) % 2 + north, (east + np.arange(20) // 2 % 3) % W
        point = torch.tensor(np.arange(20) // 10 * 7 * W + line * W + column)[:, None]
        groups.append((torch.tensor(generator.integers(0, 2, (20, 1))), point, torch.ones(20, 1)))
    extent = Extent.empty(process)
    for group in groups:
        extent = extent.with_group(Values.of(process, *group))
    assert extent.reach.unique().tolist() == [0, 2] and int(extent.sizes.sum()) == 2 * (4 * 5 // 2) * 5 * 3
    assert all(extent.with_group(Values.of(process, *group)) is extent for group in groups)
    table = Table(process, extent, extent.parts()[0], process.variance.sqrt())
    assert len(table._values) == int(extent.sizes.sum())
    for one, (frame, point, _) in zip(covariances(process, groups), groups):
        at = (frame * process.size + point)[:, 0]
        expected = covariance[at[:, None], at].float()
        torch.testing.assert_close(one, expected, rtol=0, atol=3e-6 * float(expected.max()))


@pytest.mark.parametrize(
    ("columns", "reach"), [([3], 0), ([0, 11], 1), ([0, 1, 2, 7], 6), ([2, 4, 5], 3), ([0, 4, 8], 6), ([1, 10], 3)]
)
def test_the_reach_is_the_shortest_arc_that_holds_all_columns(columns, reach):
    assert zonal_covariance._arc(torch.tensor(columns), 12) == reach
