"""Windows of frames to learn from, drawn by counter so that a resumed run sees the same ones."""

from pathlib import Path

import numpy as np
import torch

from hindsight.errors import UserError
from hindsight.fields import calendar, store
from hindsight.fields.grid import Grid
from hindsight.fields.scaling import Scaling
from hindsight.prior import conditions
from hindsight.settings import Domain, Train


def departures(
    domain: Domain, settings: Train, split: str, fields: Path, climatology: Path, statistics: Path
) -> tuple[np.ndarray, Grid, np.ndarray]:
    """Times (T,), grid and normalised departures (T, C, H, W) of a split."""
    dataset = calendar.in_period(store.read(fields), domain.splits[split], str(store.folder(fields)))
    times, grid = dataset["time"].values, Grid.of(dataset)
    values = scaling(settings, grid, climatology, statistics).normalise(dataset["fields"].values, times)
    return times, grid, values


def scaling(settings: Train, grid: Grid, climatology: Path, statistics: Path) -> Scaling:
    """How the prior sees fields: by area where its modes are those of the sphere."""
    found = Scaling.read(climatology, statistics)
    return found.by_area(grid.weights) if settings.colour.basis == "waves" else found


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
