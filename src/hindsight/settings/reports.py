"""Settings of networks of real reports: files, formats, columns."""

from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.section import Section

Quantity = Literal[
    "air_pressure_at_mean_sea_level",
    "surface_air_pressure",
    "air_temperature",
    "dew_point_temperature",
    "specific_humidity",
    "relative_humidity",
    "eastward_wind",
    "northward_wind",
    "geopotential",
]
Flag = Literal["good", "unchecked", "suspect", "rejected"]


class Column(Section):
    """One column of values of a table."""

    column: str = Field(description="name of the column")
    quantity: Quantity = Field(description="what it measures, by its CF standard name")
    units: str = Field(description="units of the column")
    where: dict[str, list[str]] = Field({}, description="only rows in which these columns have one of these values")
    name: str = Field("", description="name of this kind of value in tables and reports; none: the column's")

    @model_validator(mode="after")
    def _named(self) -> "Column":
        if not self.name:
            object.__setattr__(self, "name", self.column)
        return self


class TableFormat(Section):
    """Which column of a CSV or Parquet table is what."""

    columns: dict[str, str] = Field(
        {"time": "time", "latitude": "latitude", "longitude": "longitude", "station": "station"},
        description="columns of the table by what they are: time, latitude, longitude, elevation (m), pressure (hPa), "
        "station, platform, flag",
    )
    values: list[Column] = Field([], description="columns of values")
    hour_of_dates: float | None = Field(
        None, ge=0, lt=24, description="hour (UTC) that dates without a time of day stand for; none: times are complete"
    )
    platform: str = Field("land", description="platform of rows that name none")
    flags: dict[str, Flag] = Field({}, description="the provider's codes in words; others are unchecked")
