"""Settings of `archive`."""

from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from hindsight.settings.credentials import Credential
from hindsight.settings.domain import Period, as_periods
from hindsight.settings.lexicon import CHANNELS, nearest
from hindsight.settings.section import Section


class Encoding(Section):
    """Settings that determine the bytes of the archive."""

    network: str | None = Field(None, description="network whose analysis is archived; none: the first one")
    chunk_frames: int = Field(8, gt=0, description="frames per chunk; product.shard_frames must be a multiple")
    chunk_points: int = Field(
        16,
        gt=0,
        description="maximum points of a chunk along latitude and along longitude; small values suit time series",
    )
    spread_share: float = Field(
        0.01, gt=0, lt=1, description="allowed rounding error, as a share of the ensemble spread"
    )


class TimeCell(Section):
    """What a value says of the time around its frame."""

    method: Literal["mean", "maximum", "minimum", "sum"] = Field(description="mean, maximum, minimum or sum")
    start_hours: int = Field(description="first hour, counted from the frame's time; negative before it")
    end_hours: int = Field(description="last hour, counted from the frame's time")

    @model_validator(mode="after")
    def _ends_later(self) -> "TimeCell":
        if self.end_hours <= self.start_hours:
            raise ValueError(f"a period must end after its start, got {self.start_hours} to {self.end_hours} h")
        return self


class NetworkChange(Section):
    """When a change of the number of observations is a break point."""

    share: float = Field(
        0.2, gt=0, lt=1, description="least change of the number of observations a day, as a share of the larger number"
    )
    days: int = Field(30, ge=2, description="days before and after a change, whose medians are compared")


class Copy(Section):
    """A destination that the archive is copied to."""

    url: str | None = Field(
        None, description="folder of the copy, as a URL of fsspec (gs://bucket/folder, file:///mnt/x); none: no copy"
    )
    options: dict[str, Credential] = Field(
        {},
        repr=False,
        description="options for fsspec (token, endpoint_url, …). Credentials among them are never printed or copied",
    )


class KnownIssue(Period):
    """Something wrong in a period of the archive that its users should know of."""

    title: str = Field(min_length=3, description="what is wrong, in a few words")
    channels: list[str] = Field([], description="channels that it affects; empty: all")
    description: str = Field("", description="what it looks like, what to use instead, whether it will be corrected")


class Archive(Encoding):
    """The published data set."""

    title: str = Field("Reanalysis by hindsight", min_length=1, description="title of the data set")
    summary: str = Field("", description="a paragraph about the data set; empty: one generated from its contents")
    institution: str = Field("", description="institution that made the data set")
    licence: str = Field("", description="licence of the archive")
    version: str = Field("", description="version of the data set, as users will cite it")
    id: str = Field("", description="identifier, for example a DOI; empty: one derived from the recipe")
    naming_authority: str = Field(
        "", description="authority that assigned the identifier, as a reversed domain (org.example)"
    )
    creator_name: str = Field("", description="name of the creator, for citations")
    creator_type: Literal["person", "group", "institution", "position"] = Field(
        "person", description="person, group, institution or position"
    )
    creator_email: str = Field("", description="e-mail address for questions")
    creator_url: str = Field("", description="web page of the creator")
    publisher_name: str = Field("", description="publisher of the data set")
    publisher_email: str = Field("", description="e-mail address of the publisher")
    publisher_url: str = Field("", description="web page of the publisher")
    project: str = Field("", description="project of the data set")
    references: str = Field("", description="papers or web pages that describe the data set")
    metadata_link: str = Field("", description="web page of the data set")
    accepted: list[Period] = Field(
        [],
        description="times, days, or periods {start, end} whose suspect values (constant fields, outliers, broken "
        "packing) are correct, so that the archive's check accepts them",
    )
    time_cells: dict[str, TimeCell] = Field(
        {},
        description="channels whose values are not those at the frame's time, as the source defines them, for example "
        "daily means {t2m: {method: mean, start_hours: -12, end_hours: 12}}; sums of precipitation are known",
    )
    network_change: NetworkChange = Field(
        NetworkChange(), description="changes of the number of observations that are listed among the break points"
    )
    confidence: float = Field(
        0.95, gt=0, lt=1, description="coverage of the intervals in the table of changes at seams"
    )
    known_issues: list[KnownIssue] = Field(
        [], description="what is wrong in a period, for the register of known issues (revisions.json, landing page)"
    )
    replace: bool = Field(False, description="true: an existing archive with another recipe is deleted first")
    netcdf: Literal["none", "mean", "members"] = Field(
        "none", description="netCDF copies, one file per year: none; mean: mean and spread; members: members too"
    )
    explorer_mb: float = Field(
        5.0,
        gt=0,
        description="largest size of explore.html, MB; a long or fine archive is shown with coarser values, fewer "
        "frames or fewer points",
    )
    copy_to: Copy = Field(Copy(), description="a copy at another destination, for example a bucket")

    @field_validator("accepted", mode="before")
    @classmethod
    def _as_periods(cls, value: object) -> object:
        return as_periods(value)

    @field_validator("time_cells")
    @classmethod
    def _not_known_already(cls, value: dict[str, TimeCell]) -> dict[str, TimeCell]:
        for name in value:
            if name not in CHANNELS:
                raise ValueError(f"there is no channel {name!r}; {nearest(name, list(CHANNELS))}")
            if hours := CHANNELS[name].hours:
                raise ValueError(f"{name} is a sum over the {hours} h before the frame; leave it out")
        return value

    def time_cell(self, name: str) -> TimeCell | None:
        """The period that the values of a channel represent; none if they are those at the frame's time."""
        hours = CHANNELS[name].hours
        return TimeCell(method="sum", start_hours=-hours, end_hours=0) if hours else self.time_cells.get(name)

    def is_accepted(self, first: str, last: str) -> bool:
        """Whether suspect values from one time to another are accepted."""
        begin, end = (np.datetime64(time, "s").astype(object) for time in (first, last))
        return any(period.start <= begin and end <= period.end for period in self.accepted)
