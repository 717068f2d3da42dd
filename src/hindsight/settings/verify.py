"""Settings of `verify`."""

from pydantic import Field, model_validator

from hindsight.settings.dates import Time
from hindsight.settings.section import Section


class Region(Section):
    """A box of latitudes and longitudes."""

    south: float = Field(ge=-90, le=90, description="degrees north")
    north: float = Field(ge=-90, le=90, description="degrees north")
    west: float = Field(ge=-180, le=360, description="degrees east")
    east: float = Field(ge=-180, le=360, description="degrees east")


class Verify(Section):
    """How analyses are scored and shown."""

    regions: dict[str, Region] = Field(
        {}, description="boxes scored beside the whole domain, by name; none on a globe: the tropics and either side"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="probability that the intervals cover")
    resamples: int = Field(1000, gt=0, description="draws that tell what chance alone does at seams")
    seed: int = Field(1, ge=0, description="seed of these draws")
    coastline: str | None = Field(
        None, description="TopoJSON of coastlines, below the data folder; none: the edge of the land fraction, if known"
    )
    place: tuple[float, float] | None = Field(
        None,
        description="latitude and longitude near which the report's time series are; none: where it varies most",
    )
    storm: Time | None = Field(
        None, description="time (UTC) of the frame that the report's maps are of; none: that of the deepest low"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_blocks(cls, given: object) -> object:
        """Leave out `block_days`, which older configurations set: intervals are no longer drawn in blocks."""
        return {k: v for k, v in given.items() if k != "block_days"} if isinstance(given, dict) else given
