"""Source `local`: read netCDF files and Zarr stores. The steps are `contents`, then `local`.

`contents` uses `description` (variables, times and grid of one file), with `accumulation` (the hours of each sum).
Both use `match` (which variables of which files make each channel). `local` uses `channel_frames` (which frames of
which files make the frames of a channel).
"""
