"""Padding by the edges of the domain: open, periodic, or across the pole.

Latitudes are padded before longitudes: rows beyond a pole are shifted by half a circle, and with padded longitudes
they would be longer than the circle.
"""

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
    """Pad fields, latitudes before longitudes.

    Args:
        fields: (B, C, H, W).
        south: rows before the first latitude.
        north: rows after the last.
        west: columns before the first longitude.
        east: columns after the last.
        edges: of latitudes (`open`, `pole`, `periodic`) and longitudes (`open`, `periodic`).
        open_mode: `constant` (zeros) or `replicate` beyond an open edge.
    """
    if (south or north) and edges[0] == "pole":
        beyond = _over_the_pole(fields[..., :south, :]), _over_the_pole(fields[..., fields.shape[-2] - north :, :])
        fields = torch.cat([beyond[0], fields, beyond[1]], -2)
    elif south or north:
        mode = "circular" if edges[0] == "periodic" else open_mode
        fields = functional.pad(fields, (0, 0, south, north), mode=mode)
    if not (west or east):
        return fields
    return functional.pad(fields, (west, east, 0, 0), mode="circular" if edges[1] == "periodic" else open_mode)


def _over_the_pole(rows: torch.Tensor) -> torch.Tensor:
    """Rows beyond a pole: the rows before it in reverse order, shifted by half a circle."""
    return rows.flip(-2).roll(rows.shape[-1] // 2, -1)
