"""The training loop."""

import json
import math
import signal
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from hindsight import signals
from hindsight.diffusion import denoiser, sigmoid
from hindsight.settings import Train
from hindsight.settings.train import Points
from hindsight.train import batches, loop, validation
from hindsight.train.team import Team
from tests.train import helpers


def weights(prior):
    return torch.cat([p.flatten() for p in prior.network.parameters()])


class Killed(Exception):
    """Stands for kill -9 in the middle of a step."""


def globe_windows(seed=0):
    prior, frames = helpers.globe(), 60
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(frames) * np.timedelta64(1, "D")
    return helpers.of(times, (helpers.red(frames, seed) * prior.scaling.measure).astype(np.float32))


POINTS = helpers.SETTINGS.model_copy(update={"points": Points(share=0.7)})


def with_points(seed=0):
    return helpers.prior(POINTS, seed)


WORLDS = {
    "region": (helpers.prior, helpers.windows),
    "globe": (helpers.globe, globe_windows),
    "points": (with_points, helpers.windows),
}


def run(path, seed=0, recipe="recipe", kill_at=None, ask_at=None, world="region", **changed):
    """Train the small prior; `seed` is that of the initial weights."""
    optimiser_step = loop.optimiser_step

    def stop(loss, batch, settings, optimiser, step, team):
        if step == kill_at:
            raise Killed
        if step == ask_at:
            signal.raise_signal(signal.SIGTERM)
        return optimiser_step(loss, batch, settings, optimiser, step, team)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "optimiser_step", stop)
        prior, windows = WORLDS[world]
        settings = (POINTS if world == "points" else helpers.SETTINGS).model_copy(update=changed)
        made = prior(seed=seed)
        made.precision = settings.precision
        return loop.train(made, windows(), windows(seed=1), settings, path, {"recipe": recipe})


@pytest.mark.parametrize("world", WORLDS)
def test_a_killed_and_resumed_run_ends_with_the_same_bits(tmp_path, world):
    whole, curve = run(tmp_path / "whole", world=world)
    for step in (1, 3, 5):  # before the first checkpoint, after one, after two
        with pytest.raises(Killed):
            run(tmp_path / "part", kill_at=step, world=world)
    resumed, again = run(tmp_path / "part", seed=7, world=world)  # other weights: all must come from the checkpoint
    assert torch.equal(weights(whole), weights(resumed))
    assert str(curve) == str(again)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def test_on_sigterm_it_finishes_its_step_and_saves_and_resumes_to_the_same_bits(tmp_path):
    """At every step: before, on and after steps with a validation or a checkpoint."""
    whole, curve = run(tmp_path / "whole")
    for step in range(helpers.SETTINGS.steps):
        with signals.handling("train"), pytest.raises(signals.Stopped, match=f"at step {step + 1} of 6; saved"):
            run(tmp_path / "part", seed=step, ask_at=step)
        with safe_open(tmp_path / "part", "pt") as file:
            assert json.loads(file.metadata()["hindsight"])["step"] == step + 1
    last, again = run(tmp_path / "part", seed=7)  # but for the look at the last step, all was done
    assert torch.equal(weights(whole), weights(last)) and str(curve) == str(again)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def test_a_checkpoint_of_another_recipe_is_not_resumed(tmp_path, capfd):
    first, _ = run(tmp_path / "c", recipe="one", keep="last")
    second, _ = run(tmp_path / "c", seed=5, recipe="two", keep="last")
    assert not torch.equal(weights(first), weights(second))
    assert "training starts anew: recipe one → two" in capfd.readouterr().out


def test_training_learns_what_no_linear_estimate_can(tmp_path):
    """Two states: the ideal denoiser is a tanh, and the linear prior is far from it."""
    settings = helpers.SETTINGS.model_copy(
        update={
            "steps": 500,
            "batch": 16,
            "checkpoint_every": 1000,
            "validate_every": 1000,
            "average": 0.98,
            "sigma_max": 10.0,
        }
    )
    held_out = helpers.windows(seed=5)
    start = helpers.prior(settings)
    closed = validation.errors_by_level(start, held_out, linear=True)
    trained, _ = loop.train(start, helpers.windows(), held_out, settings, tmp_path / "c", {})
    learnt = validation.errors_by_level(trained, held_out)
    assert learnt["sigma_3"] < 0.85 * closed["sigma_3"]
    assert learnt["sigma_1"] < 0.65 * closed["sigma_1"]


