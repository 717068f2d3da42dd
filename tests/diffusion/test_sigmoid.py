"""The levels of ForcingDAS, against golden numbers worked out from the published formulas."""

import numpy as np
import pytest
import torch

from hindsight.diffusion import denoiser, noise, sigmoid
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Values

GOLDEN = {
    0: 0.9997,
    9: 0.996923,
    14: 0.995321,
    19: 0.993675,
    49: 0.982823,
    99: 0.960507,
    249: 0.850854,
    499: 0.5,
    749: 0.149146,
    899: 0.0394928,
    949: 0.0171767,
    989: 0.00307729,
    998: 3.0028e-4,
    999: 3.0028e-7,
}


@pytest.mark.parametrize(("index", "expected"), GOLDEN.items())
def test_the_share_of_signal(index, expected):
    assert sigmoid.alpha_bar()[index] == pytest.approx(expected, rel=2e-5)


def test_the_signal_to_noise_ratio_at_two_levels():
    ratio = sigmoid.sigmas() ** -2
    assert ratio[14] == pytest.approx(212.70, rel=1e-4) and ratio[249] == pytest.approx(5.7048, rel=1e-4)


def at(*indices):
    return torch.tensor(sigmoid.sigmas()[list(indices)])[None]


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([14, 249, 499, 749, 999], [0.023397, 0.829436, 0.828767, 0.823284, 0.817094]),
        ([999, 749, 499, 249, 14], [3e-7, 0.149147, 0.501343, 0.746436, 0.024517]),
        ([499] * 3, [0.5, 0.638728, 0.638728]),
        ([14], [0.023397]),  # alone: plain min-SNR, min(snr, 5) / (snr + 1)
        ([249], [0.745732]),
        ([749], [0.149146]),
    ],
)
def test_fused_weights(indices, expected):
    np.testing.assert_allclose(sigmoid.fused_min_snr(at(*indices))[0], expected, atol=1e-6)


def test_levels_and_indices_are_inverse_to_each_other():
    found = sigmoid.index_of(torch.tensor(np.log(sigmoid.sigmas())))
    np.testing.assert_allclose(found, np.arange(1000), atol=1e-9)
    between = sigmoid.index_of(0.5 * (at(100).log() + at(101).log()))
    assert between.item() == pytest.approx(100.5)
    assert sigmoid.index_of(torch.tensor([-50.0, 50.0])).tolist() == [0, 999]


def test_the_levels_of_a_hundred_steps():
    found = sigmoid.indices(100)
    assert found[:4].tolist() == [-1, 9, 19, 29] and found[-2:].tolist() == [989, 999]
    ladder = sigmoid.levels(100)
    assert ladder[0] == 0 and ladder[1] == sigmoid.sigmas()[9] and ladder[-1] == pytest.approx(1824.9, abs=0.1)


def draw(share, stairs, windows=2000, frames=12, steps=10, context=4):
    generator = torch.Generator().manual_seed(0)
    sigma = sigmoid.training_levels(windows, frames, share, stairs, steps, context, generator)
    return sigmoid.index_of(sigma.double().log()).round().long()


def test_independent_levels_are_uniform():
    counts = torch.bincount(draw(0.0, "pyramid").flatten(), minlength=1000)
    assert len(counts) == 1000 and abs(counts.float().mean() - 24) < 1e-6
    assert counts.float().var() == pytest.approx(24, rel=0.25)  # as Poisson's


@pytest.mark.parametrize(("stairs", "delay"), [("pyramid", 1), ("autoregressive", 10)])
def test_staircases_are_rows_of_the_schedule(stairs, delay):
    """Brute force over the published formula: level j = clip(S + j d - m, 0, S) for a row m, after the context."""
    rung = np.maximum(np.trunc(np.linspace(-1, 999, 11)).astype(int), 0)
    tails = {
        given: {
            tuple(rung[np.clip(10 + delay * np.arange(12 - given) - m, 0, 10)])
            for m in range(10 + delay * (12 - given - 1) + 1)
        }
        for given in range(1, 5)
    }
    seen = {given: set() for given in tails}
    for row in draw(1.0, stairs).tolist():
        fits = [given for given in tails if tuple(row[given:]) in tails[given]]
        assert fits, row
        seen[min(fits)].add(tuple(row[min(fits) :]))
    assert all(len(seen[given]) > 0.7 * len(tails[given]) for given in seen)
    assert (draw(1.0, stairs)[:, 4:] == 0).all(1).any()  # the last row: all are finished


def test_a_share_of_windows_has_staircases_and_both_kinds_may_be_mixed():
    rising = lambda found: (found[:, 4:].diff(dim=1) >= 0).all(1).float().mean().item()
    assert rising(draw(0.25, "pyramid")) == pytest.approx(0.25, abs=0.03)
    waiting = lambda found: (((found[:, 4:] > 0) & (found[:, 4:] < 999)).sum(1) <= 1).float().mean().item()
    alone = [waiting(draw(1.0, stairs)) for stairs in ("pyramid", "autoregressive")]
    assert alone[1] == 1 and alone[0] < 0.6
    assert waiting(draw(1.0, "both")) == pytest.approx(sum(alone) / 2, abs=0.04)


def test_sorted_windows_of_one_frame_have_no_staircase():
    assert draw(1.0, "pyramid", frames=1).shape == (2000, 1)


def test_the_white_preconditioning_is_their_velocity():
    """D = sqrt(abar) x_i - sqrt(1 - abar) v, x_i = sqrt(abar) x; and the loss is that of the velocity, weighted."""
    size, generator = 6, torch.Generator().manual_seed(0)
    process = GaussMarkov(Values(torch.tensor(size)), torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size))
    clean, white = torch.randn(2, 3, 4, size, generator=generator).unbind(0)
    sigma = torch.tensor(sigmoid.sigmas(), dtype=torch.float32)[torch.tensor([[0, 9, 14, 249]] * 3)]
    alpha = (1 / (1 + sigma**2))[..., None]
    scaled = alpha.sqrt() * clean + (1 - alpha).sqrt() * white
    velocity = alpha.sqrt() * white - (1 - alpha).sqrt() * clean
    guess = torch.randn(velocity.shape, generator=generator)

    def network(inputs, log_sigma):
        torch.testing.assert_close(inputs[:, :, 0], scaled)
        return -guess

    found = denoiser.denoise(process, network, clean + sigma[..., None] * white, sigma)
    torch.testing.assert_close(found, alpha.sqrt() * scaled - (1 - alpha).sqrt() * guess, atol=1e-5, rtol=1e-5)
    weight = sigmoid.fused_min_snr(sigma)
    expected = (weight[..., None] * (guess - velocity).square()).mean()
    torch.testing.assert_close(denoiser.loss(process, found, clean, sigma, weight=weight), expected, rtol=1e-3, atol=0)


def test_their_levels_cover_ours():
    ours = noise.levels(20, 0.02, 40.0, 7.0)
    assert sigmoid.sigmas()[0] < ours[1] and sigmoid.sigmas()[-1] > ours[-1]
