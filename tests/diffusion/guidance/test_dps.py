"""Diffusion posterior sampling as published, from a brute-force gradient."""

import pytest
import torch

from hindsight.diffusion.guidance.dps import Dps, shift_factor
from hindsight.diffusion.steps.ddim import Ddim
from tests.diffusion.guidance import scenes


def published(loss, x, above, below, zeta, estimate):
    """x'_b of a deterministic step minus zeta times a gradient by x'_a, where x' = x / sqrt(1 + sigma^2); (T, D).

    `loss` is told the denoised estimate (T, D); a frame whose level does not fall stays.
    """
    keep = lambda level: (1 + level.square()).sqrt()[:, None]
    scaled = (x / keep(above)).requires_grad_(True)
    clean = scenes.prior(estimate).mean(scaled[None] * keep(above), above, below)[0]
    slope = torch.autograd.grad(loss(clean), scaled)[0]
    unguided = clean.detach() + (below / above)[:, None] * (x - clean.detach())
    moved = (unguided / keep(below) - zeta * slope) * keep(below)
    return torch.where((below < above)[:, None], moved, x)


def sampled(guidance, x, above, below):
    """A deterministic step with a guided denoiser."""
    return Ddim(0.0)(x, above, below, guidance, lambda purpose, size=None: pytest.fail("it draws nothing"))


BELOW = {"all fall": scenes.BELOW, "one waits": torch.where(torch.arange(5) == 1, scenes.ABOVE, scenes.BELOW)}
BELOW["to clean"] = torch.zeros(5)


@pytest.mark.parametrize("below", BELOW)
@pytest.mark.parametrize("estimate", [scenes.linear, scenes.crooked])
def test_after_a_deterministic_step_it_is_the_published_move_with_one_norm_for_each_member(estimate, below):
    x, seen, zeta, below = scenes.noisy(), scenes.seen(), 0.3, BELOW[below]
    falls = (below < scenes.ABOVE)[:, None]

    def loss(clean):
        """grad ||.||^2 over ||.||, with a constant denominator."""
        gap = (seen.value - seen.forward(clean[None])[0])[(seen.present > 0) & falls]
        return gap.square().sum() / gap.detach().norm()

    found = sampled(Dps(scenes.prior(estimate), seen, zeta), x, scenes.ABOVE, below)
    for member in range(scenes.MEMBERS):
        expected = published(loss, x[member], scenes.ABOVE, below, zeta, estimate)
        scenes.agree(found[member], expected, 2e-4)
        still = published(lambda clean: 0 * clean.sum(), x[member], scenes.ABOVE, below, zeta, estimate)
        assert (found[member] - still).abs().max() > 0.05


def test_members_do_not_share_their_norm():
    x, seen = scenes.noisy(), scenes.seen()
    together = Dps(scenes.prior(), seen).mean(x, scenes.ABOVE, scenes.BELOW)
    torch.testing.assert_close(Dps(scenes.prior(), seen).mean(x[1:2], scenes.ABOVE, scenes.BELOW), together[1:2])


def test_without_observations_and_in_a_correction_it_is_the_prior():
    x, seen = scenes.noisy(), scenes.seen()
    clean = scenes.prior().mean(x, scenes.ABOVE, scenes.ABOVE)
    assert torch.equal(Dps(scenes.prior(), seen).mean(x, scenes.ABOVE, scenes.ABOVE), clean)
    here = [t[2:3] for t in (scenes.ABOVE, scenes.BELOW)]
    nothing = Dps(scenes.prior(), seen.frames(slice(2, 3))).mean(x[:, 2:3], *here)
    assert torch.equal(nothing, scenes.prior().mean(x[:, 2:3], *here))


def test_the_shift_factor():
    found = shift_factor(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([[10**0.5 / 0.5], [0.0]]))
