"""Settings of `baselines`."""

from typing import Literal

from pydantic import Field, field_validator

from hindsight.settings.section import Section

Method = Literal["climatology", "optimal_interpolation", "three_d_var", "four_d_var", "letkf", "ensf"]


class OptimalInterpolation(Section):
    """Optimal interpolation with the covariance of the training period."""

    frames: int = Field(1, gt=0, description="frames analysed together, an odd number; the middle one is kept")

    localisation_km: float | None = Field(
        None,
        gt=0,
        le=20015,
        description="distance (km) at which the taper reaches zero (Gaspari and Cohn 1999); none: no localisation",
    )

    @field_validator("frames")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that there is a middle frame")
        return value


class Minimisation(Section):
    """Limits of the minimisation of a variational method; a job whose cost has not converged within them fails."""

    outer_loops: int = Field(
        50, gt=0, description="times that observations are linearised, at most; linear ones need one"
    )

    iterations: int = Field(1000, gt=0, description="conjugate gradient iterations in each outer loop, at most")


class FourDVar(Minimisation):
    """Weak-constraint 4D-Var with the linear prior, and limits of its minimisation, within which it has to converge."""

    halo: int = Field(
        8, ge=0, description="frames before and after a shard that are analysed with it, with their observations"
    )


EQUATIONS = {  # built-in worlds whose fields are their whole state, and these fields
    "lorenz96": ["x"],
    "navier_stokes": ["vorticity"],
    "kuramoto_sivashinsky": ["velocity"],
}


class FilterForecasts(Section):
    """How an ensemble filter forecasts, and where it starts."""

    model: Literal["linear_prior", "dynamics"] = Field(
        "linear_prior",
        description="forecasts: by the linear prior with a random error for each member, or by the equations of the "
        "built-in world (lorenz96, navier_stokes or kuramoto_sivashinsky), stirred at random for each member where "
        "the world is",
    )
    halo: int = Field(
        8,
        ge=0,
        description="frames of a spin-up before a shard, from members drawn without observations (linear prior)",
    )


class Letkf(FilterForecasts):
    """The local ensemble transform Kalman filter."""

    localisation_km: float | None = Field(
        1500.0,
        gt=0,
        le=20015,
        description="distance (km) from which on an observation has no influence (Gaspari and Cohn 1999); none: no "
        "localisation. On Lorenz's ring of 40 variables neighbours are 1001 km apart",
    )
    relaxation: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of the loss of spread in an analysis that is undone (Whitaker and Hamill 2012); 0: none",
    )


class Ensf(FilterForecasts):
    """The ensemble score filter."""

    steps: int = Field(
        100,
        gt=0,
        description="steps of the reverse diffusion; accurate observations need more, and a job says how many. With "
        "few members an observation counts the less the more steps there are",
    )


class Climatology(Section):
    """An ensemble drawn from the training years at the same time of year."""

    days: int = Field(15, ge=0, description="days before and after the calendar day from which members are drawn")


class Baselines(Section):
    """Methods that the diffusion analysis is compared with."""

    methods: list[Method] = Field(
        ["climatology", "optimal_interpolation"], description="baselines to run: modules of hindsight.baselines"
    )
    optimal_interpolation: OptimalInterpolation = Field(
        OptimalInterpolation(), description="settings of optimal_interpolation"
    )
    three_d_var: Minimisation = Field(
        Minimisation(), description="settings of three_d_var; its covariance is that of optimal_interpolation"
    )
    four_d_var: FourDVar = Field(
        FourDVar(), description="settings of four_d_var; its model is that of train.linear_prior"
    )
    letkf: Letkf = Field(Letkf(), description="settings of letkf")
    ensf: Ensf = Field(Ensf(), description="settings of ensf")
    climatology: Climatology = Field(Climatology(), description="settings of climatology")

    def halo(self, method: str) -> tuple[int, int]:
        """Frames before a shard, and after it, whose observations a method uses."""
        if method == "climatology":
            return 0, 0
        if method in ("letkf", "ensf"):
            return getattr(self, method).halo, 0
        both = self.four_d_var.halo if method == "four_d_var" else self.optimal_interpolation.frames // 2
        return both, both

    def without_equations(self, world: str, channels: list[str]) -> list[str]:
        """What is wrong with filters that forecast by the equations of the built-in world (`none`: there is none)."""
        if EQUATIONS.get(world) == channels:
            return []
        known = ", ".join(f"{name} (channel {its[0]})" for name, its in EQUATIONS.items())
        return [
            f"baselines.{name}.model: dynamics is for the built-in worlds {known}, whose fields are their whole state;"
            f" the world of this run is {world}, with channels {', '.join(channels)}; set model: linear_prior"
            for name in ("letkf", "ensf")
            if name in self.methods and getattr(self, name).model == "dynamics"
        ]
