"""Settings of `baselines`."""

from typing import Literal

from pydantic import Field, field_validator

from hindsight.settings.section import Section

Method = Literal["climatology", "optimal_interpolation"]


class OptimalInterpolation(Section):
    """Optimal interpolation with the covariance of the training period."""

    frames: int = Field(1, gt=0, description="frames analysed together; odd, the middle one is kept")

    localisation_km: float | None = Field(
        None,
        gt=0,
        le=20015,
        description="distance beyond which covariances are taken to be chance (Gaspari and Cohn 1999); none: all count",
    )

    @field_validator("frames")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that there is a middle frame")
        return value


class Climatology(Section):
    """Draws from the training years at the same time of year."""

    days: int = Field(15, ge=0, description="days either side of the calendar day from which members are drawn")


class Baselines(Section):
    """What the diffusion analysis is held against."""

    methods: list[Method] = Field(["climatology", "optimal_interpolation"], description="modules of baselines")
    optimal_interpolation: OptimalInterpolation = Field(OptimalInterpolation(), description="its settings")
    climatology: Climatology = Field(Climatology(), description="its settings")
