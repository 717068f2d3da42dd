"""The account of a network's observations: how many rows are used, and why the others are not."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.fields import account as accounts
from hindsight.fields import observations as tables
from hindsight.fields import store
from hindsight.fields.grid import Grid
from hindsight.observe import networks
from hindsight.settings import Scope


def run(
    domain: Scope,
    *,
    network: str,
    fields: Path,
    observations: list[Path],
    places: list[Path],
    account: Path,
) -> None:
    """Count a network's observations: rows that are used, and rows that are not, by their reason."""
    dataset = store.read(fields)
    grid, times = Grid.of(dataset), dataset["time"].values
    parts = [networks.sorted_out(path, grid)[1] for path in places]
    parts += [of_shard(path, times, domain.channels, grid) for path in observations]
    found = together(parts)
    print(f"network {network}: {accounts.sentence(found)}", file=sys.stderr)
    store.replace(account, lambda partial: found.to_csv(partial, index=False))


def of_shard(path: Path, times: np.ndarray, channels: list[str], grid: Grid) -> pd.DataFrame:
    """The account of one table; see `accounts.counted`."""
    table = tables.read([path])
    return accounts.counted(table, accounts.reasons(table, times, channels, grid))


def together(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Accounts as one."""
    whole = pd.concat(parts, ignore_index=True)
    keys = [name for name in accounts.COUNTED if name != "rows"]
    return whole.groupby(keys, as_index=False)["rows"].sum().sort_values(["code", *keys], ignore_index=True)
