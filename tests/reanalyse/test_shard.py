"""One shard of frames and one block of members."""

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight.errors import UserError
from hindsight.reanalyse import shard
from hindsight.settings import Domain, Product, Reanalyse
from tests.oracles import linear_gaussian as oracle
from tests.train import helpers

SETTINGS = Reanalyse(steps=3, stride=2, sigma_max=3.0, batch=16, solver_tolerance=1e-5)
FIRST = np.datetime64("2009-01-01T12", "ns")


@pytest.fixture(scope="module")
def prior():
    made = helpers.prior()
    for parameter in made.network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return made.eval()


def times(first, last):
    return FIRST + np.arange(first, last) * np.timedelta64(1, "D")


def table(frames=60, seed=0):
    generator = np.random.default_rng(seed)
    rows = [
        {
            "time": t,
            "latitude": 1.0,
            "longitude": float(k),
            "channel": "z500",
            "value": generator.standard_normal(),
            "error": 0.3,
        }
        for t in times(0, frames)
        for k in (0, 2)
    ]
    return pd.DataFrame(rows)


def run(prior, first, last, members=(0, 1, 2), observations=None):
    return shard.reanalyse(
        prior, times(first, last), table() if observations is None else observations, list(members), 1, SETTINGS
    )


def test_the_same_inputs_give_the_same_bytes(prior):
    assert run(prior, 0, 12).tobytes() == run(prior, 0, 12).tobytes()


def test_a_member_is_the_same_in_any_block(prior):
    together, alone = run(prior, 0, 12), run(prior, 0, 12, members=[2])
    np.testing.assert_allclose(together[2:], alone, atol=2e-4)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_the_cut_does_not_show(prior):
    """Two shards with halos that share frames agree there, to far less than the spread."""
    whole, left, right = run(prior, 0, 44), run(prior, 0, 32), run(prior, 12, 44)
    spread = whole.std(0).mean()
    assert np.abs(left[:, :20] - whole[:, :20]).max() < 0.02 * spread
    assert np.abs(right[:, 10:] - whole[:, 22:]).max() < 0.02 * spread


def test_an_observation_moves_the_frames_around_it_most(prior):
    other = table()
    middle = other["time"] == times(20, 21)[0]
    other.loc[middle, "value"] += 1.0
    moved = np.abs(run(prior, 0, 40, observations=other) - run(prior, 0, 40)).mean((0, 2, 3, 4))
    assert moved.argmax() == 20 and moved[0] < 0.05 * moved[20] and moved[19] > 5 * moved[0]


def test_a_halo_ends_where_the_period_does():
    domain = Domain(test={"start": "2009-01-01T12:00", "end": "2009-04-10T12:00"})
    product = Product(shard_frames=40)
    found, own = shard.stretch(domain, product, Reanalyse(halo=10), "20090101T12")
    assert len(found) == 50 and own == slice(0, 40)
    found, own = shard.stretch(domain, product, Reanalyse(halo=10), "20090210T12")
    assert len(found) == 60 and own == slice(10, 50) and found[own][0] == np.datetime64("2009-02-10T12")
    with pytest.raises(UserError, match="no shard"):
        shard.stretch(domain, product, Reanalyse(), "20080101T12")


def test_the_last_block_of_members_may_be_smaller():
    product = Product(members=10, member_block=4)
    assert [shard.members_of(block, product) for block in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_round_the_globe_and_weighed_by_area_it_is_conditioning_in_physical_units():
    """The untrained prior is linear and Gaussian: dense conditioning, with no normalised number anywhere, is exact."""
    made, frames, members = helpers.globe().eval(), 4, 600
    when = times(0, frames)
    climatology = made.scaling.coefficients[0]
    rows = [  # next to the poles, across 0 E, on a point, between four
        (0, "z500", 75.0, 0.0, 3.0, 0.4),
        (1, "t850", -70.0, 340.0, -40.0, 9.0),
        (1, "z500", -15.0, 90.0, -1.0, 0.2),
        (3, "t850", 30.0, 200.0, 35.0, 6.0),
    ]
    dense = np.zeros((len(rows), frames, 2, *helpers.GLOBE.shape))
    for n, (t, channel, latitude, longitude, *_) in enumerate(rows):
        c = ["z500", "t850"].index(channel)
        for i, there in enumerate(helpers.GLOBE.latitude):
            for j, east in enumerate(helpers.GLOBE.longitude):
                across = abs((longitude - east + 180) % 360 - 180)
                dense[n, t, c, i, j] = max(0, 1 - abs(latitude - there) / 30) * max(0, 1 - across / 45)
    np.testing.assert_allclose(dense.sum((1, 2, 3, 4)), 1)
    expected = (dense * climatology).sum((1, 2, 3, 4))
    seen = pd.DataFrame(
        [(when[t], c, a, b, expected[n] + departure, e) for n, (t, c, a, b, departure, e) in enumerate(rows)],
        columns=["time", "channel", "latitude", "longitude", "value", "error"],
    )
    values = shard.reanalyse(made, when, seen, list(range(members)), 1, SETTINGS)
    unit = np.array([2.0, 30.0])[:, None, None] / np.sqrt(helpers.GLOBE.weights)
    whole = np.tile(unit.ravel(), frames)
    prior = oracle.covariance(made.process, frames) * np.outer(whole, whole)
    mean, spread = oracle.condition(
        prior, dense.reshape(len(rows), -1), np.array([r[5] for r in rows]), np.array([r[4] for r in rows])
    )
    departures = (values - climatology).reshape(members, -1)
    off = (departures.mean(0) - mean) / np.sqrt(np.diag(spread)) * np.sqrt(members)
    assert np.abs(off).max() < 4.5 and np.abs(off).std() < 1.5
    np.testing.assert_allclose(departures.var(0, ddof=1) / np.diag(spread), 1, atol=4.5 * np.sqrt(2 / members))
    assert (np.abs(mean) / np.sqrt(np.diag(prior))).max() > 0.5  # the observations do say something
