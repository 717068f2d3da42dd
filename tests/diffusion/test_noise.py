"""Noise levels."""

import numpy as np
import torch

from hindsight.diffusion import noise


def test_levels_run_from_clean_to_pure_noise_as_karras_has_them():
    sigma = noise.levels(5, 0.02, 80.0, 7.0)
    assert sigma[0] == 0 and np.isclose(sigma[1], 0.02) and np.isclose(sigma[-1], 80.0)
    assert (np.diff(sigma) > 0).all()
    np.testing.assert_allclose(np.diff(sigma[1:] ** (1 / 7)), np.diff(sigma[1:] ** (1 / 7))[0])  # even in sigma^(1/rho)


def test_one_step_starts_at_the_largest_level():
    np.testing.assert_allclose(noise.levels(1, 0.1, 3.0, 7.0), [0, 3.0])


def test_training_levels_come_in_the_shares_asked_for():
    sigma = noise.training_levels(4000, 6, 0.02, 40.0, 0.5, 0.2, torch.Generator().manual_seed(0))
    equal = (sigma == sigma[:, :1]).all(1)
    rising = (sigma.diff(dim=1) >= 0).all(1) & ~equal
    assert abs(equal.float().mean() - 0.5) < 0.03
    assert abs(rising.float().mean() - 0.2) < 0.03  # independent levels rise by chance once in 720
    assert sigma.min() >= 0.02 and sigma.max() <= 40.0


def test_training_levels_are_log_uniform():
    log = noise.training_levels(20000, 1, 0.1, 10.0, 0.0, 0.0, torch.Generator().manual_seed(1)).log10()
    assert abs(log.mean()) < 0.02 and abs(log.var() - 4 / 12) < 0.01


SHAPE = (2, 6, 8)


def points(windows=6000, frames=5, shape=SHAPE, share=0.6, least=0.05, most=1.0, seed=0):
    """Inverse variances of the observed values of training windows, (B, T, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    found = noise.training_points(windows, frames, shape, share, least, most, generator)
    assert found.shape == (windows, frames, np.prod(shape))
    return found.view(windows, frames, *shape)


def test_points_are_drawn_for_the_share_of_windows_asked_for():
    for share in (0.0, 0.3, 1.0):
        found = points(share=share)
        some = (found > 0).flatten(1).any(1).float().mean().item()
        # some windows fall silent from their first frame on, or are so sparse that nothing is seen
        assert 0.86 * share <= some <= share + 0.02


def test_all_channels_of_a_place_are_observed_with_one_error_a_window():
    found = points(windows=500)
    assert torch.equal(found[:, :, 0], found[:, :, 1])
    for window in found:
        assert len(window[window > 0].unique()) <= 1


def test_errors_are_log_uniform_between_their_ends():
    found = points(share=1.0, least=0.05, most=1.0).flatten(1).amax(1)
    error = found[found > 0].rsqrt()
    assert error.min() >= 0.05 * (1 - 1e-5) and error.max() <= 1 + 1e-5
    along = (error / 0.05).log() / np.log(20)
    assert abs(along.mean() - 0.5) < 0.02 and abs(along.var() - 1 / 12) < 0.005
    same = points(windows=300, share=1.0, least=0.2, most=0.2)
    np.testing.assert_allclose(same[same > 0], 25, rtol=1e-5)


def kinds(found):
    """How windows with observations are thinned, by their first observed frame; whether the observations end."""
    mask = found[:, :, 0] > 0
    names = []
    for window in mask[mask.flatten(1).any(1)]:
        seen = window[window.flatten(1).any(1)]
        first = seen[0]
        for every in (1, 2, 4):
            if any(torch.equal(first, comb(every, offset)) for offset in range(every)):
                names.append(every if (seen == first).all() else "restless")
                break
        else:
            names.append("still" if (seen == first).all() else "restless")
    return names


def comb(every, offset, height=SHAPE[1], width=SHAPE[2]):
    """Every nth row and column, from an offset on."""
    found = torch.zeros(height, width, dtype=torch.bool)
    found[offset::every, offset::every] = True
    return found


def test_every_kind_of_network_has_its_share():
    names = kinds(points(windows=4000, share=1.0))
    share = lambda name: names.count(name) / len(names)
    for every in (1, 2, 4):
        assert 0.16 < share(every) < 0.25  # three fifths, in three parts
    assert 0.14 < share("still") < 0.24 and 0.14 < share("restless") < 0.24


def test_every_offset_of_a_thinned_network_occurs():
    mask = points(windows=4000, share=1.0)[:, 0, 0] > 0
    for every in (2, 4):
        for k in range(every):
            offset = -k % every
            assert any(torch.equal(window, comb(every, offset)) for window in mask)


def test_in_a_third_of_the_windows_the_observations_end():
    """Every frame is equally likely to be the first without."""
    mask = (points(windows=6000, frames=5, share=1.0)[:, :, 0] > 0).flatten(2).any(2)
    full = points(windows=6000, frames=5, share=1.0)[:, :, 0] > 0
    dense = full.flatten(2).float().mean(2).amax(1) > 0.5  # those of which a frame is not empty by chance
    mask = mask[dense]
    assert (mask.int().diff(dim=1) <= 0).all()
    silent = ~mask[:, -1]  # from frame 1, 2, 3 or 4: those from frame 0 are not among the dense
    assert abs(silent.float().mean().item() - (4 / 15) / (14 / 15)) < 0.03
    lasts = mask[silent].sum(1)
    for frames in (1, 2, 3, 4):
        assert abs((lasts == frames).float().mean().item() - 0.25) < 0.06


def test_a_ring_is_thinned_along_itself():
    mask = points(windows=2000, shape=(1, 1, 8), share=1.0)[:, 0, 0] > 0
    for every in (1, 2, 4):
        for offset in range(every):
            assert any(torch.equal(window, ring(every, offset)) for window in mask)


def ring(every, offset):
    found = torch.zeros(1, 8, dtype=torch.bool)
    found[:, offset::every] = True
    return found