@pytest.mark.parametrize("world", WORLDS)
def test_an_untrained_prior_is_the_linear_prior(world):
    make, windows = WORLDS[world]
    prior, held_out = make(), windows(seed=5)
    assert validation.errors_by_level(prior.eval(), held_out) == validation.errors_by_level(
        prior, held_out, linear=True
    )


@pytest.mark.slow
def test_training_learns_to_use_points(tmp_path):
    """One observed value determines which of two states it is; the linear prior can only add inverse variances."""
    more = {"steps": 500, "batch": 16, "checkpoint_every": 1000, "validate_every": 1000, "average": 0.98}
    settings = POINTS.model_copy(update=more | {"sigma_max": 10.0, "points": Points(share=1.0, error_min=0.1)})
    prior = helpers.prior(settings)
    trained, _ = loop.train(prior, helpers.windows(), helpers.windows(seed=5), settings, tmp_path / "c", {})
    clean, header = helpers.windows(seed=6).draw(64, torch.Generator().manual_seed(1))
    sigma, generator = torch.full((64, 4), 8.0), torch.Generator().manual_seed(2)
    noisy = clean + 8 * torch.randn(clean.shape, generator=generator)
    some = torch.zeros(16)
    some[::4] = 1 / 0.3**2
    value = clean + 0.3 * torch.randn(clean.shape, generator=generator)
    points = denoiser.Points(value, some.expand_as(clean))
    idle = lambda inputs, *_: torch.zeros_like(inputs[:, :, 0])
    wrong = lambda found: ((found - clean)[..., some == 0]).square().mean().sqrt().item()  # where nothing was seen
    closed = wrong(denoiser.denoise(prior.process, idle, noisy, sigma, header, points=points))
    with torch.no_grad():
        without, learnt = (
            wrong(trained.denoise(noisy, sigma, header)),
            wrong(trained.denoise(noisy, sigma, header, points)),
        )
    assert learnt < 0.9 * without and learnt < 0.9 * closed


def test_the_learning_rate_warms_up_and_decays_to_zero_or_stays():
    settings = helpers.SETTINGS.model_copy(update={"warmup": 10, "steps": 100})
    assert loop.learning_rate_factor(0, settings) == pytest.approx(0.1)
    assert max(loop.learning_rate_factor(s, settings) for s in range(100)) < 1
    assert loop.learning_rate_factor(100, settings) == pytest.approx(0)
    steady = settings.model_copy(update={"learning_rate_decay": "constant"})
    assert (
        loop.learning_rate_factor(0, steady) == pytest.approx(0.1)
        and loop.learning_rate_factor(10, steady) == loop.learning_rate_factor(99, steady) == 1
    )


def test_accumulated_gradients_give_the_step_of_the_whole_batch(tmp_path):
    plain = helpers.SETTINGS.backbone.model_copy(update={"dropout": 0.0})
    whole, parts = (
        run(tmp_path / str(k), keep="last", accumulate=k, backbone=plain)[0].network.state_dict() for k in (1, 4)
    )
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("change", [{"recompute": True}, {"cache_mb": 1}])
def test_ways_to_save_memory_change_no_bit(tmp_path, change):
    plain, _ = run(tmp_path / "plain", keep="last")
    saving, _ = run(tmp_path / "saving", keep="last", **change)
    assert torch.equal(weights(plain), weights(saving))


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(tmp_path):
    plain = helpers.SETTINGS.backbone.model_copy(update={"dropout": 0.0})
    eager, compiled = (
        run(tmp_path / str(k), keep="last", compile=k, backbone=plain, steps=2)[0] for k in (False, True)
    )
    torch.testing.assert_close(weights(eager), weights(compiled), atol=1e-4, rtol=1e-3)
    assert list(compiled.network.state_dict()) == list(eager.network.state_dict())


def worse_from(monkeypatch, step):
    """Validation errors fall until a step and rise after it."""
    count = iter(range(100))
    score = lambda k: 1.0 - 0.1 * k if k <= step else 2.0 + 0.1 * k
    monkeypatch.setattr(loop.validation, "errors_by_level", lambda *_, **__: {"sigma_1": score(next(count))})


