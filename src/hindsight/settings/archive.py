"""Settings of `archive`."""

from pydantic import Field

from hindsight.settings.section import Section


class Archive(Section):
    """What is published."""

    network: str | None = Field(None, description="network whose analysis is archived; none: the first one")
    title: str = Field("Reanalysis by hindsight", description="title of the data set")
    summary: str = Field("", description="a paragraph on the data set")
    institution: str = Field("", description="who publishes it")
    licence: str = Field("", description="licence of the archive")
    chunk_frames: int = Field(8, gt=0, description="frames a chunk; product.shard_frames is a multiple")
    spread_share: float = Field(
        0.01, gt=0, lt=1, description="rounding error allowed, as a share of the analysis' own spread"
    )
