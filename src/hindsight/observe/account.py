"""The account of a network's observations: how many rows are used, and why the others are not."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from hindsight.fields import account as accounts
from hindsight.fields import cuts, store
from hindsight.fields import observations as tables
from hindsight.fields.grid import Grid
from hindsight.observe import networks
from hindsight.settings import Scope


def run(
    domain: Scope,
    *,
    network: str,
    shards: list[str],
    observations: list[Path],
    static: Path,
    places: list[Path],
    account: Path,
) -> None:
    """Count a network's observations: rows that are used, and rows that are not, by their reason."""
    grid = Grid.of(xr.load_dataset(static))
    parts = [networks.sorted_out(path, grid)[1] for path in places]
    for shard, path in zip(shards, observations, strict=True):
        parts.append(of_shard(path, cuts.named(shard, domain.step_hours).times, domain.channels, grid))
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
