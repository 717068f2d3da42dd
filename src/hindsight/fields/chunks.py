"""How fields lie in chunks and how these are packed: for what the archive writes, and what the plan forecasts of it."""

from zarr.codecs import BloscCodec

PACKED = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")


def tiles(shape: tuple[int, int], most: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Points of a chunk, as even as can be and at most so many along either side, and those of all chunks together."""
    counts = [-(-points // most) for points in shape]
    tile = tuple(-(-points // count) for points, count in zip(shape, counts))
    return tile, tuple(points * count for points, count in zip(tile, counts))
