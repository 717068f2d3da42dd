"""Fetch a source on its own grid; `part` writes what every source but `synthetic` fetches, and `manifest` checks it.

One package for each kind of source: `bucket` (Zarr stores), `grib` (GRIB files), `local` (netCDF files and Zarr
stores), `radar` (composites); `transfer` fetches files from a URL. A step is called `download.MODULE`, without its
package.
"""
