"""The published data set: one Zarr store, whose layout is made first, then written shard by shard and checked."""
