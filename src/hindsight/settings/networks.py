"""Settings of which stations a network uses, and which it withholds or thins."""

from pydantic import Field, model_validator

from hindsight.settings.section import Section
from hindsight.settings.verify import Region


class Stations(Section):
    """A choice of stations by name."""

    file: str | None = Field(
        None, description="file below the data folder: JSON with lists of names, or a CSV with a column station"
    )
    list: str | None = Field(None, description="which list of a JSON file")
    names: tuple[str, ...] = Field(("*",), description="of these only the ones that match a name or pattern (ES_*)")

    @model_validator(mode="before")
    @classmethod
    def _from_names(cls, given: object) -> object:
        """A list of names or patterns alone."""
        return {"names": given} if isinstance(given, list) else given


class Withholding(Section):
    """Which stations are withheld, besides the share of `withheld`: names, regions, blocks, in turn."""

    stations: Stations | None = Field(None, description="these stations, by name")
    regions: dict[str, Region] = Field({}, description="all stations in these boxes")
    block_degrees: float | None = Field(
        None,
        gt=0,
        description="the share is drawn from blocks with sides of so many degrees, instead of from single stations",
    )
    rotate_days: float | None = Field(
        None, gt=0, description="the next share is withheld after so many days; none: the same for the whole period"
    )


class Thinning(Section):
    """What is done about neighbours whose errors are correlated."""

    spacing_km: float | None = Field(
        None,
        gt=0,
        description="least distance between two stations that are used for the same channel and frame; none: all are "
        "used",
    )
    average_km: float | None = Field(
        None, gt=0, description="side of cells in which reports are averaged to one superobservation; none: never"
    )
    correlation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="correlation of neighbours' errors: those of m neighbours are inflated "
        "by sqrt(1 + (m - 1) correlation)",
    )
    reach_km: float = Field(300.0, gt=0, description="distance within which these m stations lie")

    @model_validator(mode="after")
    def _one_way(self) -> "Thinning":
        if self.spacing_km and self.average_km:
            raise ValueError("spacing_km thins and average_km averages the same neighbours; give one of them")
        return self
