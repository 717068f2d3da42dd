"""The sampler; test_exact_smoother.py tests that it is exact."""

import copy

import numpy as np
import pytest
import torch

from hindsight.diffusion import sampler, schedule, steps
from hindsight.diffusion.schedule import Cycle
from hindsight.diffusion.steps.covariance import Covariance
from hindsight.diffusion.steps.ddim import Ddim
from hindsight.diffusion.steps.second_order import SecondOrder
from tests.diffusion.test_exact_smoother import FRAMES, SIZE, analytic, ladder, observe, sampled, white
from tests.oracles import linear_gaussian as oracle


class Flat:
    """A denoiser whose estimate is the same number everywhere."""

    def __init__(self, number=0.0):
        self.number, self.calls = number, []

    def mean(self, noisy, above, below):
        return torch.full_like(noisy, self.number)

    def start(self, noisy, level, white):
        self.calls.append((noisy.clone(), level.clone()))
        return torch.full_like(noisy, self.number)


class Recorded(steps.Step):
    """A step that changes nothing and records its input."""

    def __init__(self):
        self.seen, self.begun = [], 0

    def begin(self):
        self.begun += 1

    def __call__(self, x, above, below, denoiser, white):
        self.seen.append(x.clone())
        return x


def fresh(members=2, frames=FRAMES, size=SIZE):
    return sampler.State(torch.zeros(members, frames, size), np.full(frames, np.inf))


def test_the_spread_of_the_usual_step_is_too_small():
    """The covariance-aware step avoids this: from the mean alone, one step leaves next to no spread."""
    process, seen = oracle.process(SIZE), observe([2, 7])
    cycles = schedule.batch(FRAMES, ladder(1))
    usual = sampled(process, cycles, analytic(process, seen), Ddim(1.0), members=50)
    aware = sampled(process, cycles, analytic(process, seen), Covariance(), members=50)
    assert usual.std(0).mean() < 0.3 * aware.std(0).mean()


@pytest.mark.parametrize(("wrong", "bound"), [(float("nan"), float("inf")), (float("inf"), float("inf")), (100.0, 9.0)])
def test_members_that_diverge_are_named_and_never_returned(wrong, bound):
    """In the second step of the second cycle, two of five members."""
    cycles, calls = schedule.moving_window(3, np.array([0.0, 1.0, 2.0]), 0, 3), []

    class Astray(Flat):
        def mean(self, noisy, above, below):
            calls.append(1)
            clean = torch.zeros_like(noisy)
            if len(calls) == 4:
                clean[[1, 3], -1] = wrong
            return clean

    state, step_settings = fresh(5, 3), sampler.StepSettings(Ddim(), bound=bound)
    walk = sampler.sample(cycles, state, lambda view: Astray(), step_settings, white(5))
    next(walk)
    before = copy.deepcopy(state)
    with pytest.raises(sampler.Diverged, match="1, 3 diverged in step 2 of cycle 2") as error:
        next(walk)
    assert error.value.describe([8, 9, 10, 11, 12]) == "member(s) 9, 11 diverged in step 2 of cycle 2"
    assert error.value.members == [1, 3] and isinstance(error.value, FloatingPointError)
    assert torch.equal(state.fields, before.fields) and state.finished == before.finished == 1


def test_each_channel_has_its_bound_and_is_named():
    """One of 69 channels at forty standard deviations does not show in the mean of all."""
    x = torch.full((2, 3, 69, 20), 0.9)
    x[1, 2, 68] = 40.0
    cycle = Cycle(0, np.array([[1.0] * 3, [0.1] * 3]), np.zeros(3, int), 3)
    check = lambda bound, x=x: sampler._check_bounds(
        x.flatten(2), cycle, 4, 1, sampler.StepSettings(Ddim(), bound=bound)
    )
    assert x.square().mean((2, 3)).sqrt().max() < 6
    check(6.0)
    check((6.0,) * 68 + (60.0,))
    with pytest.raises(sampler.Diverged) as error:
        check((6.0,) * 69)
    assert (error.value.members, error.value.channels) == ([1], [68])


@pytest.mark.parametrize("count", [1, 4, 1000])
def test_white_noise_is_plausible_however_few_values_a_channel_has(count):
    noise = 30 * torch.randn(4000, 1, 2 * count, generator=torch.Generator().manual_seed(0))
    cycle = Cycle(0, np.array([[40.0], [30.0]]), np.zeros(1, int), 1)
    sampler._check_bounds(noise, cycle, 0, 1, sampler.StepSettings(Ddim(), bound=(6.0, 6.0)))


