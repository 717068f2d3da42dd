"""The linear prior and the correction by a network."""

import pytest
import torch

from hindsight.diffusion import denoiser
from hindsight.diffusion.gauss_markov import GaussMarkov, ideal
from hindsight.diffusion.modes import Empirical
from tests.diffusion.test_modes import waves
from tests.oracles import linear_gaussian as oracle


def white(size):
    return GaussMarkov(Empirical(torch.eye(size)), torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size))


def test_the_white_form_is_the_preconditioning_of_karras():
    x, output = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    sigma = torch.tensor([[0.1, 1.0, 5.0], [2.0, 0.3, 0.7]])
    seen = []

    def network(inputs, log_sigma):
        seen.append(inputs)
        return output

    found = denoiser.denoise(white(4), network, x, sigma)
    s2 = sigma[..., None] ** 2
    torch.testing.assert_close(found, x / (1 + s2) + (s2 / (1 + s2)).sqrt() * output)
    torch.testing.assert_close(seen[0][:, :, 0], x / (1 + s2).sqrt())


def round_the_globe():
    """Waves as modes, each with its own memory; null coefficients at the least variance."""
    modes = waves(7)
    borrowed = oracle.process(len(modes.place), coupled=0)
    variance = torch.where(modes.place < 0, 1e-6, borrowed.variance)
    return GaussMarkov(modes, variance, borrowed.coupling, borrowed.persistence)


@pytest.fixture(params=["one group", "two groups", "waves"])
def process(request):
    groups = {"one group": 1, "two groups": 2}
    return oracle.process(groups=groups[request.param]) if request.param in groups else round_the_globe()


def test_with_a_zero_network_it_is_the_ideal_denoiser_of_the_process(process):
    x, sigma = torch.randn(2, 4, process.size), torch.rand(2, 4) + 0.1
    idle = lambda inputs, *_: torch.zeros_like(inputs[:, :, 0])
    torch.testing.assert_close(denoiser.denoise(process, idle, x, sigma), process.posterior(sigma).mean(x))


def test_the_input_of_the_network_is_white_noise_of_unit_variance(process):
    """In every direction of the modes' span, whatever the level, and nothing outside of it."""
    generator, size = torch.Generator().manual_seed(0), process.size
    for level in (0.05, 1.0, 20.0):
        sigma = torch.full((4000, 2), level)
        clean = process.posterior(torch.full((1, 2), torch.inf)).draw(torch.randn(4000, 2, size, generator=generator))
        noisy = clean + level * torch.randn(4000, 2, size, generator=generator)
        mean = process.posterior(sigma).mean(noisy)
        first, second = denoiser.linear_estimate(process, noisy, sigma, mean).inputs.unbind(2)
        inside = process.modes.project(first)
        used = process.modes.project(torch.ones(size)) != 0
        assert abs(inside[..., used].var(0) - 1).max() < 0.12 and abs(inside.mean(0)).max() < 0.1
        torch.testing.assert_close(process.modes.expand(inside), first, atol=1e-4, rtol=0)
        assert torch.equal(second, mean)


def test_loss_is_one_for_the_ideal_denoiser_of_white_noise():
    process, generator = white(64), torch.Generator().manual_seed(0)
    sigma = torch.tensor([0.05, 0.5, 3.0]).expand(3000, 3)
    clean = torch.randn(3000, 3, 64, generator=generator)
    denoised = process.posterior(sigma).mean(clean + sigma[..., None] * torch.randn(clean.shape, generator=generator))
    assert abs(denoiser.loss(process, denoised, clean, sigma) - 1) < 0.02


@pytest.mark.parametrize(
    "process", [lambda: oracle.process(modes=9), lambda: oracle.process(groups=2), round_the_globe]
)
def test_the_error_scale_is_that_of_the_linear_prior_without_time(process):
    process = process()
    process = GaussMarkov(process.modes, process.variance, process.coupling * 0, process.persistence * 0)
    for level in (0.05, 1.0, 20.0):
        sigma = torch.full((1, 2), level)
        units = torch.eye(2 * process.size).view(-1, 2, process.size)
        variance = process.posterior(sigma).covariance(units).flatten(1).diagonal().mean()
        torch.testing.assert_close(denoiser.error_scale(process, sigma)[0, 0] ** 2, variance, rtol=1e-4, atol=1e-6)


