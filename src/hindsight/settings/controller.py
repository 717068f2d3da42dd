"""Settings of `train.controller`."""

from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.section import Section


class ControlNetwork(Section):
    """The network of the controller: convolutions in space over one frame, which sees later frames as its inputs."""

    width: int = Field(32, gt=0, multiple_of=8, description="features")
    blocks: int = Field(4, gt=0, description="residual blocks")
    dilations: list[int] = Field(
        [1, 2, 4],
        min_length=1,
        description="distance in points between neighbouring weights of each block's convolutions, in turn",
    )
    embedding: int = Field(64, gt=0, multiple_of=2, description="size of the embedding of noise level and waiting time")
    scale: float = Field(
        0.1, gt=0, lt=1, description="bound of the scale: the denoised estimate changes by at most this share of itself"
    )
    shift: float = Field(
        2.0, gt=0, description="bound of the shift, in expected errors of the denoised estimate at its noise level"
    )


class Controller(Section):
    """A controller of the prior's roll-outs, for reanalyse.guidance.method: controlled.

    Its roll-outs are those of `reanalyse`: regime, lag_hours (its look-ahead), context, steps, noise levels and
    sampling step.
    """

    seed: int = Field(1, ge=0, description="seed of weights, windows, networks of observations and noise")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda if available")
    threads: int = Field(1, gt=0, description="CPU threads of each process; results depend on it")
    processes: int = Field(1, gt=0, description="processes of data-parallel training (torchrun) on one machine")
    cache_mb: int = Field(1000, gt=0, description="memory of each process for frames read from the store (MB)")
    network: ControlNetwork = Field(ControlNetwork(), description="the network of the controller")
    steps: int = Field(2000, ge=0, description="optimiser steps; 0: the controller does nothing")
    batch: int = Field(8, gt=0, description="windows that are rolled out side by side, over all processes")
    members: int = Field(
        2, ge=1, le=16, description="members of each window, with noise of their own; cost: truth needs at least 2"
    )
    frames: int = Field(16, gt=1, description="frames of a roll-out, which begins from nothing")
    truncate: int = Field(
        1,
        gt=0,
        description="sampling steps through which the gradient of an optimiser step flows; 1: not through the prior",
    )
    recompute: bool = Field(
        True, description="recompute the roll-out in the backward pass, step by step: less memory, slower"
    )
    cost: Literal["observations", "truth"] = Field(
        "observations",
        description="observations: squared misfit to the observations of a frame, when it is finished and on the way "
        "(as published, reconstructed); truth: CRPS of the members at all points of a finished frame, and the squared "
        "error of denoising the truth on the way",
    )
    intermediate: float = Field(
        1.0, ge=0, description="weight of the costs of denoised estimates, beside those of finished frames"
    )
    size: float = Field(0.0, ge=0, description="weight of the size of the control (beta; 0 as published)")
    share_min: float = Field(0.02, gt=0, le=1, description="least share of the points that a network observes")
    share_max: float = Field(0.2, gt=0, le=1, description="largest share")
    every: list[int] = Field(
        [1, 2, 4], min_length=1, description="frames between the observed ones; each network has one of these numbers"
    )
    error_min: float = Field(0.03, gt=0, description="smallest error of an observed value (standard deviations)")
    error_max: float = Field(0.3, gt=0, description="largest error of an observed value")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate (AdamW)")
    warmup: int = Field(100, ge=0, description="optimiser steps of linear warm-up, times a half cosine to zero")
    weight_decay: float = Field(1e-3, ge=0, description="AdamW weight decay")
    average: float = Field(0.995, ge=0, lt=1, description="decay of the running average of the weights; 0: none")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient; larger ones are scaled down to it")
    checkpoint_every: int = Field(
        200, gt=0, description="least optimiser steps between checkpoints, after whole roll-outs"
    )
    validate_every: int = Field(
        500, gt=0, description="least optimiser steps between validations, after whole roll-outs"
    )

    @property
    def nodes(self) -> int:
        """Number of machines: one."""
        return 1

    @model_validator(mode="after")
    def _consistent(self) -> "Controller":
        wrong = []
        for low, high in (("share_min", "share_max"), ("error_min", "error_max")):
            if getattr(self, low) > getattr(self, high):
                wrong.append(f"{low} ({getattr(self, low)}) must not exceed {high} ({getattr(self, high)})")
        if self.batch % self.processes:
            wrong.append(f"batch ({self.batch}) must be a multiple of processes ({self.processes})")
        if self.cost == "truth" and self.members < 2:
            wrong.append("cost: truth compares members with each other; set members: 2, or cost: observations")
        if min(self.every) < 1:
            wrong.append("every: frames between observed ones are 1 or more")
        if wrong:
            raise ValueError("\n  controller: ".join(wrong))
        return self
