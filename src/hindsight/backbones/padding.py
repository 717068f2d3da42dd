"""Padding by the edges of the domain: open, periodic, or across the pole.

Latitudes are padded before longitudes: rows beyond a pole are shifted by half a circle, and with padded longitudes
they would be longer than the circle. Beyond a pole east is west and north is south, so that the components of winds
change sign.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as functional


@dataclass(frozen=True)
class Poles:
    """Where the poles lie in an array of rows, and what turns there.

    Args:
        skipped: rows at the south and at the north end to leave out before rows are copied across the pole: one if it
            lies on the pole itself, and two for each row added beyond the pole before, that row and the one it copies.
        turned: channels that change sign across a pole.
    """

    skipped: tuple[int, int] = (0, 0)
    turned: tuple[int, ...] = ()

    def extended(self, north: int) -> "Poles":
        """The same after rows were added at the north end."""
        return Poles((self.skipped[0], self.skipped[1] + 2 * north), self.turned)

    def coarser(self, factor: int) -> "Poles":
        """The same for features of rows that are merged, which have no sign to turn."""
        return Poles((self.skipped[0] // factor, self.skipped[1] // factor))


BETWEEN = Poles()  # the poles lie half a row beyond the ends, and nothing turns


def pad(
    fields: torch.Tensor,
    south: int,
    north: int,
    west: int,
    east: int,
    edges: tuple[str, str],
    open_mode: str = "constant",
    poles: Poles = BETWEEN,
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
        poles: of edges of latitudes that are a `pole`.
    """
    if (south or north) and edges[0] == "pole":
        (first, skip), height = poles.skipped, fields.shape[-2]
        rows = fields[..., first : first + south, :], fields[..., height - skip - north : height - skip, :]
        beyond = [_over_the_pole(part, poles.turned) for part in rows]
        fields = torch.cat([beyond[0], fields, beyond[1]], -2)
    elif south or north:
        mode = "circular" if edges[0] == "periodic" else open_mode
        fields = functional.pad(fields, (0, 0, south, north), mode=mode)
    if not (west or east):
        return fields
    return functional.pad(fields, (west, east, 0, 0), mode="circular" if edges[1] == "periodic" else open_mode)


def _over_the_pole(rows: torch.Tensor, turned: tuple[int, ...]) -> torch.Tensor:
    """Rows beyond a pole: the rows before it in reverse order, shifted by half a circle; some channels change sign."""
    beyond = rows.flip(-2).roll(rows.shape[-1] // 2, -1)
    if not turned:
        return beyond
    sign = beyond.new_ones(rows.shape[-3], 1, 1)
    sign[list(turned)] = -1
    return beyond * sign
