"""Settings of `train`."""

from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.section import Section


class Colour(Section):
    """The closed-form start: a stationary Gauss-Markov process in orthonormal modes."""

    form: Literal["space_time", "space", "white"] = Field(
        "space_time", description="space_time: all of it; space, white: forms kept for comparison"
    )
    basis: Literal["empirical", "waves"] = Field(
        "empirical",
        description="empirical: orthogonal functions of any region; waves: zonal waves times functions of latitude and "
        "channel, for the globe, of equal weight by area",
    )
    truncation: int | None = Field(
        None, gt=0, description="waves: triangular truncation of the fields; none: the finest that the grid carries"
    )
    modes: int | None = Field(
        None, gt=0, description="modes kept (waves: of each zonal wavenumber); none: all that the training supports"
    )
    coupled_modes: int = Field(
        100,
        ge=0,
        description="leading modes whose time evolution is coupled (a linear inverse model; waves: of each wavenumber)",
    )
    ridge: float = Field(0.05, ge=0, description="shrinks the coupling towards no memory")
    floor: float = Field(1e-6, gt=0, description="least variance of a mode (normalised units)")


class Points(Section):
    """Levels of points: values that are known better than their frame, which is what observing them means."""

    share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of windows with observed values; above 0 the prior serves reanalyse.guidance.method: fused",
    )
    error_min: float = Field(0.05, gt=0, description="least error of an observed value (standard deviations)")
    error_max: float = Field(1.0, gt=0, description="largest error of an observed value")

    @model_validator(mode="after")
    def _rising(self) -> "Points":
        if self.error_min > self.error_max:
            raise ValueError(f"error_min ({self.error_min}) must not exceed error_max ({self.error_max})")
        return self


class Backbone(Section):
    """The network: a video U-Net, or for a ring a residual network over time and space."""

    kind: Literal["unet", "line"] = Field(
        "unet", description="unet: fields of two dimensions; line: fields with a single latitude"
    )
    patch: int = Field(1, gt=0, description="unet: points a side gathered into one at the entrance; 1: full resolution")
    width: int = Field(32, gt=0, multiple_of=8, description="features at the first level")
    multipliers: list[int] = Field([1, 2, 2], min_length=1, description="unet: features at each level, times width")
    dilations: list[int] = Field(
        [1, 2], min_length=1, description="line: frames between the taps of each block's convolutions, in turn"
    )
    blocks: int = Field(2, gt=0, description="residual blocks: a level, down and up (unet); in all (line)")
    embedding: int = Field(96, gt=0, multiple_of=2, description="size of the embedding of noise level and date")
    dropout: float = Field(0.0, ge=0, lt=1, description="unet: share of features dropped in training")

    def of_kind(self) -> dict:
        """The settings that the chosen kind has."""
        names = {"unet": ("patch", "multipliers", "dropout"), "line": ("dilations",)}[self.kind]
        return {name: getattr(self, name) for name in ("width", "blocks", "embedding", *names)}


class Train(Section):
    """How the prior is trained."""

    seed: int = Field(1, ge=0, description="seed of weights, batches and noise")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda where there is one")
    threads: int = Field(2, gt=0, description="CPU threads; fixed, so that the same settings give the same bytes")
    bfloat16: bool = Field(True, description="run the network in bfloat16")
    window: int = Field(8, gt=0, description="frames in a window")
    steps: int = Field(2600, ge=0, description="optimiser steps; 0 leaves the closed form as it is")
    batch: int = Field(16, gt=0, description="windows an optimiser step")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate (AdamW, cosine to zero)")
    warmup: int = Field(100, ge=0, description="optimiser steps to the peak learning rate")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW weight decay")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the running average of the weights")
    clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    sigma_min: float = Field(0.02, gt=0, description="least noise level learnt (standard deviations)")
    sigma_max: float = Field(40.0, gt=0, description="largest noise level learnt")
    equal_share: float = Field(0.5, ge=0, le=1, description="share of windows with one noise level for all frames")
    staircase_share: float = Field(
        0.2, ge=0, le=1, description="share with levels that rise with time; the rest are independent"
    )
    points: Points = Field(Points(), description="values that are known better than their frame")
    place: bool = Field(True, description="tell the network where on the sphere each point is")
    checkpoint_every: int = Field(100, gt=0, description="optimiser steps between checkpoints")
    validate_every: int = Field(250, gt=0, description="optimiser steps between looks at the validation period")
    colour: Colour = Field(Colour(), description="the closed-form start")
    backbone: Backbone = Field(Backbone(), description="the network that learns what the closed form misses")

    @model_validator(mode="after")
    def _consistent(self) -> "Train":
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min ({self.sigma_min}) must lie below sigma_max ({self.sigma_max})")
        if self.equal_share + self.staircase_share > 1:
            raise ValueError("equal_share and staircase_share add up to more than 1")
        return self