def test_a_frame_may_be_as_large_as_its_noise():
    """The bound grows with the noise level: twice the noise has not diverged, the same without noise has."""
    state, step_settings = fresh(1, 1), sampler.StepSettings(Recorded(), bound=3.0)
    loud = lambda view, counts, purpose, size=None: torch.full((1, 1, SIZE), 1.9)
    falling = [Cycle(0, np.array([[40.0], [39.0]]), np.zeros(1, int), 1)]
    next(sampler.sample(falling, state, lambda view: Flat(), step_settings, loud))
    with pytest.raises(sampler.Diverged):
        clean = [Cycle(0, np.array([[40.0], [0.0]]), np.zeros(1, int), 1)]
        next(sampler.sample(clean, fresh(1, 1), lambda view: Flat(), step_settings, loud))


def test_new_frames_enter_at_the_largest_level_and_others_are_brought_to_the_first_of_the_cycle():
    drawn = {purpose: torch.randn(2, 3, SIZE) for purpose in ("start", "carry")}
    noise = lambda view, counts, purpose, size=None: drawn[purpose]
    state, step, flat = fresh(2, 3), Recorded(), Flat(7.0)
    state.fields[:], state.level[:] = 5.0, [0.0, 0.3, np.inf]
    cycle = Cycle(0, np.array([[0.5, 0.3, 2.0], [0.4, 0.2, 1.0]]), np.arange(3), 0)
    next(sampler.sample([cycle], state, lambda view: flat, sampler.StepSettings(step), noise))
    x = step.seen[0]
    torch.testing.assert_close(x[:, 0], 5 + 0.5 * drawn["carry"][:, 0])
    assert torch.equal(x[:, 1], torch.full((2, SIZE), 5.0))  # noisy enough
    torch.testing.assert_close(x[:, 2], 7 + 2.0 * drawn["start"][:, 2])
    (noisy, level), *others = flat.calls
    assert not others and level.tolist() == pytest.approx([0.0, 0.3, np.inf]) and (noisy[:, 2] == 0).all()
    assert (noisy[:, :2] == 5).all()  # what enters is drawn given what is there
    assert state.level.tolist() == [0.4, 0.2, 1.0]


def test_which_frames_begin_anew():
    """New ones, and with them those brought to their level; never those of a pass, in which no frame is new."""
    anew = lambda first, level, **more: (
        Cycle(0, np.array([first, [0.1, 0.1], [0.0, 0.0]]), np.arange(2), 0, **more)
        .new_frames(np.array(level))
        .tolist()
    )
    assert anew([2.0, 2.0], [np.inf, np.inf]) == [True, True]
    assert anew([2.0, 2.0], [0.0, np.inf]) == [True, True] and anew([0.5, 2.0], [0.0, np.inf]) == [False, True]
    assert anew([2.0, 2.0], [2.0, np.inf]) == [False, True]  # a frame that is still at that level stays
    assert anew([0.5, 0.5], [0.0, 0.0]) == [False, False]
    assert anew([2.0, 2.0], [0.0, np.inf], inversion=3) == [False, True]


def test_added_noise_is_the_difference_of_the_variances():
    state, step = fresh(1, 1), Recorded()
    state.level[:] = 0.3
    noise = lambda view, counts, purpose, size=None: torch.ones(1, 1, SIZE)
    cycle = Cycle(0, np.array([[0.5], [0.0]]), np.zeros(1, int), 1)
    next(sampler.sample([cycle], state, lambda view: Flat(), sampler.StepSettings(step), noise))
    torch.testing.assert_close(step.seen[0], torch.full((1, 1, SIZE), 0.4))  # 0.3, 0.4, 0.5


