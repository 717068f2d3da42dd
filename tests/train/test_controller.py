"""The step that trains a controller: from files to a file, resumed to the bit, and what it learns."""

import csv
import hashlib
import json
import math
import signal

import numpy as np
import pytest
import torch
from safetensors import safe_open

from hindsight import cli, settings, signals
from hindsight import controller as controllers
from hindsight import prior as priors
from hindsight.diffusion.gauss_markov import GaussMarkov
from hindsight.diffusion.modes import Values
from hindsight.errors import UserError
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.prior import Prior
from hindsight.settings import Controller, Sampling
from hindsight.settings.train import Backbone
from hindsight.train import controller as step
from hindsight.train.controller import Trainer
from tests.reanalyse import worlds
from tests.train import helpers
from tests.train import test_prior as with_files

SMALL = {"width": 8, "blocks": 1, "embedding": 16}
SETTINGS = Controller(
    network=SMALL, steps=20, batch=2, frames=6, warmup=2, checkpoint_every=5, validate_every=8, share_max=0.5
)
SAMPLING = Sampling(regime="nowcast", past="fixed", context=3, steps=3, sigma_max=3.0, sampler={"step": "ddim"})


class Killed(Exception):
    """Stands for kill -9 after some optimiser step."""


def trainer(chosen=SETTINGS, seed=0, sampling=SAMPLING):
    """A training run on two states, with other initial weights for each seed."""
    prior = worlds.busy().requires_grad_(False)
    torch.manual_seed(seed)
    control = controllers.build(prior, "abc", chosen.network, sampling)
    if seed:
        torch.nn.init.normal_(control.network.leave.weight)
    splits = {
        "train": helpers.windows(window=chosen.frames),
        "validation": helpers.windows(seed=1, window=chosen.frames),
    }
    return Trainer(prior, control, splits, chosen, sampling)


def trained(path, kill_at=None, ask_at=None, recipe="one", **more):
    """Train; die or be asked to stop at some step."""
    made = trainer(**more)
    optimiser_step = made._optimiser_step

    def watched(*given):
        if made.step == kill_at:
            raise Killed
        if made.step == ask_at:
            signal.raise_signal(signal.SIGTERM)
        return optimiser_step(*given)

    made._optimiser_step = watched
    made.train(path, {"recipe": recipe})
    return made


def weights(made):
    return torch.cat([value.flatten() for value in made.average.network.state_dict().values()])


def test_a_killed_and_resumed_run_ends_with_the_same_bits(tmp_path):
    """Optimiser steps of a roll-out are 18 / 1; checkpoints are written between roll-outs."""
    whole = trained(tmp_path / "whole")
    for at in (3, 19):
        with pytest.raises(Killed):
            trained(tmp_path / "part", kill_at=at)
    resumed = trained(tmp_path / "part", seed=7)
    assert torch.equal(weights(whole), weights(resumed)) and str(whole.state.curve) == str(resumed.state.curve)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()
    assert weights(whole).abs().sum() > 0 and whole.steps_each == 18


def test_on_sigterm_it_ends_the_roll_out_and_saves(tmp_path):
    with signals.handling("train"), pytest.raises(signals.Stopped, match="at step 18 of 20; saved"):
        trained(tmp_path / "part", ask_at=4)
    with safe_open(tmp_path / "part", "pt") as file:
        assert json.loads(file.metadata()["hindsight"])["step"] == 18
    assert torch.equal(weights(trained(tmp_path / "part", seed=7)), weights(trained(tmp_path / "whole")))


def test_a_checkpoint_of_another_recipe_is_not_resumed(tmp_path, capfd):
    trained(tmp_path / "c")
    trained(tmp_path / "c", recipe="two")
    assert "training starts anew: recipe one → two" in capfd.readouterr().out


