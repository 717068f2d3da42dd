"""Nonlinear observations, about any estimate: wind speed, by brute force and finite differences."""

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.fields.scaling import Scaling
from hindsight.operators.footprint import observation_operator
from hindsight.operators.rows import normalise
from hindsight.reanalyse import observation_tensors
from tests.operators.test_rows import ALOFT, GRID, SOUNDED, TIMES, UPPER, sounding


def windy(**columns):
    return sounding(**{"channel": "ws10", "level": np.nan, "value": [9.0, 1.0], "error": 0.5} | columns)


def estimates(members=3, seed=4):
    """Members of three frames of normalised departures."""
    return torch.tensor(np.random.default_rng(seed).standard_normal((members, 3, 4 * 12)), dtype=torch.float64)


def speeds(states, table, time=1):
    """Wind speed at the stations by brute force; (E, N)."""
    fields = ALOFT.reshape(4, -1) + states[:, time].numpy().reshape(len(states), 4, -1) * SOUNDED.spread[:, None]
    at = observation_operator(GRID, table)
    return np.hypot(at.apply(fields[:, 2]), at.apply(fields[:, 3]))


@pytest.mark.parametrize("weights", ["", "-1:0.1 0:0.7 1:0.2"], ids=["of a frame", "mean of a day"])
def test_wind_speed_is_linearised_about_each_member(weights):
    """At the estimate H x - y is the departure of the speed itself; the slopes are those of finite differences."""
    table = windy(time_weights=weights)
    seen = observation_tensors.from_table(table, TIMES, UPPER, GRID, SOUNDED).double()
    states = estimates()
    mean = (
        states if not weights else (states[:, [0, 1, 2]] * torch.tensor([0.1, 0.7, 0.2])[:, None]).sum(1, keepdim=True)
    )
    at = lambda x: speeds(x, table, 0 if weights else 1)
    here, exact = seen.at(states, lambda: torch.zeros(3)), seen.nonlinear.unit[1].numpy()
    np.testing.assert_allclose(
        (here.value - here.forward(states))[:, 1], (table["value"].to_numpy() - at(mean)) / exact, atol=1e-5
    )
    step = 1e-4 * estimates(seed=5)
    moved = step if not weights else (step * torch.tensor([0.1, 0.7, 0.2])[:, None]).sum(1, keepdim=True)
    expected = (at(mean + moved) - at(mean - moved)) / 2 / exact
    np.testing.assert_allclose(here.forward(step)[:, 1], expected, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(here.error[:, 1], np.broadcast_to(0.5 / exact, (3, 2)), rtol=1e-6)


def test_each_member_is_linearised_alone():
    """So no member depends on the others of its job."""
    seen, states = observation_tensors.from_table(windy(), TIMES, UPPER, GRID, SOUNDED), estimates().float()
    together, alone = seen.at(states, lambda: torch.ones(3)), seen.at(states[1:2], lambda: torch.ones(3))
    assert torch.equal(together.weight[1], alone.weight[0]) and torch.equal(together.value[1], alone.value[0])
    assert not torch.equal(together.weight[0], together.weight[1])


def test_rows_that_are_linear_stay_as_they_are_beside_those_that_are_not():
    table = pd.concat([windy(), sounding(), sounding(channel="u10", level=np.nan, value=2.0)], ignore_index=True)
    seen = observation_tensors.from_table(table, TIMES, UPPER, GRID, SOUNDED)
    here = seen.at(estimates().float(), lambda: torch.ones(3))
    for name in ("weight", "value", "error"):
        old, new = getattr(seen, name)[1], getattr(here, name)[:, 1]
        assert torch.equal(new[:, 2:], old[None, 2:].expand_as(new[:, 2:]))
        assert not torch.equal(new[:, :2], old[None, :2].expand_as(new[:, :2]))


def test_the_adjoint_of_linearised_rows_passes_the_dot_product_test():
    table = pd.concat([windy(time_weights="-1:0.5 1:0.5"), mountain_wind()], ignore_index=True)
    seen = (
        observation_tensors.from_table(table, TIMES, UPPER, GRID, SOUNDED)
        .double()
        .at(estimates(), lambda: torch.ones(3))
    )
    x, y = estimates(seed=6), torch.randn(3, *seen.present.shape, dtype=torch.float64)
    torch.testing.assert_close((seen.forward(x) * y).sum(), (x * seen.adjoint(y, x.shape[-1])).sum())


def mountain_wind():
    return windy(time=[TIMES[0], TIMES[2]], time_weights="")


def test_a_view_without_a_frame_lacks_what_needs_it_to_the_bit():
    """Causality: what a cycle may not see changes nothing of what it sees."""
    table = pd.concat([windy(time_weights="0:0.5 1:0.5"), mountain_wind(), sounding(time=TIMES[0])], ignore_index=True)
    early, first, found = estimates().float(), slice(0, 1), []
    for late in (table, table.assign(value=table["value"] + 5.0 * (table["time"] > TIMES[0]))):
        seen = observation_tensors.from_table(late, TIMES, UPPER, GRID, SOUNDED).frames(first)
        here = seen.at(early[:, first], lambda: torch.ones(1))
        assert int(here.present.sum()) == 3
        found.append([here.value, here.weight, here.error, here.forward(early[:, first])])
    assert all(torch.equal(a, b) for a, b in zip(*found))


def test_where_the_climatology_is_calm_a_speed_has_a_unit_and_no_slopes():
    calm = Scaling(SOUNDED.coefficients * np.array([1, 1, 0, 0])[:, None, None], SOUNDED.spread, 1, 0)
    rows = normalise(windy(), UPPER, GRID, calm, 24)
    assert not rows.weight.any() and np.isfinite(rows.value).all() and (rows.error > 0).all()
    assert normalise(windy(), UPPER, GRID, SOUNDED, 24).weight.any()


def test_rows_of_two_and_of_three_channels_stand_in_one_table():
    """Station pressure and free-air temperature of the same state, each by its own function."""
    from hindsight.operators.evaluate import evaluate

    channels, generator = ["z500", "t850", "msl"], np.random.default_rng(2)
    mean, spread = np.array([54500.0, 278.0, 101300.0]), np.array([1000.0, 4.0, 900.0])
    scaling = Scaling(np.broadcast_to(mean[:, None, None], (1, 3, *GRID.shape)).copy(), spread, 0, 0)
    table = pd.concat([sounding(channel=name, level=np.nan) for name in ("sp", "t_free", "msl")], ignore_index=True)
    table = table.assign(elevation=1500.0, value=0.0, error=1.0, footprint="")
    observations = observation_tensors.from_table(table, TIMES, channels, GRID, scaling).double()
    states = torch.tensor(generator.standard_normal((2, 3, 3 * 12)))
    here = observations.at(states, lambda: torch.zeros(3, dtype=torch.float64))
    unit = observations.nonlinear.unit[1].numpy()
    fields = scaling.restore(states.numpy().reshape(2, 3, 3, *GRID.shape), TIMES)
    expected = evaluate(table, channels, GRID, TIMES, fields.astype(float))
    np.testing.assert_allclose((here.forward(states) - here.value)[:, 1] * unit, expected, rtol=2e-5)
