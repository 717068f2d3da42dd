"""Train a controller: a network that steers the roll-outs of the frozen prior towards observations."""

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hindsight import controller as controllers
from hindsight import machine, signals
from hindsight import prior as priors
from hindsight.errors import UserError
from hindsight.fields.frames import Frames
from hindsight.prior import Prior
from hindsight.progress import Progress
from hindsight.settings import Controller, Sampling
from hindsight.settings.domain import TrainingDomain
from hindsight.train import average, checkpoint, metrics, rollouts
from hindsight.train.rollouts import GridObservations, Start, Walk
from hindsight.train.team import Team, join
from hindsight.train.windows import Windows

NOT_IN_RECIPE = {"cache_mb", "checkpoint_every", "recompute"}  # settings that do not affect the weights
SHARES = (0.02, 0.1, 0.2)  # of the points, observed in validation


def run(
    training: TrainingDomain,
    settings: Controller,
    sampling: Sampling,
    *,
    fields: Path,
    prior: Path,
    checkpoint: Path,
    controller: Path,
    curve: Path,
) -> None:
    """Train a controller on roll-outs of the prior; a killed job resumes from its checkpoint."""
    if wrong := sampling.walk_errors():
        raise UserError(f"reanalyse: {'; '.join(wrong)}")
    machine.compute_reproducibly(settings.threads)
    team, device = join(settings.processes, machine.device(settings.device), "controller", "controller")
    frozen, digest = priors.load(prior, f"{device}"), hashlib.sha256(prior.read_bytes()).hexdigest()
    splits = {name: windows(training, settings, name, fields, frozen) for name in ("train", "validation")}
    torch.manual_seed(settings.seed)
    initial = controllers.build(frozen, digest, settings.network, sampling).to(device)
    if team.leads:
        count = sum(parameter.numel() for parameter in initial.parameters())
        print(
            f"controller: {count / 1e3:.1f} thousand parameters, look-ahead {initial.look_ahead} frame(s)", flush=True
        )
    recipe = {"training": training.model_dump(mode="json"), "sampling": controllers.recorded(sampling), "prior": digest}
    recipe["controller"] = settings.model_dump(mode="json", exclude=NOT_IN_RECIPE)
    trainer = Trainer(frozen, initial, splits, settings, sampling, team)
    try:
        trainer.train(checkpoint, recipe, curve)
    except FloatingPointError as error:
        raise UserError(f"training stopped: {error}; lower controller.learning_rate") from error
    if team.leads:
        controllers.save(trainer.average, controller)
    team.leave()


def windows(training: TrainingDomain, settings: Controller, split: str, fields: Path, prior: Prior) -> Windows:
    """All windows of a split, each as long as a roll-out; fields are normalised as those of the prior."""
    frames = Frames(fields, training.splits[split], prior.scaling, settings.cache_mb)
    name = "training" if split == "train" else split
    return Windows(frames.times, frames, settings.frames, name, frames.segment, "controller.frames")


def start(
    prior: Prior,
    source: Windows,
    settings: Controller,
    number: int,
    rows: range,
    shares: tuple[float, float] | None = None,
) -> Start:
    """What a roll-out starts from: a function of the seed, the number of the roll-out, and the rows of its batch.

    Args:
        prior: the prior.
        source: windows to draw from.
        settings: batch, members, networks.
        number: of the roll-out.
        rows: of the batch.
        shares: least and largest observed share of the points, in every frame; none: those of the settings.
    """
    if shares:
        settings = settings.model_copy(update={"share_min": shares[0], "share_max": shares[1], "every": [1]})
    clean, conditions = source.take(source.shuffled(settings.seed, number * settings.batch + rows.start, len(rows)))
    shape = (len(prior.metadata.channels), *prior.maps.shape[-2:])
    weight = (1 / prior.measure).flatten().repeat(shape[0]).cpu()
    seen = [
        rollouts.observe(window, shape, weight, settings, _generator(settings.seed, number, row))
        for window, row in zip(clean, rows)
    ]
    device, each = prior.maps.device, lambda tensor: tensor.repeat_interleave(settings.members, 0).to(prior.maps.device)
    values, errors = (each(torch.stack(column)) for column in zip(*seen))
    first = (number * settings.batch + rows.start) * settings.members
    members = range(first, first + len(rows) * settings.members)
    return Start(each(clean), each(conditions), GridObservations(values, errors, weight.to(device)), members)


def _generator(seed: int, number: int, row: int) -> torch.Generator:
    """The generator of the network of one row (Philox, Salmon et al. 2011)."""
    hashed = np.random.Philox(key=seed, counter=[1, 0, row, number]).random_raw()
    return torch.Generator().manual_seed(int(hashed) % 2**32)


class Costs(nn.Module):
    """The costs of a roll-out as a module, so that several processes can average its gradients."""

    def __init__(self, control: nn.Module) -> None:
        super().__init__()
        self.control = control

    def forward(self, walk: Walk, rows: int) -> torch.Tensor:
        """The mean cost of the next rows; it depends on all weights, if only by a factor of zero."""
        return walk.advance(rows) + 0 * sum(parameter.sum() for parameter in self.control.parameters())


@dataclass
class TrainingState:
    """The state of training apart from weights and the optimiser."""

    curve: list[dict] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # since the last validation


