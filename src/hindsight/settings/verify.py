"""Settings of `verify`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hindsight.settings.dates import Time
from hindsight.settings.domain import Domain, Period
from hindsight.settings.section import Section


class Region(Section):
    """A box of latitudes and longitudes."""

    south: float = Field(ge=-90, le=90, description="degrees north")
    north: float = Field(ge=-90, le=90, description="degrees north")
    west: float = Field(ge=-180, le=360, description="degrees east")
    east: float = Field(ge=-180, le=360, description="degrees east")


class Comparison(Section):
    """What the analyses are compared with."""

    against: Literal["truth", "reference", "none"] = Field(
        "truth",
        description="what the fields of the test period are. truth: what simulated observations are taken from; "
        "reference: another analysis, with errors of its own, beside which its departures from withheld observations "
        "are shown; none: there are no such fields, and only withheld observations give scores",
    )

    def splits(self, domain: Domain) -> dict[str, Period]:
        """The splits of which there are fields, by name."""
        return {name: one for name, one in domain.splits.items() if name != "test" or self.against != "none"}


class Verify(Comparison):
    """Settings of the scores and the report."""

    regions: dict[str, Region] = Field(
        {},
        description="regions to score besides the whole domain, by name; empty: on a globe, the tropics (20 S to 20 N) "
        "and the extratropics on either side",
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="coverage of the confidence intervals")
    resamples: int = Field(1000, gt=0, description="random samples that give the range that seam ratios have by chance")
    seed: int = Field(1, ge=0, description="seed of these samples")
    coastline: str | None = Field(
        None,
        description="TopoJSON file of coastlines, below the data folder; none: from the land fraction, if available",
    )
    events: dict[str, list[float]] = Field(
        {},
        description="thresholds of channels, in their units ({rain: [0.1, 1]}): the critical success index and the "
        "fractions skill score of values at or above each",
    )
    scales: list[Annotated[int, Field(gt=0)]] = Field(
        [1, 5, 10], min_length=1, description="sides (points) of the squares of the fractions skill score"
    )
    place: tuple[float, float] | None = Field(
        None,
        description="latitude and longitude near which the report shows time series; none: the most variable stations",
    )
    storm: Time | None = Field(
        None,
        description="time (UTC) of the frame in the report's maps; none: the frame in which pressure or geopotential "
        "is furthest below its mean at a point (without such a channel: the first one furthest from it)",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_blocks(cls, given: object) -> object:
        """Ignore `block_days`, which older configurations set: intervals no longer use blocks."""
        return {k: v for k, v in given.items() if k != "block_days"} if isinstance(given, dict) else given
