"""Settings of `observe`."""

import re
from typing import Literal

from pydantic import Field, model_validator

from hindsight.settings.domain import Share
from hindsight.settings.section import Section


class Network(Section):
    """One observing network, simulated."""

    kind: Literal["random", "regular", "footprint", "land", "stations"] = Field(
        "random",
        description="random grid points; a regular thinning of the grid; footprint: blocks of grid points, seen as "
        "one value each; land: places where people might live, few at sea; or a list of stations",
    )
    share: float = Field(0.1, gt=0, le=1, description="random: share of the grid points that analyses may use")
    every: int = Field(
        3,
        gt=0,
        description="regular: a station at every so-manieth latitude and longitude; footprint: a block's points a side",
    )
    footprint: Literal["mean", "centre"] = Field(
        "mean", description="footprint: the mean of a block, or of the points next to its middle"
    )
    count: int | None = Field(
        None,
        gt=0,
        description="land: stations that analyses may use; stations: how many of the list are drawn; none: all",
    )
    file: str | None = Field(
        None,
        description="stations: a list below the data folder: CSV with columns station, latitude, longitude, the ISD "
        "history, or the IGRA station list",
    )
    noise: float | dict[str, float] | None = Field(
        0.05, description="error standard deviation, in standard deviations of each channel; or by channel"
    )
    error: float | dict[str, float] | None = Field(
        None, description="error standard deviation in the channel's own units, or by channel; takes the place of noise"
    )
    withheld: Share = Field(0.2, lt=1, description="share of the stations kept from every analysis, for verification")
    every_hours: int | None = Field(None, gt=0, description="hours between reports; none: every frame")

    @model_validator(mode="before")
    @classmethod
    def _one_error(cls, given: object) -> object:
        """An error leaves no noise, so that settings that were written out say the same when they are read again."""
        if not isinstance(given, dict) or given.get("error") is None:
            return given
        if given.get("noise") is not None:
            raise ValueError("noise and error both say how wrong observations are; give one of them")
        return given | {"noise": None}

    @model_validator(mode="after")
    def _file_for_stations(self) -> "Network":
        if self.kind == "stations" and self.file is None:
            raise ValueError("a network of kind 'stations' needs a file")
        if self.kind == "land" and self.count is None:
            raise ValueError("a network of kind 'land' needs a count of stations")
        name, given = ("noise", self.noise) if self.error is None else ("error", self.error)
        values = given.values() if isinstance(given, dict) else [given]
        if None in values:
            raise ValueError("says nothing of how wrong its observations are; give noise or error")
        if any(value <= 0 for value in values):
            raise ValueError(f"{name} must be above zero: an observation without error leaves nothing to estimate")
        return self


class Observe(Section):
    """Which networks observe the test period, and how well."""

    networks: dict[str, Network] = Field(
        {"sparse10": Network(share=0.1), "sparse2": Network(share=0.02)},
        min_length=1,
        description="networks by name; every one is analysed and scored",
    )
    seed: int = Field(1, ge=0, description="seed of the stations drawn and of their errors")

    @model_validator(mode="after")
    def _plain_names(self) -> "Observe":
        if bad := [name for name in self.networks if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]:
            named = ", ".join(bad)
            raise ValueError(f"network names are lower-case words of a-z, 0-9 and _ (got {named})")
        return self
