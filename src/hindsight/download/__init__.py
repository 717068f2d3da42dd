"""Fetch a source as it is; `part` writes what every source but `synthetic` fetches, and `manifest` checks it.

One package for each kind of source: `bucket` (Zarr stores), `grib` (GRIB files), `local` (netCDF files and Zarr
stores), `transfer` (files from a URL). A step is called `download.MODULE`, without its package.
"""
