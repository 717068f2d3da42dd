"""Settings of `preprocess`."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hindsight.settings.section import Section


class Regrid(Section):
    """How a source's fields become the pipeline's, piece by piece."""

    spacing: float | None = Field(
        None, gt=0, le=30, description="degrees between points of the working grid; none: the source's own grid"
    )
    poles: bool = Field(False, description="with spacing: points on the poles; else the first cell begins there")
    method: Literal["conservative", "bilinear"] = Field(
        "conservative", description="with spacing: means over cells, or between the source's points"
    )
    levels: Literal["exact", "interpolate"] = Field(
        "exact", description="a level that the source lacks: refuse it, or interpolate in the logarithm of pressure"
    )
    piece_frames: int = Field(4096, gt=0, description="frames a job brings to the working grid")
    file_frames: int = Field(1024, gt=0, description="frames a file of the fields store, at most")
    file_mb: float = Field(
        512.0, gt=0, description="memory for the frames of a file, which a job holds at once: halved until they fit"
    )
    chunk_frames: int = Field(64, gt=0, description="frames a chunk of the fields store: the least that is read")

    @field_validator("spacing")
    @classmethod
    def _divides(cls, value: float | None) -> float | None:
        if value is not None and abs(180 / value - round(180 / value)) > 1e-6:
            raise ValueError(f"{value:g} degrees do not divide 180; take 5.625, 2.5, 1.5, 1 or 0.25, say")
        return value

    @model_validator(mode="after")
    def _nested(self) -> "Regrid":
        if self.file_frames % self.chunk_frames:
            raise ValueError(
                f"file_frames ({self.file_frames}) is not a multiple of chunk_frames ({self.chunk_frames})"
            )
        if self.piece_frames % self.file_frames:
            raise ValueError(
                f"piece_frames ({self.piece_frames}) is not a multiple of file_frames ({self.file_frames})"
            )
        return self


class Preprocess(Regrid):
    """From the source's names to the pipeline's fields."""

    annual_harmonics: int = Field(3, ge=0, le=12, description="harmonics of the year in the climatology")
    daily_harmonics: int = Field(0, ge=0, le=6, description="harmonics of the day in the climatology")
    land: str | None = Field(
        None,
        description="file with a land fraction (1 or %, by its units) or a mask, below the data folder; none: none",
    )
    orography: str | None = Field(
        None,
        description="file with the orography (m) or surface geopotential (m2 s-2), by its units, below the data folder",
    )
    scheduler: str = Field(
        "threads",
        pattern=r"^(synchronous|threads|processes|distributed|(tcp|tls)://.+|file:.+)$",
        description="Dask's: synchronous, threads, processes, distributed (a cluster on this machine), the address of "
        "one that runs (tcp://HOST:PORT), or file:FILE that it wrote",
    )
