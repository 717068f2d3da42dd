"""The training loop."""

import copy
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import torch
from torch import nn

from hindsight import signals
from hindsight.diffusion import denoiser, sigmoid
from hindsight.prior import Prior
from hindsight.progress import Progress, announce
from hindsight.settings import Train
from hindsight.train import average, batches, checkpoint, memory, validation
from hindsight.train.batches import Batch, Loader
from hindsight.train.metrics import MetricsWriter
from hindsight.train.team import Team
from hindsight.train.windows import Windows


class Loss(nn.Module):
    """The loss as a module, so that several processes can average its gradients."""

    def __init__(self, prior: Prior, settings: Train) -> None:
        super().__init__()
        self.prior, self.weight = prior, settings.weight

    def forward(self, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch."""
        denoised = self.prior.denoise(batch.noisy, batch.sigma, batch.conditions, batch.points)
        weight = sigmoid.fused_min_snr(batch.sigma) if self.weight == "fused_min_snr" else None
        return denoiser.loss(self.prior.process, denoised, batch.clean, batch.sigma, batch.points, weight)


@dataclass
class TrainingState:
    """The state of training apart from weights and the optimiser."""

    step: int = 0
    curve: list[dict] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # since the last validation
    precision: str = ""  # of the network in the steps so far
    best: float = math.inf
    validations_since_best: int = 0

    @property
    def validated(self) -> bool:
        """Whether the last step has been validated."""
        return bool(self.curve) and self.curve[-1]["step"] == self.step

    def without_step(self) -> dict:
        """The fields for a checkpoint, which stores the step separately."""
        return {name: value for name, value in vars(self).items() if name != "step"}

    def finished(self, settings: Train) -> bool:
        """Whether all steps are done or patience is exhausted."""
        stalled = settings.patience is not None and self.validations_since_best >= settings.patience
        return stalled or self.step >= settings.steps


def train(
    prior: Prior,
    training: Windows,
    validation_windows: Windows,
    settings: Train,
    checkpoint_path: Path,
    recipe: dict,
    team: Team = Team(),  # noqa: B008 (frozen)
    open_metrics: Callable[[int], MetricsWriter | None] = lambda done: None,
) -> tuple[Prior, list[dict]]:
    """Train a prior by diffusion forcing (Chen et al. 2024).

    Args:
        prior: the prior with initial weights, on its device; its network is trained in place.
        training: training windows.
        validation_windows: windows of the validation period.
        settings: settings of training.
        checkpoint_path: the checkpoint, resumed if it has the same recipe.
        recipe: everything that determines the result.
        team: the processes that train together.
        open_metrics: opens the metrics writer, given the number of steps done before.

    Returns:
        The prior with the averaged weights that `keep` selects, and the learning curve: rows of step, loss and
        validation errors.

    Raises:
        Stopped: on SIGTERM, after a checkpoint at the current step.
        UserError: if the batch does not fit in memory.
        FloatingPointError: if a gradient is not finite.
    """
    trainer = Trainer(prior, validation_windows, settings, team, checkpoint_path, recipe)
    shape, rows = (len(prior.metadata.channels), *prior.maps.shape[-2:]), team.rows(settings.batch)
    make_batch = lambda step: batches.make(training, settings, shape, step, rows)
    trainer.start(open_metrics, make_batch)
    if not trainer.finished:
        trainer.run_steps(Loader(make_batch, trainer.state.step, settings.steps, prior.maps.device))
    return trainer.result(), trainer.state.curve


class Trainer:
    """A training run: the network, its running average, the best average so far, and the training state."""

    def __init__(
        self,
        prior: Prior,
        validation_windows: Windows,
        settings: Train,
        team: Team,
        checkpoint_path: Path,
        recipe: dict,
    ) -> None:
        self.prior, self.validation_windows, self.settings, self.team = prior, validation_windows, settings, team
        self.checkpoint_path, self.recipe = checkpoint_path, recipe
        self.average = copy.deepcopy(prior).eval().requires_grad_(False)
        self.best = copy.deepcopy(self.average.network)
        self.optimiser = torch.optim.AdamW(
            prior.parameters(), lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
        )
        self.models = {"model": prior.network, "average": self.average.network, "best": self.best}
        self.state, self.metrics = TrainingState(), None

    def start(self, open_metrics: Callable[[int], MetricsWriter | None], make_batch: Callable[[int], Batch]) -> None:
        """Resume from a checkpoint, or validate the initial weights; `make_batch` makes the batch of a step."""
        signals.defer()
        done, state = checkpoint.resume(self.checkpoint_path, self.recipe, self.models, self.optimiser)
        self.state = TrainingState(done, **state)
        self.metrics = open_metrics(done) if self.team.leads else None
        if self.metrics and self.state.curve:
            self.metrics.write(self.state.curve)  # Snakemake may have removed the output of a killed job
        self._report_precision()
        if self.state.step < self.settings.steps:
            self._check_memory(make_batch(self.state.step))
        if self.state.validated or not self.validation_due:
            self.finished = self.state.finished(self.settings)
        else:
            self.finished = self.validate()
            self.save()
        if self.stop_requested():
            self.stop()

    def _report_precision(self) -> None:
        """Print a note if the checkpoint's steps were computed in another precision; they are not repeated."""
        before, self.state.precision = self.state.precision, self.prior.precision
        if before not in ("", self.prior.precision) and self.team.leads:
            print(
                f"{self.checkpoint_path} has {self.state.step} steps in {before}, and this machine continues in"
                f" {self.prior.precision}: the prior is as good, but not byte for byte that of one precision",
                flush=True,
            )

    @property
    def validation_due(self) -> bool:
        """Whether the current step is to be validated."""
        return self.state.step % self.settings.validate_every == 0 or self.state.step == self.settings.steps

    def save(self) -> None:
        """Write the checkpoint, in the process that leads."""
        if self.team.leads:
            state = self.state.without_step()
            checkpoint.save(self.checkpoint_path, self.state.step, self.recipe, self.models, self.optimiser, state)

    def run_steps(self, loader: Loader) -> None:
        """Train until training is finished or SIGTERM arrives."""
        settings, done, began = self.settings, self.state.step, time.perf_counter()
        progress = Progress("train.prior", settings.steps, "steps") if self.team.leads else lambda *_: None
        progress(done)
        loss = None
        for step, batch in loader:
            loss = loss or self.prepare_loss()
            self.state.losses.append(optimiser_step(loss, batch, settings, self.optimiser, step, self.team))
            average.update(self.average.network, self.prior.network, step, settings.average)
            self.state.step = step + 1
            speed = (step + 1 - done) * settings.batch * settings.window / (time.perf_counter() - began)
            self.write_scalars(speed)
            progress(step + 1, f"loss {self.state.losses[-1]:.4f}, {speed:.1f} frames/s")
            if self.validation_due:
                self.finished = self.validate()
            stopping = self.stop_requested()
            if (step + 1) % settings.checkpoint_every == 0 or self.finished or stopping:
                self.save()
            if self.finished:
                break
            if stopping:
                self.stop()
        if self.team.leads:
            share = loader.wait_seconds / (time.perf_counter() - began)
            print(f"training waited for batches {share:.1%} of the time", flush=True)

    def stop_requested(self) -> bool:
        """Whether any process was asked to stop; all get the same answer and stop at the same step."""
        return self.team.mean(torch.tensor(float(signals.stop_requested()), device=self.prior.maps.device)) > 0

    def stop(self) -> NoReturn:
        """Stop the process once the checkpoint is written."""
        self.team.broadcast(None)  # waits for the checkpoint: torchrun kills the others as soon as one has left
        self.team.leave()
        if self.metrics:
            self.metrics.close()
        message = f"at step {self.state.step} of {self.settings.steps}; saved"
        raise signals.Stopped(message if self.team.leads else "")

    def _check_memory(self, batch: Batch) -> None:
        """Refuse a batch that does not fit in memory."""
        self.prior.network.recompute, windows = self.settings.recompute, len(batch.clean)
        one, available = batch.to(self.prior.maps.device).split(windows)[0], memory.free(self.prior.maps.device)
        loss = Loss(self.prior.train(), self.settings)
        memory.check(loss, one, windows // self.settings.accumulate, available // self.team.sharing_memory)

    def prepare_loss(self) -> nn.Module:
        """The loss, compiled and parallel as the settings say."""
        if self.settings.compile:
            announce("compiling the network, which takes minutes, in its first steps")
            self.prior.network.compile()
        return self.team.parallel(Loss(self.prior.train(), self.settings))

    def write_scalars(self, speed: float) -> None:
        """Write the scalars of the current step."""
        if self.metrics:
            rate = self.optimiser.param_groups[0]["lr"]
            scalars = {"loss": self.state.losses[-1], "learning_rate": rate, "frames_per_second": speed}
            self.metrics.step(self.state.step, **scalars)

    def validate(self) -> bool:
        """Validate the averaged weights; whether training is finished.

        A stop request interrupts the validation; the resumed run repeats it.
        """
        return self.team.broadcast(self._validate() if self.team.leads else None)

    def _validate(self) -> bool:
        state, settings = self.state, self.settings
        errors = self._errors()
        if errors is None:
            return False
        loss = sum(state.losses) / len(state.losses) if state.losses else math.nan
        state.curve.append({"step": state.step, "loss": loss, **errors})
        state.losses, score = [], validation.score(errors, settings)
        state.validations_since_best = 0 if score < state.best else state.validations_since_best + 1
        if score < state.best:
            state.best = score
            self.best.load_state_dict(self.average.network.state_dict())
        if self.metrics:
            self.metrics.validation(state.curve)
        return state.finished(settings)

    def _errors(self) -> dict[str, float] | None:
        """Validation errors by level and by kind; none if the process was asked to stop meanwhile."""
        settings, windows = self.settings, self.validation_windows
        at_once = settings.batch // (settings.processes * settings.accumulate)
        count = validation.window_count(settings)
        progress = Progress("train.prior, validation", count * validation.errors_count(settings))
        by_level = validation.errors_by_level(self.average, windows, at_once=at_once, count=count, watch=progress)
        watch = lambda done: progress(count * len(validation.LEVELS) + done)
        by_kind = validation.errors_by_kind(self.average, windows, settings, at_once, count, watch)
        return None if by_level is None or by_kind is None else by_level | by_kind

    def result(self) -> Prior:
        """The prior with the weights that `keep` selects."""
        if self.settings.keep == "best":
            self.average.network.load_state_dict(self.best.state_dict())
        if self.metrics:
            self.metrics.close()
        return self.average


def optimiser_step(
    loss: nn.Module, batch: Batch, settings: Train, optimiser: torch.optim.Optimizer, step: int, team: Team
) -> float:
    """Take one optimiser step and return its loss; dropout depends on seed, step and process."""
    torch.manual_seed((settings.seed * 1_000_003 + step) * team.size + team.rank)  # dropout
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * learning_rate_factor(step, settings)
    optimiser.zero_grad()
    parts, total = batch.split(settings.accumulate), torch.zeros((), device=batch.clean.device)
    for number, part in enumerate(parts, 1):
        with team.no_sync(loss) if number < len(parts) else nullcontext():
            share = loss(part) / len(parts)
            share.backward()
        total += share.detach()
    norm = torch.nn.utils.clip_grad_norm_(loss.parameters(), settings.clip)
    if not torch.isfinite(norm):
        raise FloatingPointError(f"the gradient of step {step} is not finite")
    optimiser.step()
    return team.mean(total)


def learning_rate_factor(step: int, settings: Train) -> float:
    """Learning rate relative to its peak: a linear warm-up times a half cosine to zero or a constant."""
    cosine = settings.learning_rate_decay == "cosine"
    decay = 0.5 * (1 + math.cos(math.pi * step / max(settings.steps, 1))) if cosine else 1.0
    return min(1.0, (step + 1) / max(settings.warmup, 1)) * decay
