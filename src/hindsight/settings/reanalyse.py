"""Settings of `reanalyse`."""

from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.section import Precision, Section, under

DRAWS = ("analytic", "fused")  # guidances that can draw, not only average
OWN = {  # settings that some guidances alone have
    "gamma": ("sda", "forcing", "diagonal"),
    "zeta": ("dps", "forcing"),
    "spectral": ("forcing",),
}
SHIFTS = ("forcing", "dps")  # guidances made for a deterministic step
MADE_OF: dict[str, dict] = {  # what a design is, whatever else is said
    "hindsight": {},
    "forcingdas": {
        "ladder": "sigmoid",
        "past": "held",
        "guidance": {"method": "forcing"},
        "sampler": {"step": "ddim", "eta": 0.0},
    },
}
PRESETS: dict[str, dict] = {  # what a design sets where nothing else is said
    "hindsight": {},
    "forcingdas": {"sigma_max": 1825.0, "steps": 100, "held": 0.06857},  # index 14 of their levels
}


class Guidance(Section):
    """How observations guide the denoiser."""

    method: Literal["analytic", "fused", "mmps", "sda", "dps", "forcing", "diagonal"] = Field(
        "analytic",
        description="analytic: covariance of the closed form; fused: observed values as noise levels of their own (a "
        "prior with train.points, grid values); mmps: covariance by the network's Jacobian; sda, dps, forcing: "
        "gradients as published; diagonal: no covariance, for dense observations",
    )
    gamma: float | None = Field(
        None,
        ge=0,
        description="sda, forcing: posterior variance in units of sigma^2; diagonal: factor of the error variance; "
        "none: the method's own",
    )
    zeta: float | None = Field(None, gt=0, description="dps, forcing: length of the step; none: the method's own")
    spectral: float = Field(0.0, ge=0, description="forcing: weight of the misfit of the spectrum")
    iterations: int = Field(3, gt=0, le=32, description="mmps: solver iterations, each a pass back")


class Sampler(Section):
    """The steps from noise to clean."""

    step: Literal["covariance", "ddim", "second_order"] = Field(
        "covariance",
        description="covariance: draws the clean frames (guidance analytic or fused), exact for a Gaussian prior; "
        "ddim; second_order: DPM-Solver++(2M)",
    )
    eta: float = Field(1.0, ge=0, le=1, description="ddim: 0 deterministic, 1 ancestral")
    corrections: int = Field(0, ge=0, description="Langevin corrections after each step, a network evaluation each")
    correction_size: float = Field(0.1, gt=0, le=2, description="their size, in units of sigma^2")


class Selection(Section):
    """Passes of selection and rejuvenation after a batch: misfits weigh members, noise makes copies differ again."""

    passes: int = Field(0, ge=0, description="passes; needs all members in one job")
    sigma: float = Field(0.5, gt=0, description="noise level to which members go back")
    effective: float = Field(0.5, gt=0, le=1, description="least effective share of the members")
    reach_hours: float = Field(48.0, gt=0, description="misfits count for frames within this time")


class Window(Section):
    """Regime sliding: the window that moves over a stream of particles."""

    hop_hours: int | None = Field(None, gt=0, description="hours the window moves by; none: one frame")
    carried: float = Field(0.5, gt=0, description="noise level to which frames carried over are brought")
    effective: float = Field(0.5, gt=0, le=1, description="least effective share of the members; 1: no resampling")
    reach_km: float | None = Field(
        None, gt=0, description="misfits count for places within this distance; none: everywhere"
    )


