"""The published data set: one Zarr store, laid out before its data, written by shards, checked."""