def test_the_best_weights_are_kept_and_training_stops_without_improvement(tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        worse_from(patch, 2)
        last, _ = run(tmp_path / "last", steps=20, validate_every=2, keep="last")
    worse_from(monkeypatch, 2)
    best, curve = run(tmp_path / "best", steps=20, validate_every=2, patience=3)
    assert [row["step"] for row in curve] == [0, 2, 4, 6, 8, 10]  # the best after 4 steps, then three that are worse
    upto = checkpointed(tmp_path / "upto", 4)
    assert torch.equal(weights(best), upto) and not torch.equal(weights(last), upto)


def test_the_best_weights_are_judged_by_all_kinds_of_noise_levels(tmp_path, monkeypatch):
    """The error at equal levels falls while that of staircases, half of the windows, rises by more."""
    validations = iter(range(20))
    better = lambda *_, **__: {"sigma_1": 1.0 - 0.05 * next(validations)}
    seen = iter([1.0, 0.9, 0.8, 0.95, 1.2, 1.5])
    monkeypatch.setattr(loop.validation, "errors_by_level", better)
    monkeypatch.setattr(loop.validation, "errors_by_kind", lambda *_: {"kind_staircase": next(seen)})
    shares = {"equal_share": 0.5, "staircase_share": 0.5}
    best, curve = run(tmp_path / "c", steps=10, validate_every=2, **shares)
    monkeypatch.setattr(loop.validation, "errors_by_kind", lambda *_: {"kind_staircase": 1.0})
    validations = iter(range(20))
    upto, _ = run(tmp_path / "d", steps=10, validate_every=2, **shares)
    assert [row["kind_staircase"] for row in curve] == [1.0, 0.9, 0.8, 0.95, 1.2, 1.5]
    with safe_open(tmp_path / "c", "pt") as file:
        kept, last = (file.get_tensor(f"{name}/leave.convolution.weight") for name in ("best", "average"))
    assert torch.equal(best.network.leave.convolution.weight, kept) and not torch.equal(kept, last)
    assert torch.equal(
        upto.network.leave.convolution.weight, last
    )  # where staircases stay as they are, the end is best


def checkpointed(path, steps):
    """The averaged weights after some steps of the run above."""
    with pytest.MonkeyPatch.context() as patch:
        worse_from(patch, 99)
        with pytest.raises(Killed):
            run(path, steps=20, validate_every=2, checkpoint_every=steps, kill_at=steps)
    with safe_open(path, "pt") as file:
        names = [name for name, _ in helpers.prior().network.named_parameters()]
        return torch.cat([file.get_tensor(f"average/{name}").flatten() for name in names])


def test_a_run_that_stopped_early_stays_stopped(tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        worse_from(patch, 1)
        first, curve = run(tmp_path / "c", steps=20, validate_every=2, checkpoint_every=50, patience=2)
    monkeypatch.setattr(loop, "optimiser_step", None)  # no step is taken
    second, again = run(tmp_path / "c", steps=20, validate_every=2, checkpoint_every=50, patience=2, seed=9)
    assert torch.equal(weights(first), weights(second)) and str(again) == str(curve)


def test_validation_does_not_depend_on_the_number_of_windows_at_once():
    prior = helpers.prior().eval()
    whole, parts = (validation.errors_by_level(prior, helpers.windows(seed=5), at_once=n) for n in (64, 5))
    assert whole == pytest.approx(parts, rel=1e-5)


class Slope(nn.Module):
    """A loss whose gradient is known: a factor times the sum of all weights; it records its random draws."""

    def __init__(self, prior, steepness):
        super().__init__()
        self.prior, self.steepness, self.drawn = prior, iter(steepness), []

    def forward(self, batch):
        self.drawn.append(torch.rand(()).item())
        return next(self.steepness) * sum(p.sum() for p in self.prior.network.parameters())


def test_a_step_is_that_of_adamw_with_clipped_gradient_and_scheduled_rate():
    """Loshchilov and Hutter (2019), written out."""
    changed = {"betas": (0.8, 0.95), "weight_decay": 0.3, "clip": 0.5, "warmup": 4, "learning_rate_decay": "constant"}
    settings = helpers.SETTINGS.model_copy(update=changed | {"learning_rate": 0.1})
    prior = helpers.prior(settings)
    before, run_ = weights(prior).detach().double(), loop.Trainer(prior, helpers.windows(), settings, Team(), None, {})
    count, steepness = len(before), [3.0, -2.0, 1e-4]  # the first two are too steep
    batch, loss = batches.make(helpers.windows(), settings, helpers.SHAPE, 0, range(4)), Slope(prior, steepness)
    first, second = 0.0, 0.0
    for step, steep in enumerate(steepness):
        loop.optimiser_step(loss, batch, settings, run_.optimiser, step, Team())
        gradient = steep * min(1, 0.5 / (abs(steep) * math.sqrt(count)))
        first, second = 0.8 * first + 0.2 * gradient, 0.95 * second + 0.05 * gradient**2
        move = first / (1 - 0.8 ** (step + 1)) / (math.sqrt(second / (1 - 0.95 ** (step + 1))) + 1e-8)
        rate = 0.1 * (step + 1) / 4
        before = before * (1 - rate * 0.3) - rate * move
        torch.testing.assert_close(weights(prior).double(), before, atol=1e-5, rtol=1e-4)


class Mate(Team):
    """One of two processes, without the other."""

    def no_sync(self, model):
        return nullcontext()

    def mean(self, value):
        return value.item()


def test_dropout_depends_on_seed_step_and_process():
    settings, batch = helpers.SETTINGS, batches.make(helpers.windows(), helpers.SETTINGS, helpers.SHAPE, 0, range(4))

    def drawn(step=3, seed=1, team=Mate(0, 2)):  # noqa: B008 (frozen)
        chosen, prior = settings.model_copy(update={"seed": seed}), helpers.prior()
        loss = Slope(prior, [1.0])
        loop.optimiser_step(loss, batch, chosen, torch.optim.SGD(prior.parameters(), 0.1), step, team)
        return loss.drawn[0]

    found = [drawn(), drawn(step=4), drawn(seed=2), drawn(team=Mate(1, 2))]
    assert drawn() == found[0] and len(set(found)) == 4


def published(**changed):
    """A small network in the design of ForcingDAS."""
    small = {"size": None, "width": 16, "depth": 1, "heads": 2, "patch": 2}
    given = {"design": "forcingdas", "window": 4, "batch": 4, "precision": "float32", "backbone": small}
    return Train.model_validate(given | changed)


@pytest.mark.parametrize("weight", ["fused_min_snr", "error"])
def test_the_loss_is_the_weighted_error_of_velocities(weight):
    settings = published(weight=weight)
    made = helpers.prior(settings)
    for parameter in made.network.leave.parameters():
        nn.init.normal_(parameter, std=0.3)
    batch = batches.make(helpers.windows(), settings, helpers.SHAPE, 0, range(4))
    denoised, square = made.denoise(batch.noisy, batch.sigma, batch.conditions), batch.sigma[..., None] ** 2
    velocity = (denoised - batch.clean).square() * (1 + square) / square
    share = sigmoid.fused_min_snr(batch.sigma)[..., None] if weight == "fused_min_snr" else 1.0
    torch.testing.assert_close(loop.Loss(made, settings)(batch), (share * velocity).mean(), rtol=1e-4, atol=0)


def test_white_fields_are_denoised_optimally():
    """Of unit variance: sigma / sqrt(1 + sigma^2) is the error of the linear prior."""
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(400) * np.timedelta64(1, "D")
    values = np.random.default_rng(0).standard_normal((400, *helpers.SHAPE)).astype(np.float32)
    found = validation.errors_by_level(helpers.prior(published()).eval(), helpers.of(times, values), linear=True)
    for level in validation.LEVELS:
        assert found[f"sigma_{level:g}"] == pytest.approx(level / math.sqrt(1 + level**2), rel=0.05)


def test_the_curve_has_errors_of_the_averaged_weights_and_the_mean_loss_since_the_last_validation(
    tmp_path, monkeypatch
):
    settings, held_out = helpers.SETTINGS.model_copy(update={"keep": "last"}), helpers.windows(seed=1)
    prior = helpers.prior(settings)
    trained, curve = loop.train(prior, helpers.windows(), held_out, settings, tmp_path / "c", {})
    last = {name: value for name, value in curve[-1].items() if name.startswith("sigma")}
    count = validation.window_count(settings)
    assert validation.errors_by_level(trained, held_out, count=count) == pytest.approx(last, rel=1e-5)
    assert validation.errors_by_level(prior.eval(), held_out, count=count)["sigma_1"] != pytest.approx(
        last["sigma_1"], rel=1e-5
    )
    monkeypatch.setattr(loop, "optimiser_step", lambda *given: float(given[4]))  # the number of the step
    _, header = loop.train(helpers.prior(), helpers.windows(), held_out, settings, tmp_path / "d", {})
    assert [row["loss"] for row in header[1:]] == [1.0, 4.0]


@pytest.mark.parametrize(("second", "better"), [((0.5, 12.0), True), ((2.0, 8.0), False), ((math.nan, 1.0), False)])
def test_the_best_validation_has_the_smallest_geometric_mean(tmp_path, monkeypatch, second, better):
    """So that all levels have the same weight; a NaN is never the best."""
    validations = iter([(1.0, 10.0), second])
    monkeypatch.setattr(
        loop.validation, "errors_by_level", lambda *_, **__: dict(zip(("sigma_1", "sigma_3"), next(validations)))
    )
    kept, _ = run(tmp_path / "c", steps=2, validate_every=2)
    assert torch.equal(weights(kept), weights(helpers.prior())) != better


def test_validations_with_nan_use_up_patience(tmp_path, monkeypatch):
    validations = iter([1.0, math.nan, math.nan])
    monkeypatch.setattr(loop.validation, "errors_by_level", lambda *_, **__: {"sigma_1": next(validations)})
    _, curve = run(tmp_path / "c", steps=20, validate_every=1, patience=2)
    assert [row["step"] for row in curve] == [0, 1, 2]


def test_a_validation_costs_at_most_a_tenth_of_the_steps_before_the_next():
    """In forward passes: a step costs three, and a validation has windows of six levels and two kinds."""
    windows = lambda **changed: validation.window_count(helpers.SETTINGS.model_copy(update=changed))
    assert windows(steps=5000, validate_every=250, batch=16) == validation.MAX_WINDOWS
    for steps, every, batch, processes in ((20, 10, 16, 1), (20, 250, 16, 1), (300, 100, 8, 2), (2600, 40, 8, 1)):
        count = windows(steps=steps, validate_every=every, batch=batch, processes=processes)
        between = 3 * min(steps, every) * batch / processes
        assert count == min(64, int(0.1 * between / 8)) and 8 * count <= 0.1 * between
    assert windows(steps=1, validate_every=1, batch=4) == 1 and windows(steps=0) == 1


def stopped_in_validation(path, number, **changed):
    """Train, and ask it to stop in the middle of a validation."""
    validate, validations = validation.errors_by_level, []

    def stop(*given, watch=lambda done: None, **about):
        def interrupt(done):
            if len(validations) == number and done == 2:
                signal.raise_signal(signal.SIGTERM)
            watch(done)

        validations.append(1)
        return validate(*given, watch=interrupt, **about)

    with pytest.MonkeyPatch.context() as patch, signals.handling("train"):
        patch.setattr(loop.validation, "errors_by_level", stop)
        return run(path, **changed)


@pytest.mark.parametrize("number, step", [(1, 0), (2, 3)])
def test_a_stop_request_interrupts_the_validation_which_is_repeated(tmp_path, number, step):
    """In the first, before any step, and in a later one."""
    whole, curve = run(tmp_path / "whole", batch=8)
    with pytest.raises(signals.Stopped, match=f"at step {step} of 6; saved"):
        stopped_in_validation(tmp_path / "part", number, batch=8)
    with safe_open(tmp_path / "part", "pt") as file:
        header = json.loads(file.metadata()["hindsight"])
    assert header["step"] == step and [row["step"] for row in header["state"]["curve"]] == [0][: number - 1]
    resumed, again = run(tmp_path / "part", seed=7, batch=8)
    assert str(again) == str(curve) and torch.equal(weights(whole), weights(resumed))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def test_a_run_killed_before_its_first_step_does_not_validate_again(tmp_path, monkeypatch):
    with pytest.raises(Killed):
        run(tmp_path / "c", kill_at=0)
    validations, validate = [], validation.errors_by_level
    monkeypatch.setattr(loop.validation, "errors_by_level", lambda *a, **b: validations.append(1) or validate(*a, **b))
    run(tmp_path / "c")
    assert len(validations) == 2  # at steps 3 and 6


def test_a_checkpoint_of_another_precision_is_resumed_with_a_note(tmp_path, capfd):
    with pytest.raises(Killed):
        run(tmp_path / "c", kill_at=3)
    assert "bytes" not in capfd.readouterr().out
    _, curve = run(tmp_path / "c", precision="bfloat16")
    assert "has 2 steps in float32, and this machine continues in bfloat16" in capfd.readouterr().out
    assert [row["step"] for row in curve] == [0, 3, 6]
