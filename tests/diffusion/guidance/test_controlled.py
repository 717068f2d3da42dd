"""Control by a network: its formula, what it is given, and what it leaves as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hindsight.diffusion.denoiser import error_scale
from hindsight.diffusion.guidance import Setup, controlled
from hindsight.diffusion.guidance.controlled import Controlled, LiftedRows
from hindsight.diffusion.guidance.unguided import Cost
from tests.diffusion.guidance import scenes

ERROR = error_scale(scenes.PROCESS, scenes.ABOVE[None])[0]


class Given:
    """A controller of known output, which keeps what it was given."""

    def __init__(self, ahead=1, scale=0.5, shift=-0.25, limits=(0.1, 2.0)):
        self.look_ahead, self.limits, self.parts, self.seen = ahead, limits, (scale, shift), []

    def __call__(self, fields, log_sigma, conditions):
        self.seen.append((fields, log_sigma, conditions))
        return tuple(part * torch.ones_like(fields[:, 0]) for part in self.parts)


class Local(Given):
    """A controller whose output depends on everything that it is given at a point."""

    def __call__(self, fields, log_sigma, conditions):
        mixed = (fields * torch.linspace(0.3, 1, fields.shape[1])[:, None]).sum(1)
        return torch.tanh(mixed + conditions.sum(-1, keepdim=True)), torch.tanh(mixed - log_sigma[:, None])


def guided(control, seen, estimate=scenes.linear, **more):
    return Controlled(scenes.prior(estimate, **more), LiftedRows(seen), control)


def mean(made, x=None, below=scenes.BELOW):
    return made.mean(scenes.noisy() if x is None else x, scenes.ABOVE, below)


def test_the_estimate_is_scaled_and_shifted_by_shares_of_the_bounds():
    clean = mean(scenes.prior())
    found = mean(guided(Given(ahead=4), scenes.seen()))
    torch.testing.assert_close(found, (1 + 0.1 * 0.5) * clean - 2.0 * 0.25 * ERROR[:, None])


@pytest.mark.parametrize("estimate", [scenes.linear, scenes.crooked])
def test_a_control_of_zero_and_no_observations_leave_the_bytes_of_the_prior(estimate):
    clean = mean(scenes.prior(estimate))
    assert torch.equal(mean(guided(Given(scale=0.0, shift=0.0), scenes.seen(), estimate)), clean)
    control, none = Given(), replace(scenes.seen(), present=torch.zeros(scenes.FRAMES, 3))
    assert torch.equal(mean(guided(control, none, estimate)), clean) and not control.seen


def test_a_frame_that_no_observation_ahead_concerns_is_the_priors():
    seen = scenes.seen()
    present = seen.present.clone()
    present[[0, 2, 3]] = 0  # left are those of frames 1 and 4
    clean = mean(scenes.prior())
    for ahead, moved in ((0, [1, 4]), (1, [0, 1, 3, 4]), (2, [0, 1, 2, 3, 4])):
        found = mean(guided(Given(ahead), replace(seen, present=present)))
        changed = (found != clean).flatten(2).any(2).any(0)
        assert torch.nonzero(changed)[:, 0].tolist() == moved


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_it_is_causal_to_the_bit_up_to_its_look_ahead(ahead):
    """Later observations of any kind change no bit of a frame; those within the look-ahead do."""
    seen, frame = scenes.seen(), 1
    base = mean(guided(Local(ahead), seen))
    later = torch.arange(scenes.FRAMES)[:, None] > frame + ahead
    for other in (
        replace(seen, value=seen.value + later),
        replace(seen, present=seen.present * ~later),
        replace(seen, error=torch.where(later, 0.01, seen.error)),
        replace(seen, point=torch.where(later[..., None], (seen.point + 1) % scenes.SIZE, seen.point)),
    ):
        found = mean(guided(Local(ahead), other))
        assert torch.equal(found[:, : frame + 1], base[:, : frame + 1])
        assert not torch.equal(found[:, frame + 1 :], base[:, frame + 1 :])
    within = replace(seen, value=seen.value + (torch.arange(scenes.FRAMES)[:, None] == frame))
    assert not torch.equal(mean(guided(Local(ahead), within))[:, frame], base[:, frame])


def test_only_frames_whose_level_falls_are_controlled():
    below, control = scenes.ABOVE.clone(), Given()
    below[[1, 3]] /= 2
    found = mean(guided(control, scenes.seen()), below=below)
    changed = (found != mean(scenes.prior(), below=below)).flatten(2).any(2).any(0)
    assert changed.tolist() == [False, True, False, True, False]
    assert len(control.seen[0][0]) == 2 * scenes.MEMBERS


def test_it_is_given_noisy_denoised_and_earlier_state_and_what_is_ahead():
    x, seen, control = scenes.noisy(), scenes.seen(grid=True), Given(ahead=2)
    mean(guided(control, seen), x)
    clean, lifted = mean(scenes.prior()), LiftedRows(seen)(mean(scenes.prior()), ERROR)
    fields, log_sigma, conditions = control.seen[0]
    fields = fields.view(scenes.MEMBERS, scenes.FRAMES, controlled.inputs_of(2), scenes.SIZE)
    torch.testing.assert_close(fields[:, :, 0], x / (1 + scenes.ABOVE.square()).sqrt()[:, None])
    torch.testing.assert_close(fields[:, :, 1], clean)
    torch.testing.assert_close(fields[:, 1:, 2], clean[:, :-1])
    assert (fields[:, 0, 2] == 0).all()
    for j in range(3):
        ends = scenes.FRAMES - j
        torch.testing.assert_close(fields[:, :ends, 3 + j], lifted.departure[:, j:])
        torch.testing.assert_close(fields[:, :ends, 6 + j], lifted.share[:, j:].expand(scenes.MEMBERS, -1, -1))
        assert (fields[:, ends:, [3 + j, 6 + j]] == 0).all()
    torch.testing.assert_close(log_sigma.view(scenes.MEMBERS, -1)[0], scenes.ABOVE.log())
    wait, share = conditions.view(scenes.MEMBERS, scenes.FRAMES, 2).unbind(-1)
    torch.testing.assert_close(wait[0], torch.tensor([0, 0, 1, 0, 0]) / 3)
    expected = (fields[:, :, 6:] > 0).double().mean((2, 3)).sqrt().float()
    torch.testing.assert_close(share, expected)


def test_departures_go_to_the_points_by_their_squared_weights():
    """d_n = (y - h x) / (c^2 |h|^2 + r^2)^(1/2) at point k is their mean by h_k^2 / |h|^2, or the sum below one."""
    seen, clean = scenes.seen(), scenes.noisy(3)
    found = LiftedRows(seen)(clean, ERROR)
    for member, t in np.ndindex(scenes.MEMBERS, scenes.FRAMES):
        total, share, count = (np.zeros(scenes.SIZE) for _ in range(3))
        for n in torch.nonzero(seen.present[t])[:, 0]:
            h = np.zeros(scenes.SIZE)
            np.add.at(h, seen.point[t, n].numpy(), seen.weight[t, n].double().numpy())
            part, expected = h**2 / (h**2).sum(), float(ERROR[t]) ** 2 * (h**2).sum()
            left = float(seen.value[t, n]) - h @ clean[member, t].double().numpy()
            total += part * left / (expected + float(seen.error[t, n]) ** 2) ** 0.5
            share += part * expected / (expected + float(seen.error[t, n]) ** 2)
            count += part
        np.testing.assert_allclose(found.departure[member, t], total / np.maximum(count, 1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.share[0, t], share / np.maximum(count, 1), rtol=1e-4, atol=1e-5)


def test_there_is_no_pass_back_and_one_evaluation_a_step():
    cost = Cost()

    def estimate(noisy, posterior, falls, points):
        cost.evaluations += noisy.shape[0] * noisy.shape[1]
        return scenes.linear(noisy, posterior, falls, points)

    mean(guided(Given(), scenes.seen(), estimate, cost=cost))
    assert (cost.evaluations, cost.backward) == (scenes.MEMBERS * scenes.FRAMES, 0)


def test_the_size_of_the_control_and_the_points_at_its_bound_are_counted():
    """Of frames 0, 1, 3 and 4, which have observations, and of frame 2, which waits for one."""
    points = scenes.MEMBERS * scenes.FRAMES * scenes.SIZE
    for shift, at_bound in ((-0.25, 0), (0.995, points), (-1.0, points)):
        cost = Cost()
        mean(guided(Given(shift=shift), scenes.seen(), cost=cost))
        assert (cost.controlled, cost.at_bound) == (points, at_bound)
        assert cost.control == pytest.approx(points * (2 * shift) ** 2)


def test_a_set_up_without_a_controller_is_refused():
    with pytest.raises(ValueError, match="needs a controller"):
        controlled.build(Setup(scenes.prior(), scenes.seen(), (1, 1, scenes.SIZE)))
    made = controlled.build(Setup(scenes.prior(), scenes.seen(), (1, 1, scenes.SIZE), control=Given()))
    assert isinstance(made, Controlled) and not torch.equal(mean(made), mean(scenes.prior()))