def test_frames_whose_level_does_not_fall_stay_as_they_are():
    rows = np.array([[2.0, 2.0], [1.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
    for step in (Ddim(1.0), SecondOrder(), Covariance()):
        seen = []

        class Watched(Flat):
            def mean(self, noisy, above, below):
                seen.append(noisy.clone())  # noqa: B023
                return super().mean(noisy, above, below)

            draw = lambda self, noisy, above, below, white: self.mean(noisy, above, below)

        next(
            sampler.sample(
                [Cycle(0, rows, np.zeros(2, int), 2)],
                fresh(1, 2),
                lambda view, kind=Watched: kind(),
                sampler.StepSettings(step, corrections=0),
                white(1),
            )
        )
        assert torch.equal(seen[0][:, 1], seen[1][:, 1])  # frame 1 waited in the first step
        assert torch.equal(seen[1][:, 0], seen[2][:, 0]) and not torch.equal(seen[0][:, 0], seen[1][:, 0])


REGIMES = {
    "sampled_again": schedule.moving_window(FRAMES, ladder(3), 1, 4),
    "staircase": schedule.staircase(FRAMES, ladder(3), 1, 4),
    "particles": schedule.moving_window(FRAMES, ladder(3), 1, 3, hop=2, carried=0.5, weigh="after"),
    "particles, weighted before": schedule.moving_window(FRAMES, ladder(3), 1, 3, hop=2, carried=0.5, weigh="before"),
    "particle filter": schedule.staircase(FRAMES, ladder(3), 1, 4, weigh="before"),
    "passes": schedule.rejuvenated(FRAMES, ladder(3), 2, 0.5),
    "batch": schedule.batch(FRAMES, ladder(3)),
}
STEPS = {"covariance": Covariance, "second order": SecondOrder}


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("step", STEPS)
def test_sampling_that_is_interrupted_and_resumed_ends_with_the_same_bits(regime, step):
    process, seen, cycles = oracle.process(SIZE), observe([2, 7]), REGIMES[regime]
    rows_done, inside = [], []
    shuffle = lambda members, level, cycle: members.flip(0)
    between = lambda state: inside.append(copy.deepcopy(state))

    def go(state):
        step_settings = sampler.StepSettings(STEPS[step](), corrections=1)
        return sampler.sample(
            cycles, state, analytic(process, seen), step_settings, white(4), shuffle, rows_done.append, between
        )

    kept = [copy.deepcopy(state) for state in go(fresh(4))]
    whole, counted = kept[-1], rows_done.copy()
    assert counted == list(range(1, 1 + sum(len(cycle.rows) - 1 for cycle in cycles)))
    assert whole.finished == FRAMES and (whole.level == 0).all() and len(kept) == len(cycles)
    assert len(inside) + len(kept) == len(counted)  # it can be left after every row
    for state in [*kept[:-1], *inside]:
        rows_done.clear()
        *_, last = go(state)
        assert torch.equal(last.fields, whole.fields) and last.finished == FRAMES
        assert rows_done == counted[-len(rows_done) :]
    assert list(go(whole)) == []


@pytest.mark.parametrize("regime", REGIMES)
def test_no_two_draws_share_a_key(regime):
    drawn = []

    def noise(view, counts, purpose, size=None):
        drawn.extend((frame, int(count), purpose) for frame, count in zip(range(view.start, view.stop), counts))
        return torch.zeros(2, len(counts), size or SIZE)

    process, cycles = oracle.process(SIZE), REGIMES[regime]
    step_settings = sampler.StepSettings(Covariance(), corrections=3)
    for _ in sampler.sample(cycles, fresh(), analytic(process, observe([2, 7])), step_settings, noise):
        pass
    assert len(drawn) > 100 and len(set(drawn)) == len(drawn)


def test_members_are_resampled_after_the_cycles_that_weigh_them_after_only():
    resampled, found = [], []
    cycles = schedule.rejuvenated(2, np.array([0.0, 1.0]), passes=1, sigma=0.5)
    resample = lambda members, level, cycle: resampled.append(cycle) or torch.full_like(members, 3.0)
    for state in sampler.sample(
        cycles, fresh(2, 2), lambda view: Flat(), sampler.StepSettings(Ddim()), white(2), resample
    ):
        found.append(state.fields.mean().item())
    assert resampled == [cycles[0]] and found == [3.0, 0.0]


def test_members_are_resampled_before_frames_enter_with_the_levels_of_those_that_have():
    given, cycles = [], schedule.staircase(4, np.array([0.0, 1.0, 2.0]), 1, 4, weigh="before")

    def resample(members, level, cycle):
        given.append((members.clone(), level.copy(), cycle))
        return members

    kept = [
        copy.deepcopy(state.fields)
        for state in sampler.sample(
            cycles, fresh(2, 4), lambda view: Flat(), sampler.StepSettings(Ddim()), white(2), resample
        )
    ]
    assert [cycle for _, _, cycle in given] == cycles[1:]  # before the first, no frame has entered
    for before, (members, level, cycle) in zip(kept, given):
        assert np.isinf(level[-1]) and np.isfinite(level[:-1]).all() and level[-2] == cycle.rows[0][-2] > 0
        assert torch.equal(members[:, :-1], before[:, cycle.view][:, :-1])


def test_corrections_are_made_at_the_level_of_each_row_and_not_when_clean():
    levels = []

    class Watched(Flat):
        def mean(self, noisy, above, below):
            levels.append((above.item(), below.item()))
            return super().mean(noisy, above, below)

    step_settings = sampler.StepSettings(Ddim(), corrections=2)
    cycle = Cycle(0, np.array([[2.0], [1.0], [0.0]]), np.zeros(1, int), 1)
    *_, state = sampler.sample([cycle], fresh(1, 1), lambda view: Watched(), step_settings, white(1))
    assert levels[:4] == [(2.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 0.0)]
    assert (state.fields == 0).all()


def test_sampling_that_is_interrupted_leaves_gradients_enabled():
    walk = sampler.sample(
        schedule.batch(2, np.array([0.0, 1.0])),
        fresh(1, 2),
        lambda view: Flat(),
        sampler.StepSettings(Ddim()),
        white(1),
    )
    next(walk)
    assert torch.is_grad_enabled()