class Trainer:
    """A training run: the controller, its running average, and the state.

    Args:
        prior: frozen.
        control: with initial weights, on the prior's device; trained in place.
        splits: windows of training and validation.
        settings: of training.
        sampling: of the roll-outs.
        team: the processes that train together.
    """

    def __init__(
        self,
        prior: Prior,
        control: controllers.Controller,
        splits: dict[str, Windows],
        settings: Controller,
        sampling: Sampling,
        team: Team = Team(),  # noqa: B008 (frozen)
    ) -> None:
        self.prior, self.control, self.splits = prior, control, splits
        self.settings, self.sampling, self.team = settings, sampling, team
        self.average = copy.deepcopy(control).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            control.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.state, self.step = TrainingState(), 0
        rows = sum(len(c.rows) - 1 for c in rollouts.cycles(sampling, settings.frames, prior.metadata.step_hours))
        self.steps_each = math.ceil(rows / settings.truncate)  # optimiser steps of a roll-out

    def train(self, path: Path, recipe: dict, curve: Path | None = None) -> None:
        """Train from the checkpoint on, or from the start; checkpoints are written after whole roll-outs.

        Raises:
            Stopped: on SIGTERM, after the roll-out under way and a checkpoint.
            FloatingPointError: if a gradient is not finite.
        """
        signals.defer()
        models = {"control": self.control, "average": self.average}
        self.step, state = checkpoint.resume(path, recipe, models, self.optimiser)
        self.state = TrainingState(**state)
        write = lambda: checkpoint.save(path, self.step, recipe, models, self.optimiser, vars(self.state))
        costs, saved = self.team.parallel(Costs(self.control)), self.step
        progress = Progress("train.controller", self.settings.steps, "steps") if self.team.leads else lambda *_: None
        self._validate(curve)
        while self.step < self.settings.steps:
            self._roll_out(costs, progress)
            self._validate(curve)
            stopping = self._stop_requested()
            if self.team.leads and (stopping or self.step >= saved + self.settings.checkpoint_every):
                write()
                saved = self.step
            if stopping:
                self.team.broadcast(None)  # waits for the checkpoint
                self.team.leave()
                raise signals.Stopped(f"at step {self.step} of {self.settings.steps}; saved" if self.team.leads else "")
        if self.team.leads:
            write()
            if curve:
                metrics.write_curve(self.state.curve, curve)

    def _stop_requested(self) -> bool:
        """Whether any process was asked to stop; all get the same answer."""
        return self.team.mean(torch.tensor(float(signals.stop_requested()), device=self.prior.maps.device)) > 0

    def _roll_out(self, costs: nn.Module, progress: Callable[..., None]) -> None:
        """One roll-out, with an optimiser step after every `truncate` sampling steps."""
        settings, number = self.settings, self.step // self.steps_each
        begun = start(self.prior, self.splits["train"], settings, number, self.team.rows(settings.batch))
        walk = Walk(self.prior, self.control, begun, settings, self.sampling)
        while not walk.over and self.step < settings.steps:
            loss = self._optimiser_step(costs, walk)
            self.state.losses.append(self.team.mean(loss.detach()))
            average.update(self.average, self.control, self.step, settings.average)
            self.step += 1
        progress(self.step, f"cost {self.state.losses[-1]:.4f}")

    def _optimiser_step(self, costs: nn.Module, walk: Walk) -> torch.Tensor:
        settings = self.settings
        decay = 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (self.step + 1) / max(settings.warmup, 1)) * decay
        self.optimiser.zero_grad()
        loss = costs(walk, settings.truncate)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.control.parameters(), settings.clip)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient of step {self.step} is not finite")
        self.optimiser.step()
        return loss

    def _validate(self, curve: Path | None) -> None:
        """Validate the averaged weights if it is due, in the process that leads."""
        state, settings = self.state, self.settings
        last = state.curve[-1]["step"] if state.curve else -settings.validate_every
        if last == self.step or (self.step < last + settings.validate_every and self.step < settings.steps):
            return
        loss = sum(state.losses) / len(state.losses) if state.losses else math.nan
        found = (
            validation(self.prior, self.average, self.splits["validation"], settings, self.sampling)
            if self.team.leads
            else {}
        )
        state.curve, state.losses = [*state.curve, {"step": self.step, "cost": loss, **found}], []
        if self.team.leads:
            print(", ".join(f"{name} {value:.4g}" for name, value in state.curve[-1].items()), flush=True)
        if self.team.leads and curve:
            metrics.write_curve(state.curve, curve)


@torch.no_grad()
def validation(
    prior: Prior, control: nn.Module, source: Windows, settings: Controller, sampling: Sampling
) -> dict[str, float]:
    """Scores of roll-outs over windows of the validation period, by the observed share of the points.

    Returns:
        Root-mean-square error of the mean of the members in the second half of the frames, in standard deviations
        (`rmse_2` for 2 %); its spread divided by the skill, with the factor of a finite ensemble (`spread_skill_2`);
        the root-mean-square shift in expected errors (`shift`), and the share of points at a bound (`at_bound`).
    """
    members = max(settings.members, 4)
    chosen, cost, found = settings.model_copy(update={"members": members, "seed": settings.seed + 1}), [], {}
    for share in SHARES:
        begun = start(prior, source, chosen, 0, range(chosen.batch), (share, share))
        walk = Walk(prior, control, begun, chosen, sampling)
        while not walk.over:
            walk.advance(1)
        half = slice(settings.frames // 2, None)
        fields = walk.state.fields[:, half].unflatten(0, (-1, members))
        skill = (fields.mean(1) - begun.clean[::members, half]).square().mean()
        spread = fields.var(1).mean() * (members + 1) / members
        found |= {f"rmse_{share:.0%}".rstrip("%"): float(skill.sqrt())}
        found |= {f"spread_skill_{share:.0%}".rstrip("%"): float((spread / skill).sqrt())}
        cost.append(walk.cost)
    total = sum(cost[1:], cost[0])
    points = max(total.controlled, 1)
    return found | {"shift": math.sqrt(total.control / points), "at_bound": total.at_bound / points}
