"""Settings of `download`."""

from typing import Literal

from pydantic import Field

from hindsight.settings.section import Section


class Download(Section):
    """Where the source is."""

    source: Literal["local"] = Field("local", description="the module of hindsight.download that reads it")
    dataset: str = Field(
        "dataset", pattern=r"^[a-z0-9_]+$", description="name of the folder under resources/, shared by runs"
    )
    files: list[str] = Field(
        ["*.nc"], min_length=1, description="netCDF files or Zarr stores, or patterns of them, below the data folder"
    )
    title: str = Field("", description="what the source is called, for the archive's attributes")
    licence: str = Field("", description="its licence and credit, for the archive's attributes")
    minimum_free_gb: float = Field(1.0, ge=0, description="refuse to start with less free disk than this (GB)")
