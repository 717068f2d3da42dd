"""Settings of `domain`: channels, region, time step and periods."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hindsight.settings.dates import End, Time
from hindsight.settings.hours import Hours
from hindsight.settings.section import Section

Edge = Literal["open", "periodic", "pole"]


def written_out(value: object) -> object:
    """A list of channels in which a variable with its levels, {z: [500, 850]}, stands for z500 and z850."""
    if not isinstance(value, dict | list):
        return value
    found = []
    for item in [value] if isinstance(value, dict) else value:
        for variable, levels in item.items() if isinstance(item, dict) else [(item, None)]:
            found += [variable] if levels is None else [f"{variable}{level}" for level in _levels(variable, levels)]
    return found


def _levels(variable: str, levels: object) -> list[int]:
    """The levels of a variable (hPa)."""
    if isinstance(levels, list) and levels and all(type(level) is int for level in levels):
        return levels
    raise ValueError(f"the levels of {variable} are a list of whole numbers (hPa), as in {variable}: [500, 850]")


Levels = dict[str, list[int] | None]
Channels = Annotated[list[str], BeforeValidator(written_out, json_schema_input_type=list[str | Levels] | Levels)]


class Period(Section):
    """A period, both ends included; an end given as a day, month or year includes all of it."""

    start: Time = Field(description="first time (UTC): 2000, 2000-01, 2000-01-01 or 2000-01-01T06:00")
    end: End = Field(description="last time (UTC), or last day, month or year: 2007-12-31 includes all of that day")

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: object) -> object:
        if isinstance(value, list | tuple | str | int):
            raise ValueError("is not a period; write {start: 2000-01-01, end: 2007-12-31}")
        return value

    @model_validator(mode="after")
    def _ends_after_start(self) -> "Period":
        if self.end < self.start:
            raise ValueError(f"ends ({self.end:%Y-%m-%d}) before it starts ({self.start:%Y-%m-%d})")
        return self


def as_periods(value: object) -> object:
    """Convert a list of times, days and periods to a list of periods."""
    if not isinstance(value, list):
        return value
    return [v if isinstance(v, Period | dict | list) else {"start": v, "end": v} for v in value]


def _period(start: str, end: str) -> Period:
    return Period(start=start, end=end)


class DomainWithoutPeriods(Section):
    """Channels, region and time step: the settings that stay the same when years are added."""

    channels: Channels = Field(
        ["z500", "t850", "msl"],
        min_length=1,
        description="channels, by their names in the lexicon; {z: [500, 850]} stands for z500 and z850",
    )
    step_hours: Hours = Field(
        24, description="hours between frames, in whole minutes; less than an hour as 1/12 (5 minutes), 0.25 or 10 min"
    )
    latitude_edges: Edge = Field(
        "open",
        description="open: the domain ends there; pole: the grid reaches both poles; periodic: the last latitude is "
        "next to the first (only with periodic longitudes)",
    )
    longitude_edges: Edge = Field(
        "open", description="open: the domain ends there; periodic: the last longitude is next to the first"
    )
    south: float | None = Field(None, ge=-90, le=90, description="southern edge (degrees); none: that of the source")
    north: float | None = Field(None, ge=-90, le=90, description="northern edge (degrees); none: that of the source")
    west: float | None = Field(
        None, ge=-180, le=360, description="western edge (degrees east); none: that of the source"
    )
    east: float | None = Field(
        None,
        ge=-180,
        le=360,
        description="eastern edge (degrees east); less than west: the region crosses the date line, or Greenwich",
    )

    @field_validator("channels")
    @classmethod
    def _no_duplicates(cls, value: list[str]) -> list[str]:
        if repeated := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"named more than once: {', '.join(repeated)}")
        return value

    @field_validator("longitude_edges")
    @classmethod
    def _no_pole_in_longitude(cls, value: str) -> str:
        if value == "pole":
            raise ValueError("only latitudes end at a pole; use 'open' or 'periodic'")
        return value

    @model_validator(mode="after")
    def _periodic_latitudes_on_a_torus(self) -> "DomainWithoutPeriods":
        if self.latitude_edges == "periodic" and not self.torus:
            raise ValueError(
                "latitudes are periodic only on a square that is periodic in both directions; set "
                "latitude_edges: open or pole, or longitude_edges: periodic"
            )
        return self

    @property
    def torus(self) -> bool:
        """Whether the fields are periodic in both directions."""
        return self.latitude_edges == self.longitude_edges == "periodic"

    @property
    def box(self) -> tuple[float | None, float | None, float | None, float | None]:
        """South, north, west, east (degrees); 360 is added to an east that is less than west."""
        crosses = self.west is not None and self.east is not None and self.west > self.east
        return self.south, self.north, self.west, self.east + 360 if crosses else self.east


class TrainingDomain(DomainWithoutPeriods):
    """Channels, region and time step, and the periods of training and validation."""

    train: Period = Field(_period("2000-01-01", "2007-12-31T23:00"), description="period that the prior is trained on")
    validation: Period = Field(
        _period("2008-01-01", "2008-12-31T23:00"), description="period for validation and tuning"
    )

    @property
    def splits(self) -> dict[str, Period]:
        """The splits by name."""
        return {"train": self.train, "validation": self.validation}


class Domain(TrainingDomain):
    """Channels, region, time step and periods, which every stage needs."""

    test: Period = Field(
        _period("2009-01-01", "2010-12-31T23:00"),
        description="period that is reanalysed and scored; not used in training",
    )

    @model_validator(mode="after")
    def _splits_do_not_overlap(self) -> "Domain":
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
