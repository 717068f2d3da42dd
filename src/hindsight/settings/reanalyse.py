"""Settings of `reanalyse`.

Each guidance, sampling step and regime is a module of its name (in diffusion/guidance, diffusion/steps and
reanalyse/regimes). `GUIDANCES`, `STEPS` and `REGIMES` list the settings that each uses, without importing the modules.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.hours import Hours, HoursFromZero, in_frames
from hindsight.settings.section import Precision, Section, with_defaults
from hindsight.settings.steering import Steering


@dataclass(frozen=True)
class Traits:
    """Properties of a guidance that the settings are checked against.

    Attributes:
        uses: the settings of `reanalyse.guidance` that it uses.
        draws: whether it can draw a sample, which the sampling step `covariance` needs.
        deterministic: whether it needs deterministic sampling steps.
        points: whether it needs a prior trained with observed points (train.points).
        controller: whether it needs a controller (train.controller).
    """

    uses: tuple[str, ...] = ()
    draws: bool = False
    deterministic: bool = False
    points: bool = False
    controller: bool = False


GUIDANCES = {
    "analytic": Traits(draws=True),
    "fused": Traits(draws=True, points=True),
    "mmps": Traits(("iterations",)),
    "sda": Traits(("gamma",)),
    "dps": Traits(("zeta",), deterministic=True),
    "forcing": Traits(("gamma", "zeta", "spectral"), deterministic=True),
    "diagonal": Traits(("gamma",)),
    "controlled": Traits(controller=True),
}
STEPS = {"covariance": (), "ddim": ("eta",), "second_order": ()}  # settings of `reanalyse.sampler` that each uses
REGIMES = {  # settings of `reanalyse` that each uses
    "batch": ("selection",),
    "fixed_lag": ("lag_hours", "past", "context"),
    "nowcast": ("past", "context"),
    "particle_filter": ("lag_hours", "context", "window"),
    "sliding": ("lag_hours", "context", "window"),
}
DESIGNS: dict[str, dict] = {  # settings that a design fixes, whatever else is given
    "hindsight": {},
    "forcingdas": {
        "noise_levels": "sigmoid",
        "past": "fixed",
        "guidance": {"method": "forcing", "iterations": 3},  # the default: mmps's, whose method is overridden
        "sampler": {"step": "ddim", "eta": 0.0},
    },
}
DEFAULTS: dict[str, dict] = {  # default settings of a design
    "hindsight": {},
    "forcingdas": {"sigma_max": 1825.0, "steps": 100, "fixed_sigma": 0.06857},  # index 14 of their levels
}


class Guidance(Section):
    """How observations guide the denoiser."""

    method: Literal["analytic", "fused", "mmps", "sda", "dps", "forcing", "diagonal", "controlled"] = Field(
        "analytic",
        description="analytic: covariance of the linear prior; fused: the network is given observed values at the "
        "noise level of their error (a prior trained with train.points, and observations at grid points); mmps: "
        "covariance by the network's Jacobian; sda, dps, forcing: gradients as published; diagonal: no covariance, for "
        "dense observations; controlled: by a network that was trained on roll-outs of the prior (train.controller), "
        "which costs little more than no guidance",
    )
    gamma: float | None = Field(
        None,
        ge=0,
        description="sda, forcing: posterior variance in units of sigma^2; diagonal: factor of the error variance; "
        "none: the method's default",
    )
    zeta: float | None = Field(None, gt=0, description="dps, forcing: length of the step; none: the method's default")
    spectral: float = Field(0.0, ge=0, description="forcing: weight of the misfit of the spectrum")
    iterations: int = Field(3, gt=0, le=32, description="mmps: solver iterations, each with a backward pass")

    @property
    def traits(self) -> Traits:
        """Properties of the method that the settings are checked against."""
        return GUIDANCES[self.method]

    def options(self) -> dict[str, float]:
        """The method's own settings that are given."""
        options = {name: getattr(self, name) for name in self.traits.uses}
        return {name: value for name, value in options.items() if value is not None}

    def without_points(self, share: float) -> list[str]:
        """What is wrong, given the share of training windows with observed points (train.points.share)."""
        if not self.traits.points or share:
            return []
        return [
            f"reanalyse.guidance.method: {self.method} needs a prior trained with observed points; set"
            " train.points.share above 0 (0.6, say), or choose another method"
        ]

    def unused(self) -> list[str]:
        """One sentence for each setting that is given and that the method does not use."""
        wrong = []
        for name, field in type(self).model_fields.items():
            users = [method for method, traits in GUIDANCES.items() if name in traits.uses]
            if users and self.method not in users and getattr(self, name) != field.default:
                wrong.append(
                    f"guidance.{name} belongs to {' and '.join(users)}, and guidance.method is {self.method!r}; leave "
                    "it out"
                )
        return wrong


