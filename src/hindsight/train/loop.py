"""The training loop, in the order things happen."""

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
from hindsight.progress import Progress, doing
from hindsight.settings import Train
from hindsight.train import average, batches, checkpoint, kinds, memory
from hindsight.train.batches import Batch, Loader
from hindsight.train.diary import PREFIX, Diary
from hindsight.train.team import Team
from hindsight.train.windows import Windows

VALIDATION_LEVELS = (0.05, 0.1, 0.3, 1.0, 3.0, 10.0)
VALIDATION_WINDOWS = 64  # of a look, at most
LOOK = 0.1  # share of the time of the steps between two looks that a look may take
PASSES = 3  # forward that a step takes as long as: its own, and the way back


class Loss(nn.Module):
    """What training makes small, as a module so that several processes can share it."""

    def __init__(self, prior: Prior, settings: Train) -> None:
        super().__init__()
        self.prior, self.weight = prior, settings.weight

    def forward(self, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch."""
        denoised = self.prior.denoise(batch.noisy, batch.sigma, batch.told, batch.points)
        weight = sigmoid.fused_min_snr(batch.sigma) if self.weight == "fused_min_snr" else None
        return denoiser.loss(self.prior.process, denoised, batch.clean, batch.sigma, batch.points, weight)


@dataclass
class Course:
    """How far training has come: everything of it that is not a weight."""

    step: int = 0
    curve: list[dict] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # since the last look
    precision: str = ""  # of the network in the steps so far
    best: float = math.inf
    looks_since: int = 0  # the best

    @property
    def looked(self) -> bool:
        """Whether the validation period was looked at after the last step."""
        return bool(self.curve) and self.curve[-1]["step"] == self.step

    def told(self) -> dict:
        """For a checkpoint, without the step."""
        return {name: value for name, value in vars(self).items() if name != "step"}

    def over(self, settings: Train) -> bool:
        """Whether training ends here, for all steps are done or it gets no better."""
        tired = settings.patience is not None and self.looks_since >= settings.patience
        return tired or self.step >= settings.steps


def train(
    prior: Prior,
    training: Windows,
    validation: Windows,
    settings: Train,
    keep: Path,
    recipe: dict,
    team: Team = Team(),  # noqa: B008 (frozen)
    diary: Callable[[int], Diary | None] = lambda done: None,
) -> tuple[Prior, list[dict]]:
    """Train a prior by diffusion forcing.

    Args:
        prior: with weights as initialised, on its device; its network is trained in place.
        training: windows to learn from.
        validation: windows to look at now and then.
        settings: how.
        keep: the checkpoint, taken up if it is of the same recipe.
        recipe: everything that decides the outcome.
        team: the processes that train together.
        diary: opens the diary, once it is known how many steps were done before.

    Returns:
        The prior with averaged weights, those that are kept, and the learning curve: rows of step, loss and validation
        error per level.

    Raises:
        Stopped: if it was asked to by SIGTERM; the checkpoint is of the step it was in.
        UserError: if the batch does not fit in memory.
        FloatingPointError: if a gradient is not finite.
    """
    run = Run(prior, validation, settings, team, keep, recipe)
    shape, rows = (len(prior.about.channels), *prior.maps.shape[-2:]), team.rows(settings.batch)
    make = lambda step: batches.make(training, settings, shape, step, rows)
    run.take_up(diary, make)
    if not run.over:
        run.learn(Loader(make, run.course.step, settings.steps, prior.maps.device))
    return run.kept(), run.course.curve


class Run:
    """A run of training: the network, its average, the best of that, and how far it has come."""

    def __init__(
        self, prior: Prior, validation: Windows, settings: Train, team: Team, keep: Path, recipe: dict
    ) -> None:
        self.prior, self.validation, self.settings, self.team = prior, validation, settings, team
        self.keep, self.recipe = keep, recipe
        self.average = copy.deepcopy(prior).eval().requires_grad_(False)
        self.best = copy.deepcopy(self.average.network)
        self.optimiser = torch.optim.AdamW(
            prior.parameters(), lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
        )
        self.models = {"model": prior.network, "average": self.average.network, "best": self.best}
        self.course, self.book = Course(), None

    def take_up(self, diary: Callable[[int], Diary | None], make: Callable[[int], Batch]) -> None:
        """Take up a checkpoint, or begin with a look at the validation period; `make` makes the batch of a step."""
        signals.hold()
        done, told = checkpoint.resume(self.keep, self.recipe, self.models, self.optimiser)
        self.course = Course(done, **told)
        self.book = diary(done) if self.team.leads else None
        if self.book and self.course.curve:
            self.book.show(self.course.curve)  # whoever runs the job may have swept up what a killed one left
        self._same_precision()
        if self.course.step < self.settings.steps:
            self._fits(make(self.course.step))
        if self.course.looked or not self.due:
            self.over = self.course.over(self.settings)
        else:
            self.over = self.look()
            self.save()
        if self.asked():
            self.stop()

    def _same_precision(self) -> None:
        """Say so where a checkpoint comes from a machine that computes in another precision; its steps count."""
        before, self.course.precision = self.course.precision, self.prior.precision
        if before not in ("", self.prior.precision) and self.team.leads:
            print(
                f"{self.keep} is of {self.course.step} steps in {before}, and this machine goes on in"
                f" {self.prior.precision}: as good, but not the bytes of a run on one kind of machine",
                flush=True,
            )

    @property
    def due(self) -> bool:
        """Whether the step that was reached is one to look at the validation period."""
        return self.course.step % self.settings.validate_every == 0 or self.course.step == self.settings.steps

    def save(self) -> None:
        """Write the checkpoint, if this is the process that writes."""
        if self.team.leads:
            checkpoint.save(self.keep, self.course.step, self.recipe, self.models, self.optimiser, self.course.told())

    def learn(self, loader: Loader) -> None:
        """Step until it is over, or until SIGTERM."""
        settings, done, began = self.settings, self.course.step, time.perf_counter()
        tell = Progress("train.prior", settings.steps) if self.team.leads else lambda *_: None
        tell(done)
        loss = None
        for step, batch in loader:
            loss = loss or self.ready()
            self.course.losses.append(advance(loss, batch, settings, self.optimiser, step, self.team))
            average.update(self.average.network, self.prior.network, step, settings.average)
            self.course.step = step + 1
            pace_now = (step + 1 - done) * settings.batch * settings.window / (time.perf_counter() - began)
            self.note(pace_now)
            tell(step + 1, f"loss {self.course.losses[-1]:.4f}, {pace_now:.1f} frames/s")
            if self.due:
                self.over = self.look()
            stopping = self.asked()
            if (step + 1) % settings.checkpoint_every == 0 or self.over or stopping:
                self.save()
            if self.over:
                break
            if stopping:
                self.stop()
        if self.team.leads:
            print(f"waited for batches {loader.waited / (time.perf_counter() - began):.1%} of the time", flush=True)

    def asked(self) -> bool:
        """Whether any process was asked to stop; all of them hear the same, and stop at the same step."""
        return self.team.mean(torch.tensor(float(signals.asked()), device=self.prior.maps.device)) > 0

    def stop(self) -> NoReturn:
        """Leave, the checkpoint being written."""
        self.team.told(None)  # one that left before it is written would have the others killed by torchrun
        self.team.leave()
        if self.book:
            self.book.close()
        said = f"at step {self.course.step} of {self.settings.steps}; saved"
        raise signals.Stopped(said if self.team.leads else "")

    def _fits(self, batch: Batch) -> None:
        """Refuse a batch that does not fit in memory, before anything is made."""
        self.prior.network.recompute, windows = self.settings.recompute, len(batch.clean)
        one, room = batch.to(self.prior.maps.device).parts(windows)[0], memory.free(self.prior.maps.device)
        loss = Loss(self.prior.train(), self.settings)
        memory.check(loss, one, windows // self.settings.accumulate, room // self.team.sharing)

    def ready(self) -> nn.Module:
        """The loss, ready to be trained: compiled and shared if that is asked."""
        if self.settings.compile:
            doing("compiling the network, which takes minutes, in its first steps")
            self.prior.network.compile()
        return self.team.joined(Loss(self.prior.train(), self.settings))

    def note(self, pace_now: float) -> None:
        """Write the step into the diary."""
        if self.book:
            rate = self.optimiser.param_groups[0]["lr"]
            numbers = {"loss": self.course.losses[-1], "learning_rate": rate, "frames_per_second": pace_now}
            self.book.step(self.course.step, **numbers)

    def look(self) -> bool:
        """Look at the validation period; whether training is over.

        Who asks to stop meanwhile does not wait for it: it is made again by the run that goes on.
        """
        return self.team.told(self._look() if self.team.leads else None)

    def _look(self) -> bool:
        course, settings = self.course, self.settings
        part = settings.batch // (settings.processes * settings.accumulate)
        count = windows_of_a_look(settings)
        watch = Progress("train.prior, looking at the validation period", count * looks(settings))
        errors = validate(self.average, self.validation, at_once=part, count=count, watch=watch)
        done = count * len(VALIDATION_LEVELS)
        of_kinds = kinds.errors(self.average, self.validation, settings, part, count, lambda more: watch(done + more))
        if errors is None or of_kinds is None:
            return False
        errors = errors | of_kinds
        loss = sum(course.losses) / len(course.losses) if course.losses else math.nan
        course.curve.append({"step": course.step, "loss": loss, **errors})
        course.losses, score = [], kinds.score(errors, settings)
        course.looks_since = 0 if score < course.best else course.looks_since + 1
        if score < course.best:
            course.best = score
            self.best.load_state_dict(self.average.network.state_dict())
        if self.book:
            self.book.look(course.curve)
        return course.over(settings)

    def kept(self) -> Prior:
        """The prior with the weights that are kept."""
        if self.settings.keep == "best":
            self.average.network.load_state_dict(self.best.state_dict())
        if self.book:
            self.book.close()
        return self.average


def advance(
    loss: nn.Module, batch: Batch, settings: Train, optimiser: torch.optim.Optimizer, step: int, team: Team
) -> float:
    """One optimiser step; everything random in it is a function of the seed, the step and the row."""
    torch.manual_seed((settings.seed * 1_000_003 + step) * team.size + team.rank)  # dropout
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * pace(step, settings)
    optimiser.zero_grad()
    parts, total = batch.parts(settings.accumulate), torch.zeros((), device=batch.clean.device)
    for number, part in enumerate(parts, 1):
        with team.apart(loss) if number < len(parts) else nullcontext():
            share = loss(part) / len(parts)
            share.backward()
        total += share.detach()
    norm = torch.nn.utils.clip_grad_norm_(loss.parameters(), settings.clip)
    if not torch.isfinite(norm):
        raise FloatingPointError(f"the gradient of step {step} is not finite")
    optimiser.step()
    return team.mean(total)


def pace(step: int, settings: Train) -> float:
    """Learning rate relative to its peak: a straight warm-up, then a half cosine to zero, or no change."""
    fall = 0.5 * (1 + math.cos(math.pi * step / max(settings.steps, 1))) if settings.pace == "cosine" else 1.0
    return min(1.0, (step + 1) / max(settings.warmup, 1)) * fall


def looks(settings: Train) -> int:
    """How many levels and kinds of levels a look is at."""
    return len(VALIDATION_LEVELS) + len(kinds.alone(settings))


def windows_of_a_look(settings: Train) -> int:
    """Validation windows of each level and kind: as many as a tenth of the time between two looks pays for."""
    steps = min(settings.validate_every, settings.steps)
    passes = PASSES * steps * settings.batch // settings.processes  # meanwhile, of each process; one of them looks
    return min(VALIDATION_WINDOWS, max(1, int(LOOK * passes / looks(settings))))


@torch.no_grad()
def validate(
    prior: Prior,
    validation: Windows,
    closed_form: bool = False,
    at_once: int = VALIDATION_WINDOWS,
    count: int = VALIDATION_WINDOWS,
    watch: Callable[[int], None] = lambda done: None,
) -> dict[str, float] | None:
    """Root-mean-square error of denoised validation windows, all frames at one level, per level.

    Args:
        prior: whose.
        validation: windows to draw from; the same are drawn every time.
        closed_form: of its closed form alone.
        at_once: windows that are in memory together.
        count: windows of every level.
        watch: told of windows done, those of all levels counted.

    Returns:
        None if the process was asked to stop meanwhile.
    """
    generator = torch.Generator().manual_seed(0)
    device = prior.maps.device
    errors = {}
    correct: Callable = prior.correction if not closed_form else lambda x, *_: torch.zeros_like(x[:, :, 0])
    for number, level in enumerate(VALIDATION_LEVELS):
        square, values = 0.0, 0
        for first in range(0, count, at_once):
            if signals.asked():
                return None
            windows = [_noisy(validation, level, generator) for _ in range(min(at_once, count - first))]
            clean, noisy, told = (torch.cat(part).to(device) for part in zip(*windows))
            sigma = torch.full(clean.shape[:2], level, device=device)
            points = denoiser.no_points(noisy) if prior.about.points else None
            denoised = denoiser.denoise(prior.process, correct, noisy, sigma, told, points=points)
            square, values = square + (denoised - clean).double().square().sum().item(), values + clean.numel()
            watch(number * count + min(first + at_once, count))
        errors[f"{PREFIX}{level:g}"] = math.sqrt(square / values)
    return errors


def _noisy(windows: Windows, level: float, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """A window, clean and noisy, and its conditions."""
    clean, told = windows.draw(1, generator)
    return clean, clean + level * torch.randn(clean.shape, generator=generator), told
