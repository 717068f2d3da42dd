"""Roll-outs under control: the sampler's, with gradients; their costs; the networks that they are given."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from hindsight.diffusion import sampler, steps
from hindsight.diffusion.guidance import controlled
from hindsight.diffusion.guidance.controlled import LiftedRows
from hindsight.diffusion.sampler import State, StepSettings
from hindsight.operators.linear import LinearObservations
from hindsight.settings import Controller
from hindsight.train import rollouts
from hindsight.train.rollouts import GridObservations, Start, Walk
from tests import test_controller
from tests.reanalyse import worlds
from tests.test_controller import SAMPLING

SETTINGS = Controller(batch=2, members=2, frames=6, share_min=0.2, share_max=0.6, error_min=0.1, error_max=0.3)
SIZE, FRAMES = 16, 6


def begun(settings=SETTINGS, seed=0, windows=2):
    """Windows of red noise with their observations, once for each member."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randn(windows, FRAMES, SIZE, generator=generator)
    seen = [rollouts.observe(one, (1, 4, 4), torch.ones(SIZE), settings, generator) for one in clean]
    each = lambda tensor: tensor.repeat_interleave(settings.members, 0)
    values, errors = (each(torch.stack(column)) for column in zip(*seen))
    conditions = torch.randn(windows, FRAMES, 4, generator=generator)
    observations = GridObservations(values, errors, torch.ones(SIZE))
    return Start(each(clean), each(conditions), observations, range(windows * settings.members))


@pytest.fixture(scope="module")
def prior():
    return worlds.busy().requires_grad_(False)


def walk(prior, control=None, settings=SETTINGS, start=None, sampling=SAMPLING):
    return Walk(prior, control or test_controller.busy(prior), start or begun(settings), settings, sampling)


@pytest.mark.parametrize("change", [{}, {"regime": "nowcast", "lag_hours": None}, {"context": 3, "steps": 5}])
def test_a_roll_out_is_what_the_sampler_does_to_the_bit(prior, change):
    sampling = SAMPLING.model_copy(update=change)
    control, start = test_controller.busy(prior, sampling=sampling), begun()
    ours = walk(prior, control, start=start, sampling=sampling)
    with torch.no_grad():
        while not ours.over:
            ours.advance(3)

    def denoiser(view):
        unguided = prior.unguided(view.start, start.conditions[:, view], sampling, len(start.clean))
        return controlled.Controlled(unguided, start.observations.frames(view), control)

    state = State(torch.zeros_like(start.clean), np.full(FRAMES, np.inf))
    step = StepSettings(steps.build(sampling.sampler.step, **sampling.sampler.options()))
    for _ in sampler.sample(ours.cycles, state, denoiser, step, ours.noise):
        pass
    assert torch.equal(ours.state.fields, state.fields) and ours.state.finished == FRAMES
    assert ours.cost.controlled > 0 and ours.cost.backward == 0


def test_observations_of_grid_values_are_lifted_as_those_of_a_table(prior):
    """With weights by area w: y = w x + e."""
    start, weight = begun(windows=1), torch.linspace(0.5, 2, SIZE)
    one = GridObservations(start.observations.value[:1], start.observations.error[:1], weight)
    present = (one.error[0] > 0).float()
    point = torch.arange(SIZE).expand(FRAMES, SIZE)[..., None]
    table = LinearObservations(point, (present * weight)[..., None], one.value[0], one.error[0].clamp(min=0.1), present)
    clean, error = torch.randn(3, FRAMES, SIZE), torch.linspace(0.2, 1, FRAMES)
    found, expected = one(clean, error), LiftedRows(table)(clean, error)
    torch.testing.assert_close(found.departure, expected.departure)
    torch.testing.assert_close(found.share, expected.share)
    assert (found.departure != 0).any() and 0 < present.mean() < 1


@pytest.mark.parametrize("cost", ["observations", "truth"])
def test_the_gradient_is_that_of_finite_differences_through_the_roll_out(prior, cost):
    settings = SETTINGS.model_copy(update={"cost": cost, "truncate": 100, "recompute": False, "size": 0.1})
    control = test_controller.busy(prior)
    weights = control.network.leave.weight
    loss = walk(prior, control, settings).advance(8)
    slope = torch.autograd.grad(loss, weights)[0]
    with torch.no_grad():
        found, direction = [], slope / slope.norm()
        for sign in (1, -1):
            weights += sign * 0.02 * direction
            found.append(float(walk(prior, control, settings).advance(8)))
            weights -= sign * 0.02 * direction
    assert (found[0] - found[1]) / 0.04 == pytest.approx(float(slope.norm()), rel=0.03)


def test_recomputation_changes_no_bit_of_the_gradient(prior):
    found = []
    for recompute in (False, True):
        settings = SETTINGS.model_copy(update={"truncate": 5, "recompute": recompute})
        control, made = test_controller.busy(prior), None
        made = walk(prior, control, settings)
        made.advance(5).backward()
        made.advance(5).backward()
        found.append([parameter.grad for parameter in control.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found)) and found[0][0].abs().max() > 0