class Sampler(Section):
    """The sampling steps, from noise to clean."""

    step: Literal["covariance", "ddim", "second_order"] = Field(
        "covariance",
        description="covariance: draws the clean frames (guidance analytic or fused), exact for a Gaussian prior; "
        "ddim; second_order: DPM-Solver++(2M)",
    )
    eta: float = Field(1.0, ge=0, le=1, description="ddim: 0 deterministic, 1 ancestral")
    corrections: int = Field(0, ge=0, description="Langevin corrections after each step, a network evaluation each")
    correction_size: float = Field(0.1, gt=0, le=2, description="size of a Langevin correction, in units of sigma^2")

    def options(self) -> dict[str, float]:
        """The step's own settings."""
        return {name: getattr(self, name) for name in STEPS[self.step]}

    def unused(self) -> list[str]:
        """One sentence for each setting of another step that is given."""
        names = {name for uses in STEPS.values() for name in uses} - {*STEPS[self.step]}
        given = [name for name in sorted(names) if getattr(self, name) != type(self).model_fields[name].default]
        return [f"sampler.{name} is not used by sampler.step {self.step}; leave it out" for name in given]


class Selection(Section):
    """Passes after a batch: members are resampled by misfit, then noise is added and removed to make copies differ."""

    passes: int = Field(0, ge=0, description="number of passes; if any, all members must be in one job")
    sigma: float = Field(0.5, gt=0, description="noise level that a pass adds to the members")
    effective: float = Field(
        0.5,
        gt=0,
        le=1,
        description="least effective number of members, as a share of all; weights are tempered to keep it",
    )
    reach_hours: float = Field(
        48.0, gt=0, description="standard deviation (h) of the Gaussian weight of a misfit at another time"
    )


class Window(Section):
    """Regimes sliding and particle_filter: the moving window, and the weights of its members (particles)."""

    hop_hours: Hours | None = Field(None, description="sliding: hours that the window moves by; none: one frame")
    carried: float = Field(
        0.5, gt=0, description="sliding: noise level of the frames that the window keeps when it moves"
    )
    carried_newest: float | None = Field(
        None,
        gt=0,
        description="sliding: noise level of the newest of these frames; `carried` is then that of the oldest; none: "
        "the same",
    )
    inversion_steps: int = Field(
        0,
        ge=0,
        description="sliding: steps, a network evaluation each, by which these frames are brought back to their noise "
        "level by inverting deterministic sampling (DAWIS); 0: by adding noise",
    )
    weights: Literal["predictive", "mean", "misfit"] = Field(
        "predictive",
        description="what members are weighted by. predictive: the likelihood of new observations given the members' "
        "past, before these guide them, with the covariance of the linear prior (exact for a Gaussian prior); mean: "
        "the same as if the predictions were certain (as published for FA-APF); misfit (sliding): the misfit of "
        "members that the same observations have guided, which counts them twice",
    )
    effective: float = Field(
        0.5,
        gt=0,
        le=1,
        description="least effective number of members, as a share of all; weights are tempered to keep it; 1: no "
        "resampling",
    )
    reach_km: float | None = Field(
        None,
        gt=0,
        description="standard deviation (km) of the Gaussian weight of an observation elsewhere; none: no localisation",
    )

    @property
    def weigh(self) -> Literal["never", "before", "after"]:
        """When members are weighted: before or after the cycle that samples them."""
        if self.effective == 1:
            return "never"
        return "after" if self.weights == "misfit" else "before"


