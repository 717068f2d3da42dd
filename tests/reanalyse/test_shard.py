"""One shard of frames and one block of members."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest
import torch

from hindsight import controller as controllers
from hindsight import prior as priors
from hindsight.diffusion.guidance.unguided import Cost
from hindsight.errors import UserError
from hindsight.fields import analyses, intervals
from hindsight.fields import observations as tables
from hindsight.reanalyse import shard
from hindsight.reanalyse.assimilation import Task
from hindsight.reanalyse.checkpoint import Checkpoint
from hindsight.settings import Division, Domain, Reanalyse
from tests import test_controller
from tests.oracles import linear_gaussian as oracle
from tests.reanalyse import worlds
from tests.reanalyse.worlds import table, times
from tests.train import helpers

SETTINGS = Reanalyse(steps=3, stride=2, sigma_max=3.0, batch=16, solver_tolerance=1e-5)


@pytest.fixture(scope="module")
def prior():
    return worlds.busy()


def run(prior, first, last, members=(0, 1, 2), observations=None):
    seen = table() if observations is None else observations
    return worlds.analysed(prior, SETTINGS, seen, last - first, members, first).fields


def test_the_same_inputs_give_the_same_bytes(prior):
    assert run(prior, 0, 12).tobytes() == run(prior, 0, 12).tobytes()


def test_a_member_is_the_same_in_any_block(prior):
    together, alone = run(prior, 0, 12), run(prior, 0, 12, members=[2])
    np.testing.assert_allclose(together[2:], alone, atol=2e-4)
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_the_cut_into_shards_does_not_show(prior):
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


def test_a_shard_keeps_its_own_frames_of_a_stretch():
    named = lambda name: intervals.parse(name, 24)
    found, own = shard.within(named("20090210T12_40"), named("20090131T12_60"))
    assert len(found) == 60 and own == slice(10, 50) and found[own][0] == np.datetime64("2009-02-10T12")
    for wrong in ("20090131T12_49", "20090211T12_60", "20090131T00_60"):
        with pytest.raises(UserError, match="does not contain the shard 20090210T12_40"):
            shard.within(named("20090210T12_40"), named(wrong))


def test_a_block_is_named_by_its_first_and_last_member():
    assert shard.member_numbers("8-9") == [8, 9] and shard.member_numbers("0-0") == [0]
    for wrong in ("3", "4-3", "a-b", "-1-2"):
        with pytest.raises(UserError, match="names no members"):
            shard.member_numbers(wrong)


def test_on_the_globe_weighted_by_area_it_is_conditioning_in_physical_units():
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
    values = shard.reanalyse(made, Task(when, seen, list(range(members)), 1), SETTINGS).fields
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


def test_of_a_linear_prior_each_pair_of_antithetic_members_has_the_exact_mean():
    """The untrained prior is linear and Gaussian: opposite noise makes opposite departures from the posterior mean."""
    made, when = helpers.globe().eval(), times(0, 4)
    task = Task(when, table(), [0, 1, 4, 5], 1, antithetic=True)
    values = shard.reanalyse(made, task, SETTINGS).fields
    first, second = values[:2].mean(0), values[2:].mean(0)
    size = np.abs(values[0] - values[1]).max()
    np.testing.assert_allclose(first, second, atol=2e-3 * size)
    independent = shard.reanalyse(made, Task(when, table(), [0, 1], 1), SETTINGS).fields
    np.testing.assert_array_equal(independent[0], values[0])
    assert np.abs(independent.mean(0) - first).max() > 0.05 * size


def test_noise_depends_on_the_frame_and_not_on_the_cut(prior):
    """For a nowcast too: a stretch that began later forgets its start within its context."""
    chosen = worlds.settings(regime="nowcast")
    whole, later = (worlds.analysed(prior, chosen, table(), 18 - first, first=first).fields for first in (0, 6))
    gap = np.abs(later - whole[:, 6:]).max((0, 2, 3, 4))
    assert gap[0] > 0.01 and gap[8:].max() < 0.05 * whole.std(0).mean()


class Astray:
    """A prior whose network returns NaN in its first calls."""

    def __init__(self, prior, times):
        self.prior, self.times, self.calls, self.restore = prior, times, [], prior.denoise_stretch

    def __enter__(self):
        self.prior.denoise_stretch = self.denoise
        return self

    def __exit__(self, *_):
        del self.prior.denoise_stretch

    def denoise(self, noisy, *more):
        self.calls.append(noisy.clone())
        wrong = len(self.calls) <= self.times
        return self.restore(noisy, *more) * (float("nan") if wrong else 1.0)


def test_a_diverged_sample_is_tried_again_with_twice_the_steps_and_other_numbers(prior, capsys):
    calm = worlds.analysed(prior, SETTINGS, table(), 4)
    finer = worlds.analysed(prior, SETTINGS.model_copy(update={"steps": 6}), table(), 4)
    with Astray(prior, 1) as astray:
        found = worlds.analysed(prior, SETTINGS, table(), 4)
    assert (calm.retries, found.retries) == (0, 1) and len(astray.calls) == 1 + 6
    failed = calm.cost.evaluations // 3  # one of its three steps
    assert found.cost.evaluations == finer.cost.evaluations + failed == 2 * calm.cost.evaluations + failed
    first, second = astray.calls[:2]
    assert abs(np.corrcoef(first.flatten(), second.flatten())[0, 1]) < 0.3
    assert np.isfinite(found.fields).all() and np.abs(found.fields - finer.fields).max() > 0.1
    assert (
        "member(s) 0, 1, 2 diverged in step 1 of cycle 1 with guidance 'analytic', 3 steps" in capsys.readouterr().out
    )


def test_a_member_that_diverges_is_named_by_its_number_in_the_product(prior, capsys):
    with Astray(prior, 1):
        worlds.analysed(prior, SETTINGS, table(), 4, members=(8, 9))
    assert "member(s) 8, 9 diverged in step 1 of cycle 1" in capsys.readouterr().out


def test_a_sample_that_diverges_every_time_is_refused_in_words(prior):
    for retries in (0, 2):
        with Astray(prior, 99) as astray, pytest.raises(UserError, match=rf"diverged {retries + 1} time.*raise steps"):
            worlds.analysed(prior, SETTINGS.model_copy(update={"retries": retries}), table(), 4)
        assert len(astray.calls) == retries + 1


def test_implausibly_large_fields_count_as_diverged(prior, monkeypatch):
    monkeypatch.setattr(shard.sampling, "IMPLAUSIBLE", 0.01)
    monkeypatch.setattr(shard.sampling, "MARGIN", 0.0)
    with pytest.raises(UserError, match="diverged 2 time.* in z500 with guidance 'analytic'.*; raise steps, or lower"):
        worlds.analysed(prior, SETTINGS, table(), 4)


def test_one_gross_observation_is_named_and_left_out(prior, capsys):
    """Fifty standard deviations: the analysis equals that without it, to the last bit."""
    wild, unit = table(), float(prior.scaling.spread[0])
    wild.loc[5, ["value", "error"]] = 50 * unit, 1e-3
    found = worlds.analysed(prior, SETTINGS, wild, 4)
    assert found.gross == 1 and found.retries == 0
    assert "1 of 8 observations are rejected as gross errors" in capsys.readouterr().out
    np.testing.assert_array_equal(found.fields, worlds.analysed(prior, SETTINGS, wild.drop(5), 4).fields)


def test_a_value_within_the_extremes_of_training_is_not_gross(prior):
    wild, unit = table(), float(prior.scaling.spread[0])
    wild.loc[5, ["value", "error"]] = 15 * unit, 0.1 * unit
    found = worlds.analysed(prior, SETTINGS, wild, 4, extremes=np.array([[-20.0 * unit], [20.0 * unit]]))
    assert found.gross == 0 and np.abs(found.fields).max() > 10 * unit


@pytest.mark.parametrize(
    ("guidance", "helps", "not_"),
    [
        ({"method": "analytic"}, "raise steps, or lower sigma_max$", "zeta"),
        ({"method": "dps"}, "lower reanalyse.guidance.zeta .of dps., or use reanalyse.guidance.method", "gamma"),
        ({"method": "sda"}, "raise reanalyse.guidance.gamma .of sda., or use", "zeta"),
    ],
)
def test_remedies_are_those_that_apply(guidance, helps, not_):
    step = {} if guidance["method"] == "analytic" else {"sampler": {"step": "ddim", "eta": 0.0}}
    text = shard._remedies(worlds.settings(guidance=guidance, **step), {"z500": 1.0, "msl": 2.0})
    assert re.search(helps, text) and not_ not in text and "look at" not in text
    text = shard._remedies(worlds.settings(), {"z500": 1.0, "msl": 9.0})
    assert text.startswith(
        "look at the observations first: one of msl is 9 standard deviations from the climatology; raise steps"
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [({"solver_iterations": 1}, "stopped at a residual"), ({"solver_iterations": 50}, "as small as 1.0e-12 standard")],
)
def test_a_system_that_cannot_be_solved_is_refused_in_words(prior, change, what):
    """Too few iterations; two contradictory reports at one place."""
    seen = table()
    if change["solver_iterations"] > 1:
        seen = pd.concat([seen.assign(error=1e-12 * prior.scaling.spread[0])] * 2)
    with pytest.raises(UserError, match=f"{what}.*raise reanalyse.solver_iterations or solver_tolerance, or give"):
        worlds.analysed(prior, SETTINGS.model_copy(update=change), seen, 8)


@pytest.mark.parametrize("about", [{}, {"regime": "nowcast"}], ids=["batch", "nowcast"])
def test_no_observation_at_all_leaves_the_prior(prior, about):
    """Some stretches of a period may have none."""
    nothing = table().iloc[:0]
    found = worlds.analysed(prior, worlds.settings(**about), nothing, 5, range(40)).fields
    assert abs(found.std() - prior.process.variance.sum().item() ** 0.5 / 4) < 0.15


def test_the_cost_counts_network_evaluations(prior):
    found = worlds.analysed(prior, SETTINGS, table(), 8)
    assert (found.cost.evaluations, found.cost.backward) == (3 * 3 * 4 * 3, 0)  # members, windows, frames, steps
    about = {"guidance": {"method": "mmps", "iterations": 2}, "sampler": {"step": "ddim"}}
    found = worlds.analysed(prior, worlds.settings(**about), table(), 8)
    assert (found.cost.evaluations, found.cost.backward) == (3 * 3 * 4 * 3, 3 * 3 * 3 * 4 * 3)


DOMAIN = {"channels": ["z500"], "test": {"start": "2009-01-01T12:00", "end": "2009-01-12T12:00"}}


class Killed(Exception):
    """Stands for kill -9 in the middle of a step."""


@pytest.fixture
def job(prior, tmp_path, monkeypatch):
    """Runs a shard from files to a file; `kill_at` some row."""
    rows = table().assign(level=500.0, platform="p", station="s", quality=0, withheld=False, source="t")
    tables.write(rows, tmp_path / "seen.parquet")
    priors.save(prior, tmp_path / "prior")
    worlds.scaled(prior, tmp_path)
    monkeypatch.setattr(shard, "Checkpoint", lambda path, recipe: Checkpoint(path, recipe, seconds=0))

    def run(name, kill_at=None, frames=12, made=tmp_path / "prior", controller=(), **about):
        def watch(done):
            rows_done.append(done)
            if done == kill_at:
                raise Killed

        rows_done = []
        monkeypatch.setattr(shard, "Progress", lambda what, total: watch)
        chosen, domain = worlds.settings(**about), Domain.model_validate(DOMAIN)
        files = {"prior": made, "observations": [tmp_path / "seen.parquet"], "analysis": tmp_path / f"{name}.nc"}
        files |= {name: tmp_path / f"{name}.nc" for name in ("climatology", "statistics")}
        cut = f"20090101T12_{frames}"
        files["controller"] = list(controller)
        shard.run(domain, Division(), chosen, **files, shard=cut, stretch=cut, members="0-1")
        return rows_done

    return run


@pytest.mark.parametrize(
    ("about", "kills"),
    [({"regime": "fixed_lag", "lag_hours": 24}, (14, 20)), ({"steps": 6}, (2, 5)), ({"steps": 6}, (6,))],
    ids=["fixed lag", "batch", "batch, its last step"],
)
def test_a_killed_job_resumes_to_the_same_file(job, tmp_path, about, kills):
    """The checkpoint is deleted when the file exists, and the costs are those of a job that was never killed."""
    job("whole", **about)
    for row in kills:
        with pytest.raises(Killed):
            job("part", kill_at=row, **about)
        assert (tmp_path / "part.checkpoint").exists() and not (tmp_path / "part.nc").exists()
    assert job("part", **about)[0] == kills[-1]  # with the step that was under way, not from the start
    assert not (tmp_path / "part.checkpoint").exists()
    one, two = (analyses.read([tmp_path / f"{name}.nc"]) for name in ("whole", "part"))
    assert one.attrs == two.attrs and one.attrs["regime"] == about.get("regime", "batch")
    assert one["analysis"].values.tobytes() == two["analysis"].values.tobytes()
    assert (tmp_path / "whole.nc").read_bytes() == (tmp_path / "part.nc").read_bytes()


def test_a_job_of_another_cut_ignores_the_checkpoint(job, tmp_path):
    """The same shard by name, settings and observations, and other frames."""
    with pytest.raises(Killed):
        job("part", kill_at=14, regime="nowcast")
    assert job("part", frames=6, regime="nowcast")[0] == 1
    assert analyses.read([tmp_path / "part.nc"]).sizes["time"] == 6


def test_a_job_that_diverges_writes_nothing(job, tmp_path):
    broken = worlds.busy()
    torch.nn.init.constant_(broken.network.leave.convolution.bias, float("nan"))
    priors.save(broken, tmp_path / "broken")
    with pytest.raises(UserError, match="diverged 2 time"):
        job("part", made=tmp_path / "broken")
    assert not list(tmp_path.glob("part*"))


def test_a_prior_of_another_domain_is_refused(job, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(DOMAIN, "step_hours", 12)
        with pytest.raises(UserError, match="trained for hours between frames 24, and the domain asks for 12"):
            job("part")
    with monkeypatch.context() as patch:
        patch.setitem(DOMAIN, "channels", ["t850"])
        with pytest.raises(UserError, match="trained for channels"):
            job("part")


@pytest.mark.parametrize(
    ("domain", "difference"),
    [
        ({"longitude_edges": "periodic"}, r"edges \['open', 'open'\], and the domain asks for \['open', 'periodic'\]"),
        ({"south": 1.0}, "a grid of 4 x 4 points with latitudes 0 to 3, and the domain asks for 1 to 3"),
        ({"north": 2.0}, "latitudes 0 to 3, and the domain asks for 0 to 2"),
        ({"west": 0.5, "east": 9.0}, "longitudes 0 to 3, and the domain asks for 0.5 to 9"),
    ],
)
def test_a_prior_of_another_grid_is_refused_and_what_differs_is_named(job, monkeypatch, domain, difference):
    for name, value in domain.items():
        monkeypatch.setitem(DOMAIN, name, value)
    with pytest.raises(UserError, match=difference):
        job("part")


def test_a_prior_of_the_region_that_the_domain_names_is_taken(job, tmp_path, monkeypatch):
    """Bounds usually lie between grid points, and a source may end before them."""
    for name, value in {"south": -5.0, "north": 3.9, "west": 0.0, "east": 3.0}.items():
        monkeypatch.setitem(DOMAIN, name, value)
    job("part")
    assert (tmp_path / "part.nc").exists()


def test_every_difference_is_in_the_message(job, monkeypatch):
    monkeypatch.setitem(DOMAIN, "step_hours", 12)
    monkeypatch.setitem(DOMAIN, "north", 2.0)
    with pytest.raises(UserError) as error:
        job("part", guidance={"method": "fused"}, sampler={"step": "ddim"})
    for part in ("hours between frames", "latitudes 0 to 3", "levels of points"):
        assert part in str(error.value)


CONTROLLED = {"regime": "fixed_lag", "lag_hours": 48, "past": "fixed", "context": 4, "steps": 4}
CONTROLLED |= {"guidance": {"method": "controlled"}, "sampler": {"step": "ddim"}}


@pytest.fixture
def controller(job, prior, tmp_path):
    """The file of a controller of the prior's file, as it is used by `CONTROLLED`."""
    digest = hashlib.sha256((tmp_path / "prior").read_bytes()).hexdigest()
    torch.manual_seed(1)
    made = controllers.build(prior, digest, test_controller.NETWORK, worlds.settings(**CONTROLLED))
    torch.nn.init.normal_(made.network.leave.weight, std=0.5)
    controllers.save(made, tmp_path / "controller")
    return tmp_path / "controller"


