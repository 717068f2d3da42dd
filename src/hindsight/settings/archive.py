"""Settings of `archive`."""

from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from hindsight.settings.credentials import Credential
from hindsight.settings.domain import Period, as_periods
from hindsight.settings.section import Section


class Encoding(Section):
    """What the bytes depend on."""

    network: str | None = Field(None, description="network whose analysis is archived; none: the first one")
    chunk_frames: int = Field(8, gt=0, description="frames a chunk; product.shard_frames is a multiple")
    chunk_points: int = Field(
        16, gt=0, description="points a chunk has at most along latitude and along longitude: small for time series"
    )
    spread_share: float = Field(
        0.01, gt=0, lt=1, description="rounding error allowed, as a share of the analysis' own spread"
    )


class Copy(Section):
    """Another place that the archive is copied to."""

    url: str | None = Field(
        None, description="folder of the copy, any that fsspec knows (gs://bucket/folder, file:///mnt/x); none: no copy"
    )
    options: dict[str, Credential] = Field(
        {},
        repr=False,
        description="what fsspec is told of it (token, endpoint_url, …). Credentials among them are shown nowhere",
    )


class Archive(Encoding):
    """What is published."""

    title: str = Field("Reanalysis by hindsight", min_length=1, description="title of the data set")
    summary: str = Field("", description="a paragraph on the data set; empty: one made of what it holds")
    institution: str = Field("", description="who made it")
    licence: str = Field("", description="licence of the archive")
    version: str = Field("", description="version of the data set, as users will cite it")
    id: str = Field("", description="its identifier (a DOI, where it has one); empty: one made of the recipe")
    naming_authority: str = Field("", description="who gave that identifier, as a reversed domain (org.example)")
    creator_name: str = Field("", description="who is to be cited")
    creator_type: Literal["person", "group", "institution", "position"] = Field(
        "person", description="what the creator is"
    )
    creator_email: str = Field("", description="where questions go")
    creator_url: str = Field("", description="page of the creator")
    publisher_name: str = Field("", description="who keeps the data set")
    publisher_email: str = Field("", description="address of the publisher")
    publisher_url: str = Field("", description="page of the publisher")
    project: str = Field("", description="project that it belongs to")
    references: str = Field("", description="papers or pages that describe it")
    metadata_link: str = Field("", description="page of the data set")
    accepted: list[Period] = Field(
        [],
        description="times, days, or stretches {start, end}, at which values of the archive look wrong to its check "
        "(constant fields, outliers, broken packing) and are right",
    )
    replace: bool = Field(False, description="true: an archive made with another recipe is taken away first")
    netcdf: Literal["none", "mean", "members"] = Field(
        "none", description="copies as netCDF, a file a year: none; mean: mean and spread; members: these too"
    )
    copy_to: Copy = Field(Copy(), description="a copy at another place, a bucket for instance")

    @field_validator("accepted", mode="before")
    @classmethod
    def _as_periods(cls, value: object) -> object:
        return as_periods(value)

    def taken(self, first: str, last: str) -> bool:
        """Whether values that look wrong are right from one time to another."""
        begin, end = (np.datetime64(time, "s").astype(object) for time in (first, last))
        return any(period.start <= begin and end <= period.end for period in self.accepted)
