"""Source `bucket`: fetch the chunks of a Zarr store that a part needs. The step is `bucket`.

It uses, in this order: `metadata` (of the store), `mirror` (the local copy of metadata and chunks), `variables` (the
store's variable for each channel, levels, region), `time_axis` (the store's frames), `extract` (the rows to read),
`array_selection` (the chunks of each variable that hold those rows).
"""
