"""The domain: which channels, where and when."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hindsight.settings.dates import End, Time
from hindsight.settings.section import Section

Edge = Literal["open", "periodic", "pole"]


class Period(Section):
    """A stretch of time, both ends included; an end that is a day, a month or a year means the whole of it."""

    start: Time = Field(description="first time (UTC): 2000, 2000-01, 2000-01-01 or 2000-01-01T06:00")
    end: End = Field(description="last time (UTC), or last day, month or year: 2007-12-31 is all of that day")

    @model_validator(mode="before")
    @classmethod
    def _says_which_is_which(cls, value: object) -> object:
        if isinstance(value, list | tuple | str | int):
            raise ValueError("is no period; write {start: 2000-01-01, end: 2007-12-31}")
        return value

    @model_validator(mode="after")
    def _runs_forward(self) -> "Period":
        if self.end < self.start:
            raise ValueError(f"ends ({self.end:%Y-%m-%d}) before it starts ({self.start:%Y-%m-%d})")
        return self


def as_periods(value: object) -> object:
    """A list of times, days and periods as one of periods."""
    if not isinstance(value, list):
        return value
    return [v if isinstance(v, Period | dict | list) else {"start": v, "end": v} for v in value]


def _period(start: str, end: str) -> Period:
    return Period(start=start, end=end)


class Scope(Section):
    """Which channels, and where: what does not change when years are added."""

    channels: list[str] = Field(
        ["z500", "t850", "msl"], min_length=1, description="channels, by their names in the lexicon"
    )
    step_hours: int = Field(24, gt=0, description="hours between frames")
    latitude_edges: Edge = Field("open", description="what lies beyond the first and last latitude")
    longitude_edges: Edge = Field("open", description="what lies beyond the first and last longitude")
    south: float | None = Field(None, ge=-90, le=90, description="southern edge (degrees); none: all the source has")
    north: float | None = Field(None, ge=-90, le=90, description="northern edge (degrees)")
    west: float | None = Field(None, ge=-180, le=360, description="western edge (degrees east)")
    east: float | None = Field(
        None, ge=-180, le=360, description="eastern edge (degrees east); less than west: across the date line"
    )

    @field_validator("channels")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        if repeated := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"named more than once: {', '.join(repeated)}")
        return value

    @field_validator("longitude_edges")
    @classmethod
    def _no_pole_there(cls, value: str) -> str:
        if value == "pole":
            raise ValueError("a pole lies beyond a latitude; use 'open' or 'periodic'")
        return value

    @model_validator(mode="after")
    def _latitudes_end(self) -> "Scope":
        if self.latitude_edges == "periodic" and not self.torus:
            raise ValueError(
                "latitudes come round only where longitudes do, on a square that is periodic both ways; set "
                "latitude_edges: open or pole, or longitude_edges: periodic"
            )
        return self

    @property
    def torus(self) -> bool:
        """Whether the fields come round both ways."""
        return self.latitude_edges == self.longitude_edges == "periodic"

    @property
    def box(self) -> tuple[float | None, float | None, float | None, float | None]:
        """South, north, west, east; east beyond 180 where the box lies across the date line."""
        crosses = self.west is not None and self.east is not None and self.west > self.east
        return self.south, self.north, self.west, self.east + 360 if crosses else self.east


class Training(Scope):
    """What the prior may learn from, too."""

    train: Period = Field(_period("2000-01-01", "2007-12-31T23:00"), description="what the prior learns from")
    validation: Period = Field(_period("2008-01-01", "2008-12-31T23:00"), description="what choices are tuned on")

    @property
    def splits(self) -> dict[str, Period]:
        """The splits by name."""
        return {"train": self.train, "validation": self.validation}


class Domain(Training):
    """Which channels, where and when: what every stage has to know."""

    test: Period = Field(
        _period("2009-01-01", "2010-12-31T23:00"), description="what is reanalysed and scored; never learnt from"
    )

    @model_validator(mode="after")
    def _splits_apart(self) -> "Domain":
        periods = sorted(((p.start, p.end, n) for n, p in self.splits.items()))
        for (_, end, first), (start, _, second) in zip(periods, periods[1:], strict=False):
            if start <= end:
                raise ValueError(f"{first} (to {end:%Y-%m-%d}) and {second} (from {start:%Y-%m-%d}) overlap")
        return self

    @property
    def splits(self) -> dict[str, Period]:
        """The three splits by name."""
        return {**super().splits, "test": self.test}


Share = Annotated[float, Field(ge=0, le=1)]
