"""Windows of frames to learn from, drawn by counter so that a resumed run sees the same ones."""

from pathlib import Path

import numpy as np
import torch

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.prior import conditions
from hindsight.settings import Domain


def departures(
    domain: Domain, split: str, fields: Path, climatology: Path, statistics: Path
) -> tuple[np.ndarray, Grid, np.ndarray]:
    """Times (T,), grid and normalised departures (T, C, H, W) of a split."""
    dataset = calendar.in_period(store.read(fields), domain.splits[split], str(store.folder(fields)))
    times = dataset["time"].values
    scaling = Scaling.read(climatology, statistics)
    return times, Grid.of(dataset), scaling.normalise(dataset["fields"].values, times)


class Windows:
    """All windows of a split."""

    def __init__(self, times: np.ndarray, values: np.ndarray, window: int, split: str) -> None:
        if len(times) < window:
            raise UserError(
                f"the {split} period has {len(times)} frames, fewer than a window (train.window = {window}); "
                "lengthen the period or shorten the window"
            )
        self.values = torch.from_numpy(values).flatten(1)
        self.conditions = conditions(times)
        self.window = window

    def __len__(self) -> int:
        return len(self.values) - self.window + 1

    def at(self, starts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The windows that begin at `starts` (B,): fields (B, T, D) and conditions (B, T, K)."""
        frames = starts[:, None] + torch.arange(self.window)
        return self.values[frames], self.conditions[frames]

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Some windows at random."""
        return self.at(torch.randint(len(self), (count,), generator=generator))