class Reanalyse(Section):
    """How the prior and the observations become an analysis."""

    design: Literal["hindsight", "forcingdas"] = Field(
        "hindsight",
        description="forcingdas: sampling as published (their levels, 100 of them, finished frames held, their "
        "guidance, deterministic steps). Levels, past, guidance and sampler take the place of what else is said of "
        "them; steps, held and sigma_max are defaults",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda where there is one")
    threads: int = Field(1, gt=0, description="CPU threads a job; fixed, so that the bytes are")
    precision: Precision = Field(
        "auto",
        description="of the network's operations. auto: that of training, or float32 on a machine that has no "
        "native bfloat16",
    )
    regime: Literal["batch", "fixed_lag", "nowcast", "sliding"] = Field(
        "batch",
        description="batch: every frame knows all observations; fixed_lag: those up to lag_hours after it; nowcast: "
        "none after it; sliding: a fixed lag by particles in a moving window",
    )
    lag_hours: int | None = Field(
        None, ge=0, description="fixed_lag, sliding: how far a frame looks ahead; sliding with 0 is a filter"
    )
    past: Literal["renoised", "held"] = Field(
        "renoised",
        description="fixed_lag, nowcast: renoised: past frames are sampled again with every new one (the Kalman filter "
        "for a Gaussian prior); held: finished frames are taken for certain (ForcingDAS), cheaper",
    )
    context: int = Field(16, gt=0, description="all but batch: frames seen at once, the newest included")
    window: Window = Field(Window(), description="regime sliding")
    guidance: Guidance = Field(Guidance(), description="how observations guide the denoiser")
    sampler: Sampler = Field(Sampler(), description="the steps from noise to clean")
    selection: Selection = Field(Selection(), description="passes that free trapped members")
    steps: int = Field(8, gt=0, description="denoising steps: network evaluations per window")
    ladder: Literal["karras", "sigmoid"] = Field(
        "karras",
        description="the levels of the steps: from sigma_max to sigma_min by rho; or those of ForcingDAS, cut off at "
        "sigma_max",
    )
    held: float | None = Field(
        None, gt=0, description="noise level at which the network is shown frames that are finished; none: sigma_min"
    )
    sigma_max: float = Field(10.0, gt=0, description="noise level of the first network evaluation")
    sigma_min: float = Field(0.05, gt=0, description="noise level of the last network evaluation")
    rho: float = Field(7.0, gt=0, description="how the levels bunch towards sigma_min (Karras et al. 2022, eq. 5)")
    frames: int | None = Field(
        None, gt=0, description="frames the network sees at once; none: as many as in training (train.window)"
    )
    stride: int = Field(4, gt=0, description="frames between the windows of a composed stretch")
    halo: int = Field(
        10, ge=0, description="frames on either side of a shard, analysed and thrown away; a stream's spin-up"
    )
    batch: int = Field(32, gt=0, description="windows the network sees at once")
    retries: int = Field(1, ge=0, description="times a diverged sample is tried again, with twice the steps")
    solver_tolerance: float = Field(
        1e-4,
        gt=0,
        lt=1,
        description="residual at which the observation solver stops, relative to the departures of the observations; "
        "smaller than a twentieth of their errors in any case",
    )
    solver_iterations: int = Field(
        200, gt=0, description="iterations after which it gives up, loudly; as many again in double precision"
    )

    @model_validator(mode="before")
    @classmethod
    def _designed(cls, given: object) -> object:
        """What a design is made of, and what it sets where nothing else is said."""
        if not isinstance(given, dict) or given.get("design") not in PRESETS:
            return given
        return under(under(MADE_OF[given["design"]], given), PRESETS[given["design"]])

    @model_validator(mode="after")
    def _agrees(self) -> "Reanalyse":
        if wrong := [*self._levels(), *self._regimes(), *self._ways()]:
            raise ValueError("\n  reanalyse: ".join(wrong))
        return self

    def halo_frames(self, step_hours: int) -> tuple[int, int]:
        """Frames before and after a shard that its job has to see: a stream looks no further ahead than its lag."""
        if self.regime == "batch":
            return self.halo, self.halo
        moved = (self.window.hop_hours or step_hours) // step_hours if self.regime == "sliding" else 1
        return self.halo, (self.lag_hours or 0) // step_hours + moved - 1

    def _levels(self) -> list[str]:
        wrong = []
        if self.sigma_min >= self.sigma_max:
            wrong.append(f"sigma_min ({self.sigma_min}) must lie below sigma_max ({self.sigma_max})")
        if self.regime == "sliding" and self.window.carried > self.sigma_max:
            wrong.append(f"window.carried ({self.window.carried}) must not exceed sigma_max ({self.sigma_max})")
        if self.selection.passes and not self.sigma_min < self.selection.sigma <= self.sigma_max:
            wrong.append(
                f"selection.sigma ({self.selection.sigma}) must lie above sigma_min ({self.sigma_min}) and not exceed"
                f" sigma_max ({self.sigma_max})"
            )
        return wrong

    def _regimes(self) -> list[str]:
        wrong = []
        if self.regime in ("fixed_lag", "sliding") and self.lag_hours is None:
            wrong.append(f"regime {self.regime!r} needs lag_hours, how far a frame looks ahead")
        if self.regime in ("batch", "nowcast") and self.lag_hours is not None:
            wrong.append(
                f"regime {self.regime!r} has no lag (lag_hours = {self.lag_hours}); leave it out, or set regime: "
                "fixed_lag"
            )
        if self.selection.passes and self.regime != "batch":
            wrong.append(f"selection.passes are for regime batch, not {self.regime!r}, which selects as it goes")
        return wrong

    def _ways(self) -> list[str]:
        method, sampler, wrong = self.guidance.method, self.sampler, []
        if sampler.step == "covariance" and method not in DRAWS:
            wrong.append(
                f"sampler.step covariance needs a guidance that can draw ({', '.join(DRAWS)}), and guidance.method is "
                f"{method!r}; set sampler.step: ddim or second_order"
            )
        if method in SHIFTS and (sampler.step != "ddim" or sampler.eta or sampler.corrections):
            wrong.append(
                f"guidance.method {method!r} is made for deterministic steps; set sampler: {{step: ddim, eta: 0}}, "
                "without corrections"
            )
        for name, methods in OWN.items():
            if getattr(self.guidance, name) and method not in methods:
                wrong.append(
                    f"guidance.{name} belongs to {' and '.join(methods)}, and guidance.method is {method!r}; leave it "
                    "out"
                )
        return wrong