def test_the_gradient_goes_no_further_back_than_the_steps_of_an_advance(prior):
    """After a detour without gradient it is that of the last steps alone; through all steps it is another."""
    settings = SETTINGS.model_copy(update={"truncate": 100, "recompute": False})
    found = []
    for quietly in (True, False):
        control = test_controller.busy(prior)
        made = walk(prior, control, settings)
        with torch.set_grad_enabled(not quietly):
            made.advance(6)
        made.advance(2).backward()
        found.append(control.network.leave.weight.grad)
    whole = test_controller.busy(prior)
    walk(prior, whole, settings).advance(8).backward()
    assert torch.equal(*found) and not torch.allclose(found[0], whole.network.leave.weight.grad, rtol=0.05)


def test_the_prior_has_no_gradient_and_does_not_change(prior):
    before = [parameter.clone() for parameter in prior.parameters()]
    walk(prior, settings=SETTINGS.model_copy(update={"truncate": 4})).advance(4).backward()
    assert all(p.grad is None and torch.equal(p, q) for p, q in zip(prior.parameters(), before))


def test_a_controller_that_does_nothing_rolls_out_the_prior(prior):
    from hindsight import controller as controllers

    start, found = begun(), []
    none = GridObservations(start.observations.value, torch.zeros_like(start.observations.error), torch.ones(SIZE))
    blind = Start(start.clean, start.conditions, none, start.members)
    idle = controllers.build(prior, "abc", test_controller.NETWORK, SAMPLING)
    for made in (walk(prior, idle, start=start), walk(prior, test_controller.busy(prior), start=blind)):
        with torch.no_grad():
            made.advance(100)
        found.append(made.state.fields)
    assert torch.equal(*found) and found[0].std() > 0.3


@pytest.mark.parametrize("members", [2, 5])
def test_the_score_is_the_fair_one(members):
    """Of members of N(0, 1) given 0: 2 pdf(0) - 1 / sqrt(pi) on the mean, whatever their number; by brute force too."""
    draw = torch.randn(40000, members, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = rollouts.crps(draw, torch.zeros(40000, dtype=torch.float64))
    assert float(found) == pytest.approx(2 * stats.norm.pdf(0) - 1 / math.sqrt(math.pi), abs=0.006)
    few, truth = draw[:3], draw[3:6, 0]
    pairs = sum((few[:, i] - few[:, j]).abs() for i in range(members) for j in range(members)) / (
        members * (members - 1)
    )
    expected = ((few - truth[:, None]).abs().mean(1) - pairs / 2).mean()
    assert float(rollouts.crps(few, truth)) == pytest.approx(float(expected))


def test_the_misfit_is_half_the_mean_square_in_observation_errors():
    start = begun(windows=1)
    seen, state = start.observations, torch.randn(2, FRAMES, SIZE)
    departure = (seen.value - state)[seen.error > 0] / seen.error[seen.error > 0]
    assert float(seen.misfit(state)) == pytest.approx(float(departure.square().mean() / 2), rel=1e-5)
    none = GridObservations(seen.value, torch.zeros_like(seen.error), seen.weight)
    assert float(none.misfit(state)) == 0


def test_networks_are_as_the_settings_say():
    """Shares and errors log-uniform, all channels of a place, fixed or not, every first, second or fourth frame."""
    settings = SETTINGS.model_copy(update={"share_min": 0.02, "share_max": 0.2, "every": [1, 2, 4]})
    generator, weight = torch.Generator().manual_seed(3), torch.full((200,), 0.5)
    clean, shares, fixed, steps_between, errors, noise = torch.randn(12, 200), [], 0, [], [], []
    for _ in range(300):
        value, error = rollouts.observe(clean, (2, 10, 10), weight, settings, generator)
        seen, when = error > 0, (error > 0).any(1)
        assert torch.equal(seen[:, :100], seen[:, 100:]) and (value[~seen] == 0).all()
        count = seen.sum(1)[when].unique()
        assert len(count) == 1
        shares.append(float(count) / 200)
        steps_between.append(int(torch.nonzero(when)[:, 0].diff().unique().item()))
        fixed += bool((seen[when] == seen[when][0]).all())
        errors.append(float(error.max()))
        noise.append(((value - weight * clean) / error)[seen])
    assert min(shares) >= 0.02 and max(shares) <= 0.2
    assert np.mean(np.log(shares)) == pytest.approx(np.log(0.02 * 0.2) / 2, abs=0.12)
    assert np.mean(np.log(errors)) == pytest.approx(np.log(0.1 * 0.3) / 2, abs=0.05)
    assert 100 < fixed < 200 and set(steps_between) == {1, 2, 4}
    every = torch.cat(noise)
    assert abs(float(every.mean())) < 0.02 and float(every.std()) == pytest.approx(1, abs=0.02)
