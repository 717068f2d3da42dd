"""The guidance of ForcingDAS, from a brute-force gradient; its spectrum by loops."""

import numpy as np
import pytest
import torch

from hindsight.diffusion.guidance.forcing import Forcing, Spectrum
from tests.diffusion.guidance import scenes
from tests.diffusion.guidance.test_dps import BELOW, published, sampled
from tests.oracles import linear_gaussian as oracle

SHAPE = (2, 1, 4)  # of a field of eight values


def rings(height, width):
    """Every wavenumber of the half plane and the ring it is in."""
    bins = (min(height, width) if height > 1 else width) // 2
    found = []
    for i in range(height):
        for j in range(width // 2 + 1):
            up = i if i <= (height - 1) // 2 else i - height
            ring = int(np.floor(max(height, width) * np.hypot(up / height, j / width) + 1e-9))
            if ring < bins:
                found.append((i, j, ring))
    return found, bins


def power(fields):
    """Mean power by ring of fields (…, H, W), by the sums that define a Fourier coefficient; (…, n_b)."""
    height, width = fields.shape[-2:]
    where, bins = rings(height, width)
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    total, count = np.zeros((*fields.shape[:-2], bins)), np.zeros(bins)
    for i, j, ring in where:
        wave = np.exp(-2j * np.pi * (i * y / height + j * x / width))
        total[..., ring] += np.abs((fields * wave).sum((-2, -1))) ** 2 / (height * width)
        count[ring] += 1
    return total / count


def misfit(fields, level, expected, sharpness=5.0):
    """Of one member (T, C, H, W), each frame with its own level."""
    gap = np.log(power(fields) + 1e-8) - np.log(expected + 1e-8)
    bins = gap.shape[-1]
    shown = bins / (1 + level[:, None] ** 2) - np.arange(bins)
    return (gap**2 / (1 + np.exp(-sharpness * shown))[:, None]).sum() / bins


@pytest.mark.parametrize("below", BELOW)
@pytest.mark.parametrize("spectral", [0.0, 0.05])
@pytest.mark.parametrize("estimate", [scenes.linear, scenes.crooked])
def test_after_a_deterministic_step_it_is_the_published_move_with_a_norm_for_each_frame(estimate, spectral, below):
    x, seen, zeta, gamma, below = scenes.noisy(), scenes.seen(), 0.2, 0.3, BELOW[below]
    spectrum, falls = Spectrum.of(scenes.PROCESS, SHAPE), (below < scenes.ABOVE)[:, None]
    guidance = Forcing(scenes.prior(estimate), seen, gamma, zeta, spectral, spectrum)
    found = sampled(guidance, x, scenes.ABOVE, below)

    def loss(clean):
        gap = seen.value - seen.forward(clean[None])[0]
        total = 0 * clean.sum()
        for t in range(scenes.FRAMES):
            if falls[t] and seen.present[t].any():
                here = seen.present[t] > 0
                weight = (seen.error[t, here] ** 2 + gamma * scenes.ABOVE[t] ** 2) ** -0.5
                total = total + (weight * gap[t, here]).norm()
        slope = spectrum.gradient(clean.detach()[None], scenes.ABOVE)[0]  # tested by itself
        return total + spectral * (slope * falls * clean).sum()

    for member in range(scenes.MEMBERS):
        expected = published(loss, x[member], scenes.ABOVE, below, zeta, estimate)
        scenes.agree(found[member], expected, 3e-4)


@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 5, 5), (2, 1, 12)])
def test_the_slope_of_the_spectral_misfit_by_finite_differences(shape):
    generator = np.random.default_rng(0)
    process = oracle.process(int(np.prod(shape)), seed=2)
    spectrum, level = Spectrum.of(process, shape), np.array([0.05, 0.8, 2.0])
    fields = generator.standard_normal((2, 3, *shape))
    tensor = torch.tensor(fields, dtype=torch.float32).flatten(2)
    found = spectrum.gradient(tensor, torch.tensor(level, dtype=torch.float32)).double().numpy().reshape(2, 3, -1)
    expected = spectrum.power.double().numpy()
    largest = np.abs(found).max()
    for member in range(2):
        for t in range(3):
            for place in range(0, found.shape[-1], 3):
                nudge = np.zeros((3, found.shape[-1]))
                nudge[t, place] = 1e-4
                nudge = nudge.reshape(3, *shape)
                up, down = (misfit(fields[member] + s * nudge, level, expected) for s in (1, -1))
                assert found[member, t, place] == pytest.approx((up - down) / 2e-4, rel=1e-2, abs=1e-3 * largest)


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 1, 8)])
def test_the_spectrum_of_the_prior_is_the_mean_power_of_many_draws(shape):
    process = oracle.process(24, seed=2)
    white = torch.randn(20000, 1, 24, generator=torch.Generator().manual_seed(0))
    draws = process.posterior(torch.full((1, 1), torch.inf)).draw(white).view(-1, *shape).double().numpy()
    found = Spectrum.of(process, shape)
    assert found.power.shape == (shape[0], rings(*shape[1:])[1])
    np.testing.assert_allclose(found.power, power(draws).mean(0), rtol=0.05)


def test_members_and_frames_do_not_share_their_norm():
    """The step of a frame or member does not depend on the others."""
    x, seen = scenes.noisy(), scenes.seen()
    guidance = Forcing(scenes.prior(), seen)
    together = guidance.mean(x, scenes.ABOVE, scenes.BELOW)
    torch.testing.assert_close(guidance.mean(x[1:2], scenes.ABOVE, scenes.BELOW), together[1:2])
    apart = lambda noisy, posterior, falling, points: noisy / (1 + posterior.sigma[..., None] ** 2)
    whole = Forcing(scenes.prior(apart), seen).mean(x, scenes.ABOVE, scenes.BELOW)
    alone = Forcing(scenes.prior(apart), seen.frames(slice(1, 2)))
    torch.testing.assert_close(alone.mean(x[:, 1:2], scenes.ABOVE[1:2], scenes.BELOW[1:2]), whole[:, 1:2])


def test_with_a_spectrum_the_estimate_moves_towards_it():
    """A field without small scales gains some."""
    process = oracle.process(24, seed=2)
    shape = (1, 1, 24)
    spectrum, level = Spectrum.of(process, shape), torch.tensor([0.05])
    flat = 0.01 * torch.randn(1, 1, 24, generator=torch.Generator().manual_seed(0))
    flat = flat + torch.cos(2 * torch.pi * torch.arange(24) / 24)
    expected, here = spectrum.power.double().numpy(), flat.double().numpy().reshape(1, *shape)
    slope = spectrum.gradient(flat, level)
    downhill = (flat - 0.01 * slope / slope.norm()).double().numpy().reshape(1, *shape)
    assert misfit(downhill, np.array([0.05]), expected) < misfit(here, np.array([0.05]), expected)
