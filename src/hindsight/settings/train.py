"""Settings of `train`."""

from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.section import Precision, Section, with_defaults


class LinearPrior(Section):
    """The linear prior: a stationary Gauss-Markov process in orthonormal modes."""

    form: Literal["space_time", "space", "white"] = Field(
        "space_time",
        description="space_time: a linear inverse model; space: no memory; white: white noise. The last two are for "
        "comparisons",
    )
    basis: Literal["empirical", "waves"] = Field(
        "empirical",
        description="empirical: empirical orthogonal functions of any region; waves: functions of latitude and channel "
        "for each zonal wavenumber, on a globe or torus, with weights by area",
    )
    truncation: int | None = Field(
        None, gt=0, description="waves: triangular truncation of the fields; none: the finest that the grid resolves"
    )
    modes: int | None = Field(
        None,
        gt=0,
        description="modes of all channels together, whose covariances and coupling are kept (waves: of each "
        "wavenumber); none: all (with `parts: 1`, one fewer than frames). Some hundred suffice for many channels on a "
        "globe",
    )
    residual: bool = Field(
        True,
        description="keep the variance and memory of what modes and truncation leave out, of each channel by itself; "
        "false: it is taken as zero. Where nothing is left out, this changes nothing",
    )
    coupled_modes: int = Field(
        100,
        ge=0,
        description="leading modes whose time evolution is coupled (waves: of each zonal wavenumber)",
    )
    ridge: float = Field(0.05, ge=0, description="ridge, which shrinks the coupling towards zero")
    parts: int = Field(
        5,
        ge=1,
        description="parts of the training period; the variance of modes is measured in each part with modes fitted to "
        "the others, since it is too large or too small in frames that modes were fitted to; 1: it is measured in all "
        "frames, to which the modes are fitted too",
    )
    floor: float = Field(1e-6, gt=0, description="least variance of a mode (normalised units)")


class Points(Section):
    """Observed points in training: values that are known more precisely than the rest of their frame."""

    share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of windows with observed points; reanalyse.guidance.method: fused needs more than 0",
    )
    error_min: float = Field(0.05, gt=0, description="smallest error of an observed value (standard deviations)")
    error_max: float = Field(1.0, gt=0, description="largest error of an observed value")

    @model_validator(mode="after")
    def _rising(self) -> "Points":
        if self.error_min > self.error_max:
            raise ValueError(f"error_min ({self.error_min}) must not exceed error_max ({self.error_max})")
        return self


SIZES = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16)}  # width, depth, heads (Peebles and Xie 2023)


class Backbone(Section):
    """The network: a video U-Net, a factorised transformer, or a residual network over time and longitude."""

    kind: Literal["unet", "transformer", "line"] = Field(
        "unet",
        description="unet, transformer: for fields in two dimensions; line: for fields with a single latitude",
    )
    patch: int = Field(1, gt=0, description="unet, transformer: side of a patch (grid points); 1: full resolution")
    width: int = Field(32, gt=0, multiple_of=8, description="features at the first resolution")
    multipliers: list[int] = Field(
        [1, 2, 2], min_length=1, description="unet: features at each resolution, as multiples of width"
    )
    dilations: list[int] = Field(
        [1, 2], min_length=1, description="line: dilation in time of the convolutions of each block, in turn (frames)"
    )
    blocks: int = Field(2, gt=0, description="residual blocks: at each resolution, down and up (unet); in all (line)")
    embedding: int = Field(96, gt=0, multiple_of=2, description="size of the embedding of noise level and date")
    dropout: float = Field(0.0, ge=0, lt=1, description="unet: dropout rate")
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
        description="transformer: positional encoding. rotary: for any number of frames, with periodic edges; table: "
        "learned, for up to 64 frames",
    )

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, given: object) -> object:
        """Set width, depth and heads of a published size, so that settings written out have them too."""
        if not isinstance(given, dict) or given.get("size") not in SIZES:
            return given
        of_size = dict(zip(("width", "depth", "heads"), SIZES[given["size"]]))
        for name, number in of_size.items():
            if given.get(name, number) != number:
                raise ValueError(f"size {given['size']} has {name} {number}, and {given[name]} is given; leave one out")
        return given | of_size

    @model_validator(mode="after")
    def _heads_divide(self) -> "Backbone":
        rotary = self.positions == "rotary"
        if self.kind == "transformer" and self.width % ((4 if rotary else 1) * self.heads):
            why = ": rotary angles come in pairs, for rows and columns" if rotary else ""
            raise ValueError(f"width ({self.width}) must be a multiple of {'4 x ' * rotary}heads ({self.heads}){why}")
        return self

    def of_kind(self) -> dict:
        """The settings that apply to the chosen kind."""
        names = {
            "unet": ("blocks", "patch", "multipliers", "dropout"),
            "transformer": ("patch", "depth", "heads", "attention", "positions"),
            "line": ("blocks", "dilations"),
        }[self.kind]
        return {name: getattr(self, name) for name in ("width", "embedding", *names)}


