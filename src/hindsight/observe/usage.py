"""Usage of a network's observations: how many rows are used, and why the others are not."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields import usage as usages
from hindsight.fields.grid import Grid
from hindsight.observe import networks
from hindsight.settings import DomainWithoutPeriods


def run(
    domain: DomainWithoutPeriods,
    *,
    network: str,
    fields: Path,
    observations: list[Path],
    station_list: list[Path],
    usage: Path,
) -> None:
    """Count a network's observations: rows that are used, and rows that are not, by reason."""
    dataset = store.read(fields)
    grid, times = Grid.of(dataset), dataset["time"].values
    parts = [networks.read_list(path, grid)[1] for path in station_list]
    parts += [of_shard(path, times, domain.channels, grid) for path in observations]
    found = total(parts)
    print(f"network {network}: {usages.sentence(found)}", file=sys.stderr)
    store.replace(usage, lambda partial: found.to_csv(partial, index=False))


def of_shard(path: Path, times: np.ndarray, channels: list[str], grid: Grid) -> pd.DataFrame:
    """The counts of one table; see `fields.usage.count`."""
    table = tables.read([path])
    return usages.count(table, usages.reasons(table, times, channels, grid))


def total(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The sum of several counts."""
    whole = pd.concat(parts, ignore_index=True)
    keys = [name for name in usages.COLUMNS if name != "rows"]
    return whole.groupby(keys, as_index=False)["rows"].sum().sort_values(["code", *keys], ignore_index=True)
