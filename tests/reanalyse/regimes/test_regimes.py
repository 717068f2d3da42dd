"""Regimes: which observations an analysis depends on, to the bit."""

import numpy as np
import pandas as pd
import pytest

from hindsight.reanalyse import regimes
from tests import test_controller
from tests.reanalyse import worlds

NOWCAST = {"regime": "nowcast"}
LAG = {"regime": "fixed_lag", "lag_hours": 48}
FIXED = {"past": "fixed"}
DDIM = {"step": "ddim", "eta": 1.0}
SLIDING = {"regime": "sliding", "lag_hours": 24, "window": {"hop_hours": 48, "carried": 0.5, "effective": 0.7}}
PARTICLES = {"regime": "particle_filter", "lag_hours": 0, "window": {"effective": 0.4}}

# how many frames ahead the analysis of a frame may use observations
CASES = {
    "nowcast, past sampled again": (NOWCAST, 0),
    "nowcast, past fixed": (NOWCAST | FIXED, 0),
    "fixed lag, past sampled again": (LAG, 2),
    "fixed lag, past fixed": (LAG | FIXED, 2),
    "fixed lag, past fixed, steps no multiple of the lag": (LAG | FIXED | {"steps": 4}, 2),
    "sliding": (SLIDING, 2),  # one frame of lag, and hops of two
    "sliding, local in space": (
        SLIDING | {"window": {"hop_hours": 48, "carried": 0.5, "effective": 0.4, "reach_km": 150.0}},
        2,
    ),
    "sliding, weighted by misfits": (SLIDING | {"window": SLIDING["window"] | {"weights": "misfit"}}, 2),
    "sliding by inversion": (SLIDING | {"window": SLIDING["window"] | {"inversion_steps": 4}}, 2),
    "sliding as in DAWIS": (
        SLIDING
        | {"window": {"carried": 0.5, "carried_newest": 2.0, "inversion_steps": 3, "effective": 1.0}}
        | {"guidance": {"method": "mmps"}, "sampler": worlds.DETERMINISTIC},
        1,
    ),
    "particle filter": (PARTICLES, 0),
    "particle filter, as published": (PARTICLES | {"window": {"effective": 0.4, "weights": "mean"}}, 0),
    "particle smoother": (PARTICLES | {"lag_hours": 48}, 2),
    "nowcast by the jacobian": (NOWCAST | {"guidance": {"method": "mmps"}, "sampler": DDIM}, 0),
    "nowcast by gradients": (
        NOWCAST | {"guidance": {"method": "sda", "gamma": 1.0}, "sampler": {"step": "second_order"}},
        0,
    ),
    "as published": (
        LAG | FIXED | {"guidance": {"method": "forcing", "spectral": 0.01}, "sampler": worlds.DETERMINISTIC},
        2,
    ),
    "diffusion posterior sampling": (NOWCAST | {"guidance": {"method": "dps"}, "sampler": worlds.DETERMINISTIC}, 0),
    "without covariances, with corrections": (
        LAG | {"guidance": {"method": "diagonal"}, "sampler": DDIM | {"corrections": 1}},
        2,
    ),
    "levels of points": (NOWCAST | {"guidance": {"method": "fused"}}, 0),
    "controlled nowcast": (NOWCAST | FIXED | {"guidance": {"method": "controlled"}, "sampler": DDIM}, 0),
    "controlled, with a look-ahead": (LAG | FIXED | {"guidance": {"method": "controlled"}, "sampler": DDIM}, 2),
}


@pytest.fixture(scope="module")
def priors():
    made = {points: worlds.busy(points) for points in (False, True)}
    made[False].control = test_controller.busy(made[False])  # with a look-ahead of two frames
    return made


def futures(seen, now):
    """Other futures: other values, none at all, more of them (which changes the padding), other places and errors."""
    later = seen["time"] > worlds.times(now, now + 1)[0]
    crowd = worlds.table(seed=5, places=(1, 3, 0, 2)).assign(latitude=2.0)
    return {
        "other values": seen.assign(value=seen["value"] + 0.5 * later),
        "none": seen[~later],
        "more": pd.concat([seen, crowd[crowd["time"] > worlds.times(now, now + 1)[0]]], ignore_index=True),
        "better": seen.assign(error=np.where(later, 0.1, seen["error"])),
    }


@pytest.mark.parametrize("case", CASES)
def test_later_observations_change_no_bit(priors, case):
    about, ahead = CASES[case]
    chosen, seen, now, frames = worlds.settings(**about), worlds.table(), 3, 8
    prior = priors[chosen.guidance.method == "fused"]
    base = worlds.analysed(prior, chosen, seen, frames).fields
    last = now + ahead  # the last frame whose observations frame `now` may know
    for name, other in futures(seen, last).items():
        found = worlds.analysed(prior, chosen, other, frames).fields
        assert found[:, : now + 1].tobytes() == base[:, : now + 1].tobytes(), name
        if (chosen.guidance.method, name) != ("dps", "better"):  # which does not look at errors
            assert np.abs(found[:, last + 1] - base[:, last + 1]).max() > 1e-3, f"{name}: the test has no power"


@pytest.mark.parametrize("case", CASES)
def test_observations_within_the_lag_are_used(priors, case):
    about, ahead = CASES[case]
    chosen, seen, frames = worlds.settings(**about), worlds.table(), 8
    prior = priors[chosen.guidance.method == "fused"]
    lag = {"sliding": 1}.get(chosen.regime, ahead)
    last = seen["time"] == worlds.times(3 + lag, 4 + lag)[0]
    base, other = (
        worlds.analysed(prior, chosen, s, frames).fields for s in (seen, seen.assign(value=seen["value"] + 0.5 * last))
    )
    assert np.abs(other[:, 3] - base[:, 3]).max() > 1e-5


def test_batch_uses_all_observations(priors):
    chosen, seen = worlds.settings(selection={"passes": 1}), worlds.table()
    later = seen["time"] == worlds.times(7, 8)[0]
    base, other = (
        worlds.analysed(priors[False], chosen, s, 8).fields for s in (seen, seen.assign(value=seen["value"] + later))
    )
    assert (np.abs(other - base).max((0, 2, 3, 4)) > 1e-6).all()


@pytest.mark.parametrize("case", ["nowcast, past sampled again", "nowcast, past fixed"])
def test_a_nowcast_does_not_depend_on_the_end_of_the_stretch(priors, case):
    chosen, seen = worlds.settings(**CASES[case][0]), worlds.table()
    whole, part = (worlds.analysed(priors[False], chosen, seen, frames).fields for frames in (8, 5))
    assert whole[:, :5].tobytes() == part.tobytes()


@pytest.mark.parametrize("case", CASES)
def test_the_halo_reaches_as_far_ahead_as_the_last_frame_needs(case):
    """And no further: a longer stretch changes no bit of the shard."""
    about, ahead = CASES[case]
    chosen = worlds.settings(**about, halo=7)
    assert chosen.halo_frames(24) == (7, ahead)
    assert worlds.settings(halo=7).halo_frames(24) == (7, 7)


def test_rows_are_counted_over_all_cycles(priors):
    """So progress ends at its total."""
    for case in (
        "nowcast, past sampled again",
        "fixed lag, past fixed, steps no multiple of the lag",
        "sliding",
        "particle filter",
    ):
        chosen, rows_done = worlds.settings(**CASES[case][0]), []
        worlds.analysed(priors[False], chosen, worlds.table(), 6, progress=rows_done.append)
        assert rows_done == list(range(1, regimes.steps(chosen, 6, 24) + 1))
