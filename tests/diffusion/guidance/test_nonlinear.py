"""Wind speed as an observation: against quadrature of the exact posterior, and between guidances."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import schedule
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.guidance.analytic import Analytic
from hindsight.diffusion.guidance.mmps import Mmps
from hindsight.diffusion.guidance.sda import Sda
from hindsight.diffusion.guidance.unguided import Unguided
from hindsight.diffusion.modes import Values
from hindsight.operators.linear import LinearObservations
from hindsight.operators.nonlinear import NonlinearRows
from tests.diffusion.test_exact_smoother import closed_form, ladder, sampled

SPREAD, MEMBERS = 4.0, 4000


def speed(observed, mean, error=0.5):
    """One wind speed at the only point of a state of two components."""
    base, one = torch.full((1, 1, 2), SPREAD), torch.ones(1, 1)
    nonlinear = NonlinearRows(
        2 * one.long(), base, torch.tensor(mean).view(1, 1, 2), observed * one, error * one, SPREAD * one, 0 * one
    )
    return LinearObservations(torch.tensor([[[0, 1]]]), 0 * base, 0 * one, one, one, nonlinear=nonlinear)


def process():
    """Both components independent, with the variance of the climatology."""
    return GaussMarkov(Values(torch.tensor(2)), torch.ones(2), torch.zeros(0, 0, 0), torch.zeros(2))


def exact(observed, mean, error=0.5):
    """Mean and standard deviation of u, v and the speed, by quadrature on a fine grid."""
    axis = np.linspace(-30, 30, 1501)
    u, v = np.meshgrid(axis, axis)
    weight = np.exp(-((u - mean[0]) ** 2 + (v - mean[1]) ** 2) / (2 * SPREAD**2))
    weight *= np.exp(-((np.hypot(u, v) - observed) ** 2) / (2 * error**2))
    moment = lambda x: (weight * x).sum() / weight.sum()
    return {
        name: (moment(x), np.sqrt(moment(x**2) - moment(x) ** 2))
        for name, x in (("u", u), ("v", v), ("speed", np.hypot(u, v)))
    }


def winds(observed, mean, steps=24, guide=Analytic):
    seen, prior = speed(observed, mean), Unguided(process(), closed_form)
    fields = sampled(
        process(), schedule.batch(1, ladder(steps)), lambda view: guide(prior, seen), members=MEMBERS, frames=1
    )
    u, v = (fields[:, 0] * SPREAD + torch.tensor(mean)).double().numpy().T
    return {"u": u, "v": v, "speed": np.hypot(u, v)}


CASES = [
    (9.0, (6.0, 2.0)),
    (12.0, (10.0, -8.0)),
    (3.0, (8.0, 0.0)),
    (9.0, (1.0, 0.0)),
    (9.0, (0.0, 0.0)),  # a calm climatology: the posterior is a ring
]


@pytest.mark.parametrize(("observed", "mean"), CASES)
def test_a_speed_observed_of_a_gaussian_wind(observed, mean):
    """Mean and spread of both components and of the speed, in posterior standard deviations."""
    found, expected = winds(observed, mean), exact(observed, mean)
    for name, (centre, deviation) in expected.items():
        assert abs(found[name].mean() - centre) < 0.1 * deviation, name
        assert found[name].std() == pytest.approx(deviation, rel=0.12), name


def test_members_do_not_depend_on_each_other():
    """They are linearised alone, so members of another job do not change them."""
    prior, level = Unguided(process(), closed_form), torch.tensor([0.7])
    noisy = torch.randn(5, 1, 2, generator=torch.Generator().manual_seed(0))
    guide = Analytic(prior, speed(9.0, (1.0, 2.0)), tolerance=1e-6)
    whole, part = guide.mean(noisy, level, level / 2), guide.mean(noisy[2:3], level, level / 2)
    torch.testing.assert_close(whole[2:3], part, rtol=1e-5, atol=1e-5)


def misfit(clean, observed, mean, level, gamma=0.0):
    """Half the squared departure of the uncertain speed over its variance, which is taken as constant; (E,)."""
    doubt = SPREAD**2 * level**2 / (1 + level**2)
    wind = clean[:, 0] * SPREAD + torch.tensor(mean)
    speed = (wind.square().sum(1) + doubt).sqrt()
    variance = (0.25 + doubt**2 / (2 * speed.square())) / SPREAD**2 + gamma * level**2
    return 0.5 * ((observed - speed) / SPREAD).square() / variance.detach()


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_the_gradient_guidance_descends_the_misfit_of_the_speed(gamma):
    level, mean, generator = torch.tensor([0.6]), (1.0, -3.0), torch.Generator().manual_seed(1)
    noisy, prior = torch.randn(6, 1, 2, generator=generator), Unguided(process(), closed_form)
    found = Sda(prior, speed(9.0, mean), gamma).mean(noisy, level, level / 2)
    shrink = 1 / (1 + 0.36)  # the Jacobian of the linear prior
    clean = (noisy * shrink).requires_grad_(True)
    (slope,) = torch.autograd.grad(misfit(clean, 9.0, mean, 0.6, gamma).sum(), clean)
    torch.testing.assert_close(found, clean.detach() - 0.36 * shrink * slope, rtol=1e-4, atol=1e-5)


def test_moment_matching_is_the_analytic_gain_where_the_prior_is_linear():
    level, generator = torch.tensor([0.6]), torch.Generator().manual_seed(2)
    noisy, prior = torch.randn(6, 1, 2, generator=generator), Unguided(process(), closed_form)
    seen = speed(9.0, (1.0, -3.0))
    expected = Analytic(prior, seen, tolerance=1e-6).mean(noisy, level, level / 2)
    torch.testing.assert_close(Mmps(prior, seen).mean(noisy, level, level / 2), expected, rtol=1e-4, atol=1e-4)