class NoiseLevels(Section):
    """Noise levels of training windows: diffusion forcing, with a level for each frame."""

    schedule: Literal["log_uniform", "sigmoid"] = Field(
        "log_uniform",
        description="log_uniform: between train.sigma_min and sigma_max; sigmoid: the 1000 levels of ForcingDAS, "
        "equally likely",
    )
    staircase: Literal["sorted", "pyramid", "autoregressive", "both"] = Field(
        "sorted",
        description="noise levels that rise with time, in train.staircase_share of the windows. sorted: independent "
        "levels, sorted. The others are ForcingDAS's, and follow frames of context. pyramid: each frame one sampling "
        "step behind the one before it; autoregressive: each frame waits until the one before it is finished; both: "
        "either at random",
    )
    steps: int = Field(100, gt=0, description="pyramid, autoregressive: number of sampling steps")
    context: int = Field(
        10, gt=0, description="pyramid, autoregressive: largest number of context frames, whose levels are independent"
    )


class Audit(Section):
    """The audit of the prior for memorisation: training frames beside held-out ones, those of `domain.validation`."""

    windows: int = Field(64, gt=1, description="windows of each period that are denoised; intervals need 30")
    frames: int = Field(
        5000,
        gt=1,
        description="frames of each period, at most, that are compared with each other; if there are more, or those "
        "whose nearest is sought take more than 500 MB, they are evenly spread over the period, and copies between "
        "them may be missed",
    )
    limit: float | None = Field(
        None,
        ge=0.5,
        le=1,
        description="largest AUROC between the periods, 0.7 say; the run stops before the analyses if one of the three "
        "judged ones exceeds it and its interval (from 30 windows on) does not contain 0.5. none: they are reported, "
        "and stop nothing",
    )


