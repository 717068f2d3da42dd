"""Settings of `reanalyse`."""

from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.section import Section


class Reanalyse(Section):
    """How the prior and the observations become an analysis."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: cuda where there is one")
    threads: int = Field(1, gt=0, description="CPU threads a job; fixed, so that the bytes are")
    regime: Literal["batch"] = Field("batch", description="batch: every frame sees all observations, past and future")
    steps: int = Field(8, gt=0, description="denoising steps: network evaluations per window")
    sigma_max: float = Field(10.0, gt=0, description="noise level of the first network evaluation")
    sigma_min: float = Field(0.05, gt=0, description="noise level of the last network evaluation")
    rho: float = Field(7.0, gt=0, description="how the levels bunch towards sigma_min (Karras et al. 2022, eq. 5)")
    stride: int = Field(4, gt=0, description="frames between the windows of a composed stretch")
    halo: int = Field(10, ge=0, description="frames on either side of a shard, analysed and thrown away")
    batch: int = Field(32, gt=0, description="windows the network sees at once")
    solver_tolerance: float = Field(1e-4, gt=0, lt=1, description="residual at which the observation solver stops")
    solver_iterations: int = Field(200, gt=0, description="iterations after which it gives up, loudly")

    @model_validator(mode="after")
    def _levels(self) -> "Reanalyse":
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min ({self.sigma_min}) must lie below sigma_max ({self.sigma_max})")
        return self
