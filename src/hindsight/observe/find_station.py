"""Find a station in the observations of networks and shards: the tables that a denial of it changes."""

import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import observations as tables
from hindsight.fields import usage

COLUMNS = ["network", "shard", "station", "channel", "reason", "reports", "first", "last"]


def run(*, station: str, observations: list[Path]) -> None:
    """Print the networks and shards that hold a station, and whether its reports are used, withheld or denied."""
    found = pd.concat([pd.DataFrame(columns=COLUMNS), *(of_shard(path, station) for path in observations)])
    if found.empty:
        raise UserError(
            f"none of the {len(observations)} tables holds a station {station!r}; names and patterns (ES_*) are those "
            "of the reports, and --observations takes results/RUN/observe/*/*.parquet"
        )
    print(found.to_string(index=False))
    used = found[found["reason"] == usage.USED]
    shards = used[["network", "shard"]].drop_duplicates()
    print(f"{station}: used in {len(shards)} of {len(observations)} shards", file=sys.stderr)


def of_shard(path: Path, station: str) -> pd.DataFrame:
    """The reports of stations in a table of a network and shard, counted by channel and use.

    Args:
        path: `…/observe/NETWORK/SHARD.parquet`.
        station: name or pattern.

    Returns:
        Columns `COLUMNS`; `first` and `last` are times.
    """
    table = tables.read([path])
    table = table[table["station"].map(lambda name: fnmatchcase(name, station))]
    table = table.assign(reason=usage.reasons(table), network=path.parent.name, shard=path.stem)
    groups = table.groupby(["network", "shard", "station", "channel", "reason"])["time"]
    return groups.agg(reports="size", first="min", last="max").reset_index()[COLUMNS]
