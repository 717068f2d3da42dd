"""Chunks of the archive's fields and their compression, for the archive and the forecast of its size."""

from zarr.codecs import BloscCodec

COMPRESSOR = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")


def tiles(shape: tuple[int, int], most: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Cut a field (H, W) into chunks as even as possible, of at most `most` points a side.

    Returns:
        Points of a chunk along each side, and of all chunks together, which may exceed the field's.
    """
    counts = [-(-points // most) for points in shape]
    tile = tuple(-(-points // count) for points, count in zip(shape, counts))
    return tile, tuple(points * count for points, count in zip(tile, counts))