class Sampling(Section):
    """How frames are sampled. A controller is trained for one choice, and analyses that use it must have the same."""

    regime: Literal["batch", "fixed_lag", "nowcast", "particle_filter", "sliding"] = Field(
        "batch",
        description="batch: every frame uses all observations; fixed_lag: those up to lag_hours after it; nowcast (a "
        "filter): those before and at it; sliding: as fixed_lag, by resampling particles in a moving window; "
        "particle_filter: the same with finished frames kept fixed",
    )
    lag_hours: HoursFromZero | None = Field(
        None,
        description="fixed_lag, sliding, particle_filter: a frame uses observations up to this number of hours after "
        "it; 0: a filter",
    )
    past: Literal["sampled_again", "fixed"] = Field(
        "sampled_again",
        description="fixed_lag, nowcast: sampled_again: with every new frame past ones are sampled anew (the Kalman "
        "filter for a Gaussian prior); fixed: finished frames are kept and taken as certain (ForcingDAS), cheaper",
    )
    context: int = Field(16, gt=0, description="all but batch: frames sampled together, the newest included")
    sampler: Sampler = Field(Sampler(), description="the sampling steps, from noise to clean")
    steps: int = Field(
        8,
        gt=0,
        description="sampling steps from noise to clean; each evaluates once every network window with a frame to "
        "denoise (sigmoid: before the cut at sigma_max)",
    )
    noise_levels: Literal["karras", "sigmoid"] = Field(
        "karras",
        description="noise levels of the sampling steps. karras: from sigma_max to sigma_min by rho; sigmoid: those of "
        "ForcingDAS, cut off at sigma_max",
    )
    fixed_sigma: float | None = Field(
        None, gt=0, description="noise level that the network is given for finished frames; none: sigma_min"
    )
    sigma_max: float = Field(10.0, gt=0, description="noise level of the first network evaluation")
    sigma_min: float = Field(0.05, gt=0, description="noise level of the last network evaluation")
    rho: float = Field(
        7.0,
        gt=0,
        description="exponent of the noise levels; larger: more of them near sigma_min (Karras et al. 2022, eq. 5)",
    )
    frames: int | None = Field(
        None,
        gt=0,
        description="frames that the network is given at once, a network window; none: as in training (train.window)",
    )
    stride: int = Field(4, gt=0, description="frames between the starts of network windows, which overlap")

    def lag_frames(self, step_hours: float) -> int:
        """Number of later frames whose observations a frame uses; 0 if the regime has no lag."""
        return in_frames(self.lag_hours or 0, step_hours)

    def walk_errors(self) -> list[str]:
        """What keeps a controller, which was trained to finish one frame after the other, from being used."""
        wrong = []
        if self.regime not in ("nowcast", "fixed_lag") or self.past != "fixed":
            wrong.append(
                "guidance.method 'controlled' was trained to finish one frame after the other, and regime is "
                f"{self.regime!r} with past: {self.past}; set regime: nowcast or fixed_lag, and past: fixed"
            )
        if self.noise_levels != "karras":
            wrong.append(f"guidance.method 'controlled' needs noise_levels: karras, not {self.noise_levels}")
        if self.sampler.step != "ddim" or self.sampler.corrections:
            wrong.append(
                "guidance.method 'controlled' was trained with ddim steps; set sampler: {step: ddim}, no corrections"
            )
        return wrong


