"""Padding that knows what lies beyond the edge: nothing, the other side, or the other side of the pole."""

import torch
import torch.nn.functional as functional


def pad(
    fields: torch.Tensor,
    south: int,
    north: int,
    west: int,
    east: int,
    edges: tuple[str, str],
    open_mode: str = "constant",
) -> torch.Tensor:
    """Pad fields (…, H, W), latitudes first.

    Args:
        fields: (B, C, H, W).
        south: rows before the first latitude.
        north: rows after the last.
        west: columns before the first longitude.
        east: columns after the last.
        edges: what lies beyond latitudes (`open`, `pole`) and longitudes (`open`, `periodic`).
        open_mode: `constant` (zeros) or `replicate` beyond an open edge.
    """
    if west or east:
        mode = "circular" if edges[1] == "periodic" else open_mode
        fields = functional.pad(fields, (west, east, 0, 0), mode=mode)
    if not (south or north):
        return fields
    if edges[0] == "pole":
        return torch.cat(
            [
                _over_the_pole(fields[..., :south, :]),
                fields,
                _over_the_pole(fields[..., fields.shape[-2] - north :, :]),
            ],
            -2,
        )
    return functional.pad(fields, (0, 0, south, north), mode=open_mode)


def _over_the_pole(rows: torch.Tensor) -> torch.Tensor:
    """Rows beyond a pole are the rows before it, in reverse, half-way round."""
    return rows.flip(-2).roll(rows.shape[-1] // 2, -1)