def test_an_analysis_by_a_controller_names_it_and_the_size_of_its_control(job, controller, tmp_path, capsys):
    job("one", controller=[controller], **CONTROLLED)
    attributes = analyses.read([tmp_path / "one.nc"]).attrs
    assert attributes["controller"] == hashlib.sha256(controller.read_bytes()).hexdigest()
    assert attributes["control_shift"] > 0.05 and attributes["control_at_bound"] == 0
    assert attributes["backward_passes"] == 0 and attributes["guidance"] == "controlled"
    assert "expected errors (root mean square), 0.00% at its bound" in capsys.readouterr().out


def test_a_killed_job_with_a_controller_resumes_to_the_same_file(job, controller, tmp_path):
    job("whole", controller=[controller], **CONTROLLED)
    with pytest.raises(Killed):
        job("part", kill_at=14, controller=[controller], **CONTROLLED)
    job("part", controller=[controller], **CONTROLLED)
    assert (tmp_path / "whole.nc").read_bytes() == (tmp_path / "part.nc").read_bytes()


def test_a_controller_that_is_missing_or_of_another_prior_is_refused(job, controller, tmp_path):
    with pytest.raises(UserError, match="needs a controller; name its file by --controller"):
        job("one", **CONTROLLED)
    with pytest.raises(UserError, match="a look-ahead, in frames, of 2, and here it is 1"):
        job("one", controller=[controller], **CONTROLLED | {"lag_hours": 24})
    other = helpers.prior(seed=3)
    priors.save(other, tmp_path / "other")
    with pytest.raises(UserError, match=r"controller was trained for another prior \(SHA-256 .*; train again"):
        job("one", made=tmp_path / "other", controller=[controller], **CONTROLLED)


@pytest.mark.parametrize(("at_bound", "warns"), [(9, False), (11, True)])
def test_a_control_at_its_bound_in_more_than_a_hundredth_of_the_points_is_a_warning(at_bound, warns, capsys):
    found = shard.control_attributes(Cost(controlled=1000, at_bound=at_bound, control=250.0))
    assert found == {"control_shift": 0.5, "control_at_bound": at_bound / 1000}
    assert ("warning: the controller is at its bound in 1.1% of the points" in capsys.readouterr().out) == warns
    assert shard.control_attributes(Cost(evaluations=5)) == {}