def test_rows_of_a_batch_are_the_same_for_any_number_of_processes():
    made = trainer()
    both = step.start(made.prior, made.splits["train"], SETTINGS, 3, range(2))
    parts = [step.start(made.prior, made.splits["train"], SETTINGS, 3, range(k, k + 1)) for k in range(2)]
    for name in ("clean", "conditions"):
        assert torch.equal(getattr(both, name), torch.cat([getattr(part, name) for part in parts]))
    assert torch.equal(both.observations.value, torch.cat([part.observations.value for part in parts]))
    assert [*both.members] == [*parts[0].members, *parts[1].members] and len(set(both.members)) == 4
    later = step.start(made.prior, made.splits["train"], SETTINGS, 4, range(2))
    assert not set(later.members) & set(both.members) and not torch.equal(later.clean, both.clean)


def white(size=16):
    """A prior of white noise in space and time, which is exactly Gaussian, and windows of it."""
    chosen = helpers.SETTINGS.model_copy(update={"backbone": Backbone(kind="line", width=8, blocks=1, embedding=16)})
    about = helpers.metadata_of(chosen, ["z500"], Grid(np.zeros(1), np.arange(size) * 360 / size), ["open", "periodic"])
    process = GaussMarkov(Values(torch.tensor(size)), torch.ones(size), torch.zeros(0, 0, 0), torch.zeros(size))
    scaling = Scaling(np.zeros((1, 1, 1, size)), np.ones(1), 0, 0)
    prior = Prior(about, process, scaling, torch.zeros(0, 1, size)).eval().requires_grad_(False)
    fields = np.random.default_rng(0).standard_normal((2000, 1, 1, size)).astype(np.float32)
    times = np.datetime64("2000-01-01T12", "ns") + np.arange(2000) * np.timedelta64(1, "D")
    return prior, helpers.of(times, fields, 4)


class Exact:
    """The control that gives the posterior mean of white noise: c share^(1/2) times the departure is its increment."""

    look_ahead, limits = 0, (0.1, 2.0)

    def __call__(self, fields, log_sigma, conditions):
        departure, share = fields[:, 3], fields[:, 4]
        return torch.zeros_like(departure), share.sqrt() * departure / self.limits[1]


def rolled_out(prior, control, windows, chosen, sampling):
    """Error of the mean and spread of the members, and which values are observed, for 16 windows of 16 members."""
    many = chosen.model_copy(update={"members": 16, "seed": 9})
    begun = step.start(prior, windows, many, 0, range(16))
    walk = step.Walk(prior, control, begun, many, sampling)
    with torch.no_grad():
        walk.advance(10**6)
    fields = walk.state.fields.unflatten(0, (-1, 16))
    return (fields.mean(1) - begun.clean[::16]).square(), fields.var(1), (begun.observations.error > 0)[::16]


def test_it_learns_the_posterior_of_white_noise(tmp_path):
    """Half of the points, with unit errors: the posterior variance is 1/2 there and 1 elsewhere.

    Few steps leave too little spread even to the exact control, whose sample is therefore what is compared with.
    """
    prior, windows = white()
    about = {"share_min": 0.5, "share_max": 0.5, "every": [1], "error_min": 1.0, "error_max": 1.0, "cost": "truth"}
    about |= {"checkpoint_every": 10**6, "validate_every": 10**6, "network": SMALL | {"width": 16}}
    chosen = Controller(steps=330, batch=16, frames=4, warmup=20, average=0.98, learning_rate=5e-3, **about)
    sampling = SAMPLING.model_copy(update={"context": 1, "steps": 8, "sigma_min": 0.05})
    control, splits = controllers.build(prior, "", chosen.network, sampling), {"train": windows, "validation": windows}
    made = Trainer(prior, control, splits, chosen, sampling)
    made.train(tmp_path / "c", {})
    error, spread, seen = rolled_out(prior, Exact(), windows, chosen, sampling)
    assert float(error[seen].mean()) == pytest.approx(0.5 * 17 / 16, rel=0.12)
    assert float(error[~seen].mean()) == pytest.approx(17 / 16, rel=0.12)
    learnt = rolled_out(prior, made.average, windows, chosen, sampling)
    for where in (seen, ~seen):
        assert float(learnt[0][where].mean()) == pytest.approx(float(error[where].mean()), rel=0.05)
        assert float(learnt[1][where].mean()) == pytest.approx(float(spread[where].mean()), rel=0.15)


