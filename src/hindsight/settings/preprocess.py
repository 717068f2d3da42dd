"""Settings of `preprocess`."""

from pydantic import Field

from hindsight.settings.section import Section


class Preprocess(Section):
    """From the source's names to the pipeline's fields."""

    annual_harmonics: int = Field(3, ge=0, le=12, description="harmonics of the year in the climatology")
    daily_harmonics: int = Field(0, ge=0, le=6, description="harmonics of the day in the climatology")
    chunk_frames: int = Field(64, gt=0, description="frames a chunk of the fields store")
    land: str | None = Field(None, description="file with a land fraction, below the data folder; none: not given")
    orography: str | None = Field(
        None, description="file with the orography (m) or surface geopotential (m2 s-2), below the data folder"
    )
