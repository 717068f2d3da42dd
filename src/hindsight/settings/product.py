"""Members, shards and seeds of the analyses; every stage that makes or reads analyses uses them."""

from pydantic import Field, field_validator

from hindsight.settings.dates import Time
from hindsight.settings.section import Section


class Division(Section):
    """The division of the work into jobs, and the seed; they stay the same when years or members are added."""

    member_block: int = Field(16, gt=0, description="members per job")
    shard_frames: int = Field(96, gt=0, description="frames per job")
    epoch: Time | None = Field(
        None, description="time from which shards are counted; none: the start of the test period"
    )
    seed: int = Field(1, ge=0, description="seed of every analysis")


class Ensemble(Division):
    """The division into jobs, and the number of members."""

    members: int = Field(16, ge=2, description="members of every ensemble")

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
