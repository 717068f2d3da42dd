"""Settings of `train`."""

from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.section import Precision, Section, under


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


SIZES = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16)}  # width, depth, heads (Peebles and Xie 2023)


class Backbone(Section):
    """The network: a video U-Net, a factorised transformer, or for a ring a residual network over time and space."""

    kind: Literal["unet", "transformer", "line"] = Field(
        "unet",
        description="unet, transformer: fields of two dimensions; line: fields with a single latitude",
    )
    patch: int = Field(
        1, gt=0, description="unet, transformer: points a side gathered into one at the entrance; 1: full resolution"
    )
    width: int = Field(32, gt=0, multiple_of=8, description="features at the first level")
    multipliers: list[int] = Field([1, 2, 2], min_length=1, description="unet: features at each level, times width")
    dilations: list[int] = Field(
        [1, 2], min_length=1, description="line: frames between the taps of each block's convolutions, in turn"
    )
    blocks: int = Field(2, gt=0, description="residual blocks: a level, down and up (unet); in all (line)")
    embedding: int = Field(96, gt=0, multiple_of=2, description="size of the embedding of noise level and date")
    dropout: float = Field(0.0, ge=0, lt=1, description="unet: share of features dropped in training")
    size: Literal["S", "B", "L"] | None = Field(
        None, description="transformer: a published size, which sets width, depth and heads"
    )
    depth: int = Field(6, gt=0, description="transformer: blocks")
    heads: int = Field(4, gt=0, description="transformer: attention heads, each of width / heads features")
    attention: Literal["full", "causal"] = Field(
        "full", description="transformer: whether a frame may attend to the frames after it"
    )
    positions: Literal["rotary", "table"] = Field(
        "rotary",
        description="transformer: rotary angles that know which edges meet, for any number of frames; or a learned "
        "table",
    )

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, given: object) -> object:
        """A published size is width, depth and heads, so that settings that were written out say them too."""
        if not isinstance(given, dict) or given.get("size") not in SIZES:
            return given
        return given | dict(zip(("width", "depth", "heads"), SIZES[given["size"]]))

    @model_validator(mode="after")
    def _heads_divide(self) -> "Backbone":
        if self.kind == "transformer" and self.width % (4 * self.heads):
            raise ValueError(
                f"width ({self.width}) must be a multiple of 4 heads ({self.heads}): rotary angles come in pairs, for "
                "rows and columns"
            )
        return self

    def of_kind(self) -> dict:
        """The settings that the chosen kind has."""
        names = {
            "unet": ("blocks", "patch", "multipliers", "dropout"),
            "transformer": ("patch", "depth", "heads", "attention", "positions"),
            "line": ("blocks", "dilations"),
        }[self.kind]
        return {name: getattr(self, name) for name in ("width", "embedding", *names)}


class Levels(Section):
    """Which noise levels training windows get: diffusion forcing, each frame its own."""

    schedule: Literal["log_uniform", "sigmoid"] = Field(
        "log_uniform",
        description="log_uniform: between train.sigma_min and sigma_max; sigmoid: the 1000 levels of ForcingDAS, each "
        "as likely",
    )
    stairs: Literal["sorted", "pyramid", "autoregressive", "both"] = Field(
        "sorted",
        description="what windows with a staircase look like (train.staircase_share). sorted: independent levels in "
        "order; the others: a row of the plan that sampling follows, after frames of context (ForcingDAS's CAT)",
    )
    steps: int = Field(100, gt=0, description="sampling steps of those plans")
    context: int = Field(10, gt=0, description="most frames of context before them")


TRANSFORMERS = {"kind", "size", "depth", "heads", "attention", "positions"}  # what says that a backbone is one
PRESETS: dict[str, dict] = {  # what a design sets where nothing else is said
    "coloured": {},
    "forcingdas": {
        "levels": {"schedule": "sigmoid", "stairs": "pyramid"},
        "equal_share": 0.0,
        "staircase_share": 0.25,
        "weight": "fused_min_snr",
        "noise_limit": 6.0,
        "sigma_min": 0.0173,  # of index 0
        "sigma_max": 1825.0,
        "learning_rate": 1.4e-4,
        "warmup": 2000,
        "pace": "constant",
        "betas": [0.9, 0.99],
        "weight_decay": 1e-3,
        "average": 0.0,
        "keep": "last",
        "place": False,
        "colour": {"form": "white"},
        "backbone": {
            "kind": "transformer",
            "size": "B",
            "patch": 4,
            "attention": "causal",
            "positions": "table",
        },
    },
}