TRANSFORMERS = {"kind", "size", "depth", "heads", "attention", "positions"}  # keys that only a transformer has
PRESETS: dict[str, dict] = {  # defaults of each design
    "hindsight": {},
    "forcingdas": {
        "noise_levels": {"schedule": "sigmoid", "staircase": "pyramid"},
        "equal_share": 0.0,
        "staircase_share": 0.25,
        "weight": "fused_min_snr",
        "noise_limit": 6.0,
        "sigma_min": 0.0173,  # of index 0
        "sigma_max": 1825.0,
        "learning_rate": 1.4e-4,
        "warmup": 2000,
        "learning_rate_decay": "constant",
        "betas": [0.9, 0.99],
        "weight_decay": 1e-3,
        "average": 0.0,
        "keep": "last",
        "coordinates": False,
        "linear_prior": {"form": "white"},
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
    """Training of the prior."""

    design: Literal["hindsight", "forcingdas"] = Field(
        "hindsight",
        description="hindsight: a network that corrects the linear prior; forcingdas: as published (white, sigmoid "
        "schedule, velocities, fused min-SNR weights, causal transformer). Sets the defaults of other settings",
    )
    seed: int = Field(1, ge=0, description="seed of weights, batches and noise")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda if available")
    threads: int = Field(
        1,
        gt=0,
        description="CPU threads of each process; results depend on it. On a shared machine, more processes are "
        "faster than more threads",
    )
    processes: int = Field(
        1,
        gt=0,
        description="processes of data-parallel training (torchrun), each with a share of a batch; on GPUs one each",
    )
    nodes: int = Field(1, gt=0, description="nodes, each with the same number of processes; more than 1 needs SLURM")
    precision: Precision = Field(
        "auto",
        description="precision of the network. auto: bfloat16 where the processor or GPU has it natively, else "
        "float32; emulated bfloat16 is many times slower",
    )
    compile: bool = Field(
        False, description="compile the network (torch.compile), which takes minutes, for faster steps"
    )
    recompute: bool = Field(
        False, description="recompute activations in the backward pass (checkpointing): less memory, slower"
    )
    accumulate: int = Field(
        1, gt=0, description="parts into which a process splits its share of a batch; more parts: less memory"
    )
    cache_mb: int = Field(1000, gt=0, description="memory of each process for frames read from the store (MB)")
    window: int = Field(8, gt=0, description="frames in a training window")
    steps: int = Field(2600, ge=0, description="optimiser steps; 0: the prior is the linear prior")
    batch: int = Field(16, gt=0, description="training windows in an optimiser step, over all processes")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate (AdamW)")
    warmup: int = Field(100, ge=0, description="optimiser steps of linear warm-up to the peak learning rate")
    learning_rate_decay: Literal["cosine", "constant"] = Field(
        "cosine", description="factor of the learning rate: a half cosine to zero over all steps, or constant"
    )
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW: decay of the two moments of the gradient")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW weight decay")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the running average of the weights; 0: none")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient; larger ones are scaled down to it")
    sigma_min: float = Field(0.02, gt=0, description="smallest noise level in training (standard deviations)")
    sigma_max: float = Field(40.0, gt=0, description="largest noise level in training")
    equal_share: float = Field(
        0.5, ge=0, le=1, description="schedule log_uniform: share of windows with one noise level for all frames"
    )
    staircase_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of windows with noise levels that rise with time; the rest: independent",
    )
    noise_levels: NoiseLevels = Field(NoiseLevels(), description="noise levels of training windows")
    weight: Literal["error", "fused_min_snr"] = Field(
        "error",
        description="weight of each frame in the loss. error: by the expected error of the linear prior at its noise "
        "level; fused_min_snr: also by how clean it and the frames before it are (Chen et al. 2024)",
    )
    noise_limit: float | None = Field(
        None, gt=0, description="noise is clipped to this magnitude (standard deviations)"
    )
    points: Points = Field(Points(), description="observed points in training windows")
    coordinates: bool = Field(True, description="give the network the coordinates of each point on the sphere")
    checkpoint_every: int = Field(100, gt=0, description="optimiser steps between checkpoints")
    validate_every: int = Field(250, gt=0, description="optimiser steps between validations")
    keep: Literal["best", "last"] = Field(
        "best",
        description="weights of the prior: those with the best validation, over all kinds of noise levels in training, "
        "or the last",
    )
    patience: int | None = Field(
        None, gt=0, description="stop after this many validations without improvement; none: train all steps"
    )
    linear_prior: LinearPrior = Field(LinearPrior(), description="the linear prior, from which training starts")
    backbone: Backbone = Field(Backbone(), description="the network that corrects the linear prior")
    audit: Audit = Field(Audit(), description="the audit of the prior for memorisation; it changes no weight")

    @model_validator(mode="before")
    @classmethod
    def _designed(cls, given: object) -> object:
        """Fill in the defaults of the design."""
        if not isinstance(given, dict) or given.get("design") not in PRESETS:
            return given
        preset, backbone = PRESETS[given["design"]], given.get("backbone")
        if "backbone" in preset and isinstance(backbone, dict):
            given = given | {"backbone": _transformer(backbone)}
        return with_defaults(given, preset)

    @model_validator(mode="after")
    def _consistent(self) -> "Train":
        if wrong := [*self._range_errors(), *self._batch_errors(), *self._design_errors()]:
            raise ValueError("\n  train: ".join(wrong))
        return self

    def _range_errors(self) -> list[str]:
        wrong = []
        if self.sigma_min >= self.sigma_max:
            wrong.append(f"sigma_min ({self.sigma_min}) must lie below sigma_max ({self.sigma_max})")
        if self.noise_levels.schedule == "log_uniform" and self.equal_share + self.staircase_share > 1:
            wrong.append("equal_share and staircase_share add up to more than 1")
        if self.noise_levels.staircase != "sorted" and self.noise_levels.schedule != "sigmoid":
            wrong.append(
                f"noise_levels.staircase: {self.noise_levels.staircase} needs noise_levels.schedule: sigmoid; "
                "set that, or staircase: sorted"
            )
        return wrong

    def _batch_errors(self) -> list[str]:
        if self.processes % self.nodes:
            return [f"processes ({self.processes}) must be a multiple of nodes ({self.nodes})"]
        if self.batch % (self.processes * self.accumulate):
            return [
                f"batch ({self.batch}) must be a multiple of processes ({self.processes}) times accumulate "
                f"({self.accumulate})"
            ]
        return []

    def _design_errors(self) -> list[str]:
        wrong = []
        if self.design == "forcingdas" and self.linear_prior.form != "white":
            wrong.append(f"linear_prior.form: {self.linear_prior.form} needs design: hindsight; forcingdas: white")
        if self.design == "forcingdas" and self.backbone.kind != "transformer":
            wrong.append(f"backbone.kind: {self.backbone.kind} needs design: hindsight; forcingdas: transformer")
        if self.design == "forcingdas" and self.points.share:
            wrong.append("points.share: observed points need design: hindsight; set it to 0")
        if self.weight == "fused_min_snr" and self.linear_prior.form != "white":
            wrong.append("weight: fused_min_snr needs linear_prior.form: white; set that, or weight: error")
        if self.backbone.positions == "table" and self.backbone.kind == "transformer" and self.window > 64:
            wrong.append(f"window: {self.window} frames exceed the 64 of a table; set backbone.positions: rotary")
        return wrong


def _transformer(backbone: dict) -> dict:
    """The given settings of a transformer; none without a key that only a transformer has: they are another network's.

    Of width, depth and heads those that are given override those of size B, the design's.
    """
    if not TRANSFORMERS & set(backbone):
        return {}
    if backbone.get("size") or not {"width", "depth", "heads"} & set(backbone):
        return backbone
    return dict(zip(("width", "depth", "heads"), SIZES["B"])) | backbone | {"size": None}