def test_the_first_validation_is_that_of_the_prior_and_training_improves_it(tmp_path):
    chosen = SETTINGS.model_copy(
        update={"steps": 180, "validate_every": 170, "batch": 4, "cost": "truth", "average": 0.9}
    )
    made = trainer(chosen.model_copy(update={"learning_rate": 5e-3, "network": chosen.network}))
    made.train(tmp_path / "c", {}, tmp_path / "curve.csv")
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert [int(row["step"]) for row in rows] == [0, 180] and math.isnan(float(rows[0]["cost"]))
    assert float(rows[0]["shift"]) == 0 and float(rows[1]["shift"]) > 0
    assert float(rows[1]["rmse_20"]) < 0.9 * float(rows[0]["rmse_20"])


SECTIONS = {"reanalyse": {"regime": "fixed_lag", "past": "fixed", "lag_hours": 24, "context": 3, "steps": 3}}
SECTIONS["reanalyse"] |= {"sampler": {"step": "ddim"}, "sigma_max": 3.0}


def run(domain, made, folder, **reanalyse):
    """The step as a command; its exit status."""
    chosen = settings.Settings(
        domain=domain,
        controller={"network": SMALL, "steps": 8, "batch": 2, "frames": 5},
        reanalyse=SECTIONS["reanalyse"] | reanalyse,
        product={"shard_frames": 28},
        archive={"chunk_frames": 28},
    )
    (folder / "settings.json").write_text(settings.stage_settings(chosen, "controller"))
    options = {"fields": made["fields.zarr"], "prior": made["prior"], "curve": folder / "c.csv"}
    options |= {name: folder / name for name in ("checkpoint_of_it", "controller")}
    options["checkpoint"] = options.pop("checkpoint_of_it")
    words = [word for name, path in options.items() for word in (f"--{name}", f"{path}")]
    return cli.main(["train.controller", "--settings", f"{folder / 'settings.json'}", *words]), chosen


@pytest.fixture
def made(source, domain, tmp_path):
    found = with_files.files_of(source, domain, tmp_path, with_files.SETTINGS)
    with_files.train(domain, found)
    return found


def test_from_files_to_a_file_the_same_bytes_again(domain, made, tmp_path):
    status, chosen = run(domain, made, tmp_path)
    before = (tmp_path / "controller").read_bytes()
    assert status == 0 and list(csv.DictReader((tmp_path / "c.csv").open()))[0]["step"] == "0"
    (tmp_path / "checkpoint_of_it").unlink()
    run(domain, made, tmp_path)
    assert (tmp_path / "controller").read_bytes() == before
    prior = priors.load(made["prior"])
    digest = hashlib.sha256(made["prior"].read_bytes()).hexdigest()
    assert controllers.load(tmp_path / "controller", prior, digest, chosen.reanalyse).look_ahead == 1


def test_a_regime_that_does_not_walk_is_refused(domain, made, tmp_path, capsys):
    assert run(domain, made, tmp_path, past="sampled_again")[0] == 2
    assert "set regime: nowcast or fixed_lag, and past: fixed" in capsys.readouterr().err


def test_a_training_that_diverges_says_what_to_do(domain, made, tmp_path, monkeypatch):
    def diverged(*given):
        raise FloatingPointError("the gradient of step 3 is not finite")

    monkeypatch.setattr(Trainer, "_optimiser_step", diverged)
    with pytest.raises(UserError, match="gradient of step 3 is not finite; lower controller.learning_rate"):
        step.run(domain, SETTINGS, SAMPLING, fields=made["fields.zarr"], prior=made["prior"], checkpoint=tmp_path / "k",
                 controller=tmp_path / "c", curve=tmp_path / "d.csv")  # fmt: skip