class Train(Section):
    """How the prior is trained."""

    design: Literal["coloured", "forcingdas"] = Field(
        "coloured",
        description="coloured: the closed-form start and what a network adds to it; forcingdas: as published (white, "
        "sigmoid schedule, velocities, fused min-SNR weights, causal transformer). Sets the defaults of all that "
        "follows",
    )
    seed: int = Field(1, ge=0, description="seed of weights, batches and noise")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda where there is one")
    threads: int = Field(
        1,
        gt=0,
        description="CPU threads of each process; fixed, so that the same settings give the same bytes. Processes "
        "share cores with other work better than threads, which wait for each other at every operation",
    )
    processes: int = Field(
        1, gt=0, description="processes that train together, each on its share of a batch (torchrun); on GPUs, one each"
    )
    nodes: int = Field(
        1, gt=0, description="nodes that these processes are spread over, as many on each; more than 1: SLURM"
    )
    precision: Precision = Field(
        "auto",
        description="of the network's operations. auto: bfloat16 where the processor or GPU has it natively, else "
        "float32; where it is emulated it is many times slower",
    )
    compile: bool = Field(False, description="compile the network (torch.compile): minutes first, then faster steps")
    recompute: bool = Field(
        False, description="keep no activations inside blocks, compute them again on the way back: less memory, slower"
    )
    accumulate: int = Field(1, gt=0, description="parts that each process takes its share of a batch in")
    cache_mb: int = Field(1000, gt=0, description="memory for frames read from the store, of each process (MB)")
    window: int = Field(8, gt=0, description="frames in a window")
    steps: int = Field(2600, ge=0, description="optimiser steps; 0 leaves the closed form as it is")
    batch: int = Field(16, gt=0, description="windows an optimiser step, of all processes together")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate (AdamW)")
    warmup: int = Field(100, ge=0, description="optimiser steps to the peak learning rate")
    pace: Literal["cosine", "constant"] = Field("cosine", description="learning rate after it: to zero, or as it is")
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's decay of the gradient's two moments")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW weight decay")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the running average of the weights; 0: none")
    clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    sigma_min: float = Field(0.02, gt=0, description="least noise level learnt (standard deviations)")
    sigma_max: float = Field(40.0, gt=0, description="largest noise level learnt")
    equal_share: float = Field(0.5, ge=0, le=1, description="share of windows with one noise level for all frames")
    staircase_share: float = Field(
        0.2, ge=0, le=1, description="share with levels that rise with time; the rest are independent"
    )
    levels: Levels = Field(Levels(), description="which noise levels training windows get")
    weight: Literal["error", "fused_min_snr"] = Field(
        "error",
        description="error: every level by what the closed form leaves; fused_min_snr: besides, by how clean a frame "
        "and those before it are (Chen et al. 2024)",
    )
    noise_limit: float | None = Field(None, gt=0, description="noise beyond this is cut off (standard deviations)")
    points: Points = Field(Points(), description="values that are known better than their frame")
    place: bool = Field(True, description="tell the network where on the sphere each point is")
    checkpoint_every: int = Field(100, gt=0, description="optimiser steps between checkpoints")
    validate_every: int = Field(250, gt=0, description="optimiser steps between looks at the validation period")
    keep: Literal["best", "last"] = Field(
        "best",
        description="weights that are kept: of the best look at the validation period, which is at every kind of noise "
        "level that is drawn, or the last",
    )
    patience: int | None = Field(
        None, gt=0, description="stop after so many looks without a better one; none: train all steps"
    )
    colour: Colour = Field(Colour(), description="the closed-form start")
    backbone: Backbone = Field(Backbone(), description="the network that learns what the closed form misses")

    @model_validator(mode="before")
    @classmethod
    def _designed(cls, given: object) -> object:
        """What a design sets, where nothing else is said."""
        if not isinstance(given, dict) or given.get("design") not in PRESETS:
            return given
        preset, backbone = PRESETS[given["design"]], given.get("backbone")
        if "backbone" in preset and isinstance(backbone, dict):
            given = given | {"backbone": _transformer(backbone)}
        return under(given, preset)

    @model_validator(mode="after")
    def _consistent(self) -> "Train":
        if wrong := [*self._ranges(), *self._parts(), *self._designs()]:
            raise ValueError("\n  train: ".join(wrong))
        return self

    def _ranges(self) -> list[str]:
        wrong = []
        if self.sigma_min >= self.sigma_max:
            wrong.append(f"sigma_min ({self.sigma_min}) must lie below sigma_max ({self.sigma_max})")
        if self.equal_share + self.staircase_share > 1:
            wrong.append("equal_share and staircase_share add up to more than 1")
        if self.levels.stairs != "sorted" and self.levels.schedule != "sigmoid":
            wrong.append(f"levels.stairs: {self.levels.stairs} are of levels.schedule: sigmoid; set that, or sorted")
        return wrong

    def _parts(self) -> list[str]:
        if self.processes % self.nodes:
            return [f"processes ({self.processes}) are not spread evenly over {self.nodes} nodes; make them a multiple"]
        if self.batch % (self.processes * self.accumulate):
            return [
                f"batch ({self.batch}) does not divide into {self.processes} process(es) of {self.accumulate} part(s); "
                "make it a multiple of processes times accumulate"
            ]
        return []

    def _designs(self) -> list[str]:
        wrong = []
        if self.design == "forcingdas" and self.colour.form != "white":
            wrong.append(f"colour.form: {self.colour.form} is of design: coloured; forcingdas is white")
        if self.design == "forcingdas" and self.backbone.kind != "transformer":
            wrong.append(f"backbone.kind: {self.backbone.kind} is of design: coloured; forcingdas is a transformer")
        if self.design == "forcingdas" and self.points.share:
            wrong.append("points.share: levels of points are of design: coloured; set it to 0")
        if self.weight == "fused_min_snr" and self.colour.form != "white":
            wrong.append("weight: fused_min_snr is made for colour.form: white; set that, or weight: error")
        if self.backbone.positions == "table" and self.backbone.kind == "transformer" and self.window > 64:
            wrong.append(f"window: {self.window} frames; a table of positions holds 64, use backbone.positions: rotary")
        return wrong


def _transformer(backbone: dict) -> dict:
    """What is said of a transformer; what is said of another network gives way to a design, and a size to numbers."""
    if not TRANSFORMERS & set(backbone):
        return {}
    own = {"width", "depth", "heads"} & set(backbone)
    return {"size": None, **backbone} if own else backbone
