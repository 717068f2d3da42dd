"""Names that stores and files of every source use."""

from hindsight.fields.axes import DIMENSIONS

ROLES = {alias: role for role, aliases in DIMENSIONS.items() for alias in aliases}  # of dimensions and coordinates
STATIC = ("geopotential_at_surface", "land_sea_mask")  # fetched where a source has them
VERSION = "expver"  # ECMWF's experiment version of each time: 5 is preliminary