def points(seed=0):
    """Observed values of two windows, with errors below and above the noise of their frames."""
    generator = torch.Generator().manual_seed(seed)
    precision = torch.tensor([0.0, 0.0, 0.5, 100.0])[torch.randint(4, (2, 3, 4), generator=generator)]
    return denoiser.Points(torch.randn(2, 3, 4, generator=generator), precision)


def test_points_of_a_white_process_are_precisions_that_add_up():
    """The linear estimate is then exact value by value, and its error scales the network's part."""
    x, output, given = torch.randn(2, 3, 4), torch.randn(2, 3, 4), points()
    sigma = torch.tensor([[0.1, 1.0, 5.0], [2.0, 0.3, 0.7]])
    found = denoiser.denoise(white(4), lambda *_: output, x, sigma, points=given)
    precision = 1 + sigma[..., None] ** -2 + given.inverse_variance
    mean = (x * sigma[..., None] ** -2 + given.value * given.inverse_variance) / precision
    torch.testing.assert_close(found, mean + precision.rsqrt() * output)
    torch.testing.assert_close(denoiser.estimate_error(white(4), sigma, given), precision.rsqrt())
    clean = torch.randn(2, 3, 4)
    expected = ((found - clean).square() * precision).mean()
    torch.testing.assert_close(denoiser.loss(white(4), found, clean, sigma, given), expected)


def test_without_points_only_the_inputs_of_the_network_change():
    process, x, sigma = oracle.process(), torch.randn(2, 4, 12), torch.rand(2, 4) + 0.1
    mean = ideal(process, x, sigma)
    plain, with_points = (denoiser.linear_estimate(process, x, sigma, mean, p) for p in (None, denoiser.no_points(x)))
    torch.testing.assert_close(with_points.mean, plain.mean)
    torch.testing.assert_close(with_points.error, plain.error.expand_as(with_points.error))
    torch.testing.assert_close(with_points.inputs[:, :, :2], plain.inputs)
    torch.testing.assert_close(with_points.inputs[:, :, 2], x * (1 + sigma[..., None] ** 2).rsqrt())
    torch.testing.assert_close(with_points.inputs[:, :, 3], (sigma.log() / 4)[..., None].expand_as(x))


def test_the_inputs_of_the_network_have_values_at_their_own_levels():
    """A value observed with error r in a frame of level s is a value of level (1/s^2 + 1/r^2)^-1/2, unit variance."""
    generator = torch.Generator().manual_seed(0)
    process, clean = white(4), torch.randn(20000, 1, 4, generator=generator)
    sigma, error = torch.full((20000, 1), 0.8), torch.tensor([0.1, 0.5, 2.0, torch.inf])
    noisy = clean + 0.8 * torch.randn(clean.shape, generator=generator)
    value = clean + error.clamp(max=9) * torch.randn(clean.shape, generator=generator)
    given = denoiser.Points(value, (error**-2).expand_as(value))
    linear = denoiser.linear_estimate(process, noisy, sigma, ideal(process, noisy, sigma), given)
    *_, seen, level = linear.inputs.unbind(2)
    fused = (0.8**-2 + error**-2) ** -0.5
    torch.testing.assert_close(level[0, 0], fused.log() / 4)
    noise = seen * (1 + fused**2).sqrt() - clean
    torch.testing.assert_close(noise.std(0)[0], fused, atol=0.02, rtol=0)
    torch.testing.assert_close(seen.std(0)[0], torch.ones(4), atol=0.02, rtol=0)


def test_points_may_be_shared_by_members():
    x, given = torch.randn(5, 3, 4), points()
    one, sigma = denoiser.Points(given.value[:1], given.inverse_variance[:1]), torch.ones(1, 3)
    mean = ideal(white(4), x, sigma.expand(5, 3))
    shared = denoiser.linear_estimate(white(4), x, sigma, mean, one)
    own = denoiser.Points(one.value.expand(5, 3, 4), one.inverse_variance.expand(5, 3, 4))
    each = denoiser.linear_estimate(white(4), x, sigma, mean, own)
    torch.testing.assert_close(shared.mean, each.mean)
    torch.testing.assert_close(shared.inputs, each.inputs)
