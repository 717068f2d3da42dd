"""Members, shards and seeds of the analyses; every stage that makes or reads analyses uses them."""

from pydantic import Field, field_validator, model_validator

from hindsight.settings.dates import Time
from hindsight.settings.section import Section

INDEPENDENT = ("climatology", "letkf", "ensf")  # analyses whose members are never antithetic


class Division(Section):
    """The division of the work into jobs, and the seed; they stay the same when years or members are added."""

    member_block: int = Field(16, gt=0, description="members per job")
    shard_frames: int = Field(96, gt=0, description="frames per job")
    epoch: Time | None = Field(
        None, description="time from which shards are counted; none: the start of the test period"
    )
    seed: int = Field(1, ge=0, description="seed of every analysis")
    antithetic: bool = Field(
        False,
        description="members 0 and 1, 2 and 3, … are drawn with random numbers of opposite sign, so that most of the "
        "sampling error cancels in the mean; of the diffusion analysis, optimal interpolation, 3D-Var and 4D-Var",
    )


class Ensemble(Division):
    """The division into jobs, and the number of members."""

    members: int = Field(16, ge=2, description="members of every ensemble")

    @model_validator(mode="after")
    def _in_pairs(self) -> "Ensemble":
        if self.antithetic and (self.members < 4 or self.members % 2 or self.member_block % 2):
            raise ValueError(
                f"antithetic members come in pairs, two at least; members ({self.members}) and member_block "
                f"({self.member_block}) must be even numbers"
            )
        return self

    @property
    def ranked(self) -> int:
        """Members among which a truth is ranked, see `scores.ensemble.ranked`."""
        return self.members // 2 if self.antithetic else self.members

    def mean_share(self, analysis: str) -> float:
        """Variance of the mean's sampling error over that of a member; of antithetic members it nearly vanishes."""
        return 0.0 if self.antithetic and analysis not in INDEPENDENT else 1 / self.members

    def block(self, number: int) -> list[int]:
        """Numbers of the members of a block."""
        first = number * self.member_block
        return list(range(first, min(first + self.member_block, self.members)))


class Product(Ensemble):
    """Members, shards and seed of the analyses, and limits on their forecast cost."""

    limit_hours: float | None = Field(
        None, gt=0, description="largest forecast of device hours of the jobs to make; none: no limit"
    )
    limit_gb: float | None = Field(
        None, gt=0, description="largest forecast of GB of analyses and archive; none: no limit"
    )
    devices: list[int] = Field(
        [1, 4, 16, 64], min_length=1, description="numbers of devices for which wall time is forecast"
    )

    @field_validator("devices")
    @classmethod
    def _positive(cls, value: list[int]) -> list[int]:
        if min(value) < 1:
            raise ValueError(f"numbers of devices are 1 or more, got {min(value)}")
        return value
