"""Select the observations of a network and shard from screened reports: stations, withheld ones, denials, thinning."""

import sys
from pathlib import Path

import pandas as pd

from hindsight.errors import UserError
from hindsight.fields import calendar, intervals, usage
from hindsight.fields import observations as tables
from hindsight.observe import choice, thinning
from hindsight.settings import DomainWithoutPeriods, Observe
from hindsight.settings.observe import Network


def run(
    domain: DomainWithoutPeriods,
    settings: Observe,
    *,
    network: str,
    shard: str,
    screened: list[Path],
    lists: list[Path],
    observations: Path,
) -> None:
    """Select the observations of a network and shard from the screened reports."""
    times, spec = intervals.parse(shard, domain.step_hours).times, settings.networks[network]
    parts = [_read(path) for path in screened]
    table = pd.concat([part[part["time"].between(times[0], times[-1])] for part in parts], ignore_index=True)
    table = select(table, spec, settings.seed, lists)
    tables.write(table, observations, coded=True)
    used = (table["quality"] == 0) & ~table["withheld"]
    counts = usage.sentence(usage.count(table, usage.reasons(table)))
    print(f"network {network}, {shard}: {counts}", file=sys.stderr)
    if empty := sorted(set(times) - set(table["time"][used].to_numpy("datetime64[ns]"))):
        print(
            f"network {network}, {shard}: {len(empty)} of {len(times)} frames have no observation, the first "
            f"{calendar.text(empty[0])}; they are analysed from the frames around them and the prior",
            file=sys.stderr,
        )


def select(table: pd.DataFrame, spec: Network, seed: int, lists: list[Path]) -> pd.DataFrame:
    """The rows of a network's stations, used and withheld, with its errors and codes for denied and thinned ones.

    Args:
        table: screened reports.
        spec: the network.
        seed: of the draw of withheld stations.
        lists: files of names that the settings name.
    """
    mine, named = choice.chosen(table["station"], spec.use, lists), spec.withhold.stations
    if spec.fold:
        withheld = choice.in_fold(table, spec.fold, spec.withhold.block_degrees, seed)
    else:
        withheld = choice.is_withheld(table, spec.withheld, spec.withhold, seed, lists)
        mine |= False if named is None else choice.chosen(table["station"], named, lists)
    table = table.assign(withheld=withheld, error=table["error"] * spec.error_factor)[mine].reset_index(drop=True)
    table = usage.with_reason(table, usage.DENIED, choice.is_denied(table, spec.denied))
    again = usage.duplicates(table, (table["quality"] == 0).to_numpy())  # reports that two sources have
    return thinning.thin(usage.with_reason(table, usage.DUPLICATE, again), spec.thinning)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the screened reports {path} ({error}); delete it and run snakemake") from None
