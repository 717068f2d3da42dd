"""Settings of `preprocess`."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hindsight.settings.lexicon import CHANNELS
from hindsight.settings.section import Section

AMOUNTS = ("rainfall_rate", "lwe_thickness_of_precipitation_amount")  # standard names


class Regrid(Section):
    """Regridding of a source's fields to the pipeline's, piece by piece."""

    spacing: float | None = Field(
        None, gt=0, le=30, description="spacing of the working grid (degrees); none: the source's own grid"
    )
    poles: bool = Field(False, description="with spacing: whether points lie on the poles; else the edges of cells do")
    method: Literal["conservative", "bilinear"] = Field(
        "conservative",
        description="with spacing: regridding by means over cells, or by interpolation between the source's points",
    )
    levels: Literal["exact", "interpolate"] = Field(
        "exact",
        description="a level that the source lacks: raise an error, or interpolate in the logarithm of pressure",
    )
    piece_frames: int = Field(4096, gt=0, description="frames of a piece, which one job regrids")
    file_frames: int = Field(1024, gt=0, description="frames in each file (Zarr shard) of fields.zarr, at most")
    file_mb: float = Field(
        512.0,
        gt=0,
        description="memory for the frames of one file (MB), which a job holds; file_frames is halved until they fit, "
        "or half of them is no longer whole chunks",
    )
    chunk_frames: int = Field(
        64, gt=0, description="frames in each chunk of fields.zarr, the smallest unit that is read"
    )

    @field_validator("spacing")
    @classmethod
    def _divides(cls, value: float | None) -> float | None:
        if value is not None and abs(180 / value - round(180 / value)) > 1e-6:
            raise ValueError(f"{value:g} degrees do not divide 180; choose for instance 5.625, 2.5, 1.5, 1 or 0.25")
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


class CensoredLogarithm(Section):
    """A channel with a point mass and a tail, such as rain: its logarithm where it is above a threshold, else dry."""

    threshold: float = Field(0.1, gt=0, description="least value (in the channel's units) that is not dry")
    highest: float | None = Field(
        None,
        gt=0,
        description="values above this (in the channel's units) are lowered to it, since the exponential of a normal "
        "number has no bound; none: no limit",
    )
    errors: Literal["transformed", "physical"] = Field(
        "transformed",
        description="what observation errors are errors of: the logarithm (0.2 is about 20 %), or the channel in its "
        "units",
    )

    @model_validator(mode="after")
    def _rising(self) -> "CensoredLogarithm":
        if self.highest is not None and self.highest <= self.threshold:
            raise ValueError(f"highest ({self.highest:g}) must exceed threshold ({self.threshold:g})")
        return self


class Preprocess(Regrid):
    """Conversion of the source to the pipeline's fields, and their climatology."""

    annual_harmonics: int = Field(
        3, ge=0, le=12, description="number of harmonics of the year in the climatology; 0: none"
    )
    daily_harmonics: int = Field(
        0, ge=0, le=6, description="number of harmonics of the day in the climatology; 0: none"
    )
    transforms: dict[str, CensoredLogarithm] = Field(
        {},
        description="channels that are analysed as a censored logarithm, which is nearly normal where rain is not: "
        "{rain: {threshold: 0.1}}. Fields, analyses and scores stay in the channel's units",
    )
    land: str | None = Field(
        None,
        description="file with a land fraction (1 or %, by its units) or a mask, below the data folder; none: the "
        "source's, if it has one",
    )
    orography: str | None = Field(
        None,
        description="file with the orography (m) or surface geopotential (m2 s-2), by its units, below the data "
        "folder; none: the source's, if it has one",
    )
    scheduler: str = Field(
        "threads",
        pattern=r"^(synchronous|threads|processes|distributed|(tcp|tls)://.+|file:.+)$",
        description="Dask scheduler: synchronous, threads, processes, distributed (a cluster on this machine), the "
        "address of a running cluster (tcp://HOST:PORT), or its scheduler file (file:FILE)",
    )

    @field_validator("transforms")
    @classmethod
    def _are_amounts(cls, value: dict[str, CensoredLogarithm]) -> dict[str, CensoredLogarithm]:
        amounts = [name for name, channel in CHANNELS.items() if channel.standard_name in AMOUNTS]
        if wrong := [name for name in value if name not in amounts]:
            raise ValueError(
                f"{', '.join(wrong)}: a censored logarithm is for amounts that are often zero ({', '.join(amounts)})"
            )
        return value
