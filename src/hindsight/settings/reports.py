"""Settings of networks of real reports: files, formats, columns."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hindsight.settings.credentials import Credential
from hindsight.settings.section import Section
from hindsight.settings.units import conversion

Source = Literal["table", "madis", "metar", "isd", "igra", "bufr", "prepbufr", "nnja"]
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
UNITS: dict[Quantity, str] = {  # of reports
    "air_pressure_at_mean_sea_level": "Pa",
    "surface_air_pressure": "Pa",
    "air_temperature": "K",
    "dew_point_temperature": "K",
    "specific_humidity": "kg kg-1",
    "relative_humidity": "%",
    "eastward_wind": "m s-1",
    "northward_wind": "m s-1",
    "geopotential": "m2 s-2",
}
Flag = Literal["good", "unchecked", "suspect", "rejected"]


class Column(Section):
    """One column of values of a table."""

    column: str = Field(description="name of the column")
    quantity: Quantity = Field(description="what it measures, by its CF standard name")
    units: str = Field(description="units of the column")
    where: dict[str, list[str]] = Field({}, description="only rows in which these columns have one of these values")
    name: str = Field("", description="name of this kind of value in tables and reports; none: the column's")

    @model_validator(mode="after")
    def _fitting_units(self) -> "Column":
        if conversion(self.units, UNITS[self.quantity]) is None:
            raise ValueError(
                f"column {self.column!r} is {self.quantity} in {self.units!r}, which cannot be converted to "
                f"{UNITS[self.quantity]}; correct units or quantity"
            )
        return self

    @model_validator(mode="after")
    def _named(self) -> "Column":
        if not self.name:
            object.__setattr__(self, "name", self.column)
        return self


COLUMNS = ("time", "latitude", "longitude", "elevation", "pressure", "station", "platform", "flag")  # besides values


class TableFormat(Section):
    """Which column of a CSV or Parquet table is what."""

    columns: dict[str, str] = Field(
        {"time": "time", "latitude": "latitude", "longitude": "longitude", "station": "station"},
        description="columns of the table by what they are: time, latitude, longitude, elevation (m), pressure (hPa), "
        "station, platform, flag",
    )
    values: list[Column] = Field([], description="columns of values")
    hour_of_dates: float | None = Field(
        None, ge=0, lt=24, description="hour (UTC) that dates without a time of day stand for; none: 0"
    )
    platform: str = Field("land", description="platform of rows that name none")
    flags: dict[str, Flag] = Field(
        {}, description="what the provider's codes mean; a code that is not listed is unchecked"
    )

    @field_validator("columns")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(value.keys() - set(COLUMNS)):
            raise ValueError(f"unknown: {', '.join(unknown)}; columns are named by {', '.join(COLUMNS)}")
        if missing := [name for name in ("time", "latitude", "longitude") if name not in value]:
            raise ValueError(f"lacks {', '.join(missing)} (of places, a column of the list of stations may be named)")
        return value


class Reports(Section):
    """Files of real reports: their format and where they are."""

    source: Source = Field(
        description="format of the files. table: CSV or Parquet with columns of your own; madis: MADIS netCDF; metar: "
        "METAR in MADIS's columns, Parquet; isd: Integrated Surface Database, full or Lite; igra: IGRA soundings, "
        "version 2; bufr: WMO BUFR; prepbufr: NCEP's PREPBUFR, decoded to Parquet; nnja: NNJA-AI's Parquet in a bucket"
    )
    files: list[str] = Field(
        min_length=1,
        description="files or patterns of them below the data folder, perhaps with the codes %Y, %m, %d, %H of their "
        "date; nnja: folders of message types below url",
    )
    stations: str | None = Field(
        None,
        description="list of stations below the data folder. table: CSV or Parquet whose columns are added to the rows "
        "of each station; isd: isd-history.csv, which ISD-Lite needs",
    )
    table: TableFormat = Field(TableFormat(), description="table: which column is what")
    url: str = Field("gs://gcp-nnja-ai/data/v1", description="nnja: folder of the archive, in a bucket or elsewhere")
    options: dict[str, Credential] = Field(
        {}, description="nnja: fsspec's options for the protocol of url; token: anon is assumed for gs://"
    )
    retries: int = Field(8, ge=0, description="nnja: further attempts for a request after a temporary error")
    timeout_seconds: float = Field(120.0, gt=0, description="nnja: time (s) after which a request has failed")

    @model_validator(mode="after")
    def _complete(self) -> "Reports":
        if self.source == "table" and not self.table.values:
            raise ValueError("source: table needs table.values, which say what its columns measure and in which units")
        if self.stations is not None and self.source not in ("table", "isd"):
            raise ValueError(f"source: {self.source} has its stations in its files; remove stations")
        return self
