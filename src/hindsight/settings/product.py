"""What is made: members, shards, seeds. Shared by every stage that makes or reads analyses."""

from datetime import datetime

from pydantic import Field, field_validator

from hindsight.settings.section import Section


class Product(Section):
    """What is made: how many members, in shards of how many frames, from which seed."""

    members: int = Field(16, ge=2, description="members of every ensemble")
    member_block: int = Field(16, gt=0, description="members a job makes")
    shard_frames: int = Field(96, gt=0, description="frames a job makes")
    epoch: datetime | None = Field(
        None, description="time from which shards are counted; none: the start of the test period"
    )
    seed: int = Field(1, ge=0, description="seed of every analysis")

    @field_validator("epoch")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        return value and value.replace(tzinfo=None)