class Reanalyse(Sampling):
    """How the prior and the observations become an analysis."""

    design: Literal["hindsight", "forcingdas"] = Field(
        "hindsight",
        description="forcingdas: sampling as published (their noise levels, 100 steps, finished frames kept fixed, "
        "their guidance, deterministic steps). It overrides noise_levels, past, guidance and sampler; it changes the "
        "defaults of steps, fixed_sigma and sigma_max",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda if there is a GPU")
    threads: int = Field(1, gt=0, description="CPU threads of a job; the bytes of an analysis depend on it")
    precision: Precision = Field(
        "auto",
        description="precision of the network. auto: that of training, or float32 on a machine without native bfloat16",
    )
    window: Window = Field(
        Window(),
        description="sliding, particle_filter: weights of members; sliding: moves of the window of `context` frames",
    )
    guidance: Guidance = Field(Guidance(), description="how observations guide the denoiser")
    selection: Selection = Field(Selection(), description="passes that replace members in a wrong mode")
    steering: Steering = Field(Steering(), description="shifts away from what the prior has memorised")
    halo: int = Field(
        10,
        ge=0,
        description="frames around a shard, analysed and discarded; for regimes other than batch the spin-up before it",
    )
    batch: int = Field(32, gt=0, description="network windows evaluated at once")
    retries: int = Field(1, ge=0, description="times that a diverged sample is repeated, each with twice the steps")
    solver_tolerance: float = Field(
        1e-4,
        gt=0,
        lt=1,
        description="residual at which the observation solver stops, relative to the innovations; in any case below "
        "a twentieth of the observation errors",
    )
    solver_iterations: int = Field(
        200, gt=0, description="maximum iterations of the observation solver, in single and again in double precision"
    )
    solver_memory: float = Field(
        2.0,
        ge=0,
        description="GB that the matrices of the observation solver may take; where none of its forms with matrices "
        "fits, it works without, with more iterations. The values of an analysis depend on it within solver_tolerance",
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_design(cls, given: object) -> object:
        """Override with the settings that the design fixes, and fill in its defaults."""
        if not isinstance(given, dict) or given.get("design") not in DESIGNS:
            return given
        return with_defaults(with_defaults(DESIGNS[given["design"]], given), DEFAULTS[given["design"]])

    @model_validator(mode="after")
    def _agrees(self) -> "Reanalyse":
        if wrong := [*self._check_levels(), *self._check_regime(), *self._check_sampling()]:
            raise ValueError("\n  reanalyse: ".join(wrong))
        return self

    def uses(self, name: str) -> bool:
        """Whether the regime uses a setting."""
        return name in REGIMES[self.regime]

    def hop_frames(self, step_hours: float) -> int:
        """Frames that the view moves by from cycle to cycle."""
        return in_frames(self.window.hop_hours or step_hours, step_hours) if self.regime == "sliding" else 1

    def halo_frames(self, step_hours: float) -> tuple[int, int]:
        """Frames before and after a shard that its job analyses too; after it, no more than lag and hop need."""
        if not self.uses("context"):
            return self.halo, self.halo
        return self.halo, self.lag_frames(step_hours) + self.hop_frames(step_hours) - 1

    def _check_levels(self) -> list[str]:
        wrong = []
        if self.sigma_min >= self.sigma_max:
            wrong.append(f"sigma_min ({self.sigma_min}) must lie below sigma_max ({self.sigma_max})")
        for name in ("carried", "carried_newest"):
            level = getattr(self.window, name)
            if self.regime == "sliding" and level and level > self.sigma_max:
                wrong.append(f"window.{name} ({level}) must not exceed sigma_max ({self.sigma_max})")
        if self.selection.passes and not self.sigma_min < self.selection.sigma <= self.sigma_max:
            wrong.append(
                f"selection.sigma ({self.selection.sigma}) must lie above sigma_min ({self.sigma_min}) and not exceed"
                f" sigma_max ({self.sigma_max})"
            )
        return wrong

    def _check_regime(self) -> list[str]:
        wrong = []
        if self.uses("lag_hours") and self.lag_hours is None:
            wrong.append(f"regime {self.regime!r} needs lag_hours: for how long after a frame it uses observations")
        if not self.uses("lag_hours") and self.lag_hours is not None:
            wrong.append(
                f"regime {self.regime!r} has no lag (lag_hours = {self.lag_hours}); leave it out, or set regime: "
                "fixed_lag"
            )
        if self.regime == "particle_filter" and self.window.weights == "misfit":
            wrong.append(
                "window.weights: misfit needs regime sliding, and regime is particle_filter; set predictive or mean"
            )
        if self.selection.passes and not self.uses("selection"):
            wrong.append(f"selection.passes need regime batch, and regime is {self.regime}; set passes: 0")
        return wrong

    def _check_sampling(self) -> list[str]:
        method, sampler, wrong = self.guidance.method, self.sampler, []
        if sampler.step == "covariance" and not self.guidance.traits.draws:
            drawing = ", ".join(name for name, traits in GUIDANCES.items() if traits.draws)
            wrong.append(
                f"sampler.step covariance needs a guidance that can draw ({drawing}), and guidance.method is "
                f"{method!r}; set sampler.step: ddim or second_order"
            )
        if self.guidance.traits.deterministic and (sampler.step != "ddim" or sampler.eta or sampler.corrections):
            wrong.append(
                f"guidance.method {method!r} is made for deterministic steps; set sampler: {{step: ddim, eta: 0}}, "
                "without corrections"
            )
        if self.guidance.traits.controller:
            wrong += self.walk_errors()
        return [*wrong, *self.guidance.unused(), *sampler.unused()]
