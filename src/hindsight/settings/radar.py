"""Settings of the source `radar`: composites of weather radars."""

from pydantic import Field, model_validator

from hindsight.settings.section import Section


class Rectangle(Section):
    """A part of a composite."""

    rows: int = Field(gt=1, description="rows of the fields, after averaging")
    columns: int = Field(gt=1, description="columns of the fields, after averaging")
    top: int | None = Field(
        None, ge=0, description="rows of the composite left out in the north; none: as many as in the south"
    )
    left: int | None = Field(
        None, ge=0, description="columns of the composite left out in the west; none: as many as in the east"
    )


class Radar(Section):
    """Radar composites, a file for each time: HDF5 of KNMI, PGM of FMI, ODIM HDF5; recognised by their content."""

    files: list[str] = Field([], description="files, or patterns of them, below the data folder; a frame each")
    average: int = Field(
        1, gt=0, description="points per side of the squares that are averaged: 2 makes fields of 2 km from 1 km"
    )
    rectangle: Rectangle | None = Field(None, description="part of the composite that is kept; none: all of it")
    a: float = Field(
        200.0,
        gt=0,
        description="a in Z = a R^b, which gives rain rates R (mm/h) where files have reflectivities Z (mm6 m-3): "
        "Marshall and Palmer (1948); FMI uses 223",
    )
    b: float = Field(1.6, gt=0, description="b in Z = a R^b; FMI uses 1.53")
    highest_dbz: float | None = Field(
        55.0,
        description="reflectivities above this (dBZ), of hail or ground echoes, are lowered to it; none: no limit",
    )
    dry_below: float = Field(
        0.1, ge=0, description="rain rates below this (mm/h) at a point of a composite are dry: 0 before averaging"
    )

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> "Radar":
        if self.highest_dbz is not None and self.rate(self.highest_dbz) <= self.dry_below:
            raise ValueError(
                f"highest_dbz ({self.highest_dbz:g} dBZ, {self.rate(self.highest_dbz):.3g} mm/h) is not above "
                f"dry_below ({self.dry_below:g} mm/h), so nothing would be wet"
            )
        return self

    def rate(self, dbz: float) -> float:
        """The rain rate (mm/h) of a reflectivity (dBZ)."""
        return (10 ** (dbz / 10) / self.a) ** (1 / self.b)
