"""The GRIB messages that a part needs, from the catalogue: for each channel and frame."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from hindsight.download import assembly
from hindsight.download.dates import to_minute
from hindsight.download.grib import catalogue as catalogues
from hindsight.download.grib.series import messages_of, of_channels
from hindsight.errors import UserError
from hindsight.fields.intervals import Interval
from hindsight.settings.lexicon import Channel

STATIC = {129: "geopotential_at_surface", 172: "land_sea_mask"}  # by parameter, at the surface


@dataclass(frozen=True)
class PartMessages:
    """The messages that a part needs.

    Attributes:
        table: their rows of the catalogue.
        series: of each channel, its row of the inventory.
        sums: of each channel, the messages that are summed for each frame; one, unless it is an amount over time.
        static: rows of the static fields.
        sample: a row of the source, whose grid is used if the part has no messages.
    """

    table: pd.DataFrame
    series: dict[str, pd.Series]
    sums: dict[str, list[assembly.Sum]]
    static: dict[str, int]
    sample: int

    @property
    def used_rows(self) -> list[int]:
        """Rows of the messages that make frames."""
        return sorted({row for sums in self.sums.values() for one in sums for row, _ in one})

    @property
    def grid_row(self) -> int:
        """The row whose grid is that of the part."""
        return next(iter(self.used_rows), self.sample)

    @property
    def digest(self) -> str:
        """SHA-256 of the checksums of all messages that are decoded, and of the sums made from them."""
        checksums = self.table["checksum"].to_dict()
        frames = {n: [[(checksums[row], sign) for row, sign in one] for one in sums] for n, sums in self.sums.items()}
        static = {name: checksums[row] for name, row in self.static.items()}
        return hashlib.sha256(repr((frames, static)).encode()).hexdigest()


def select(channels: list[Channel], interval: Interval, member: int | None, catalogue: Path) -> PartMessages:
    """Find the messages that the frames of a part need.

    Args:
        channels: none of them derived.
        interval: the part.
        member: of the ensemble; None: the deterministic one, or else the control.
        catalogue: of the files.

    Raises:
        UserError: if the files do not have a channel, or not at the times of the part.
    """
    inventory = catalogues.inventory(catalogue)
    series = of_channels(inventory, channels, member)
    _check_times(series, interval)
    table = _read_table(catalogue, series, interval, max(channel.hours or 0 for channel in channels))
    sums = {channel.name: _sums(messages_of(table, series[channel.name]), channel, interval) for channel in channels}
    static = {name: found for number, name in STATIC.items() if len(found := _at_surface(inventory, number))}
    others = [_earliest(catalogue, found) for found in (series[channels[0].name], *static.values())]
    sample, *static_rows = range(len(table), len(table) + len(others))
    first = {name: rows.iloc[0] for name, rows in series.items()}
    joined = pd.concat([table, *others], ignore_index=True)
    return PartMessages(joined, first, sums, dict(zip(static, static_rows)), sample)


def _sums(table: pd.DataFrame, channel: Channel, interval: Interval) -> list[assembly.Sum]:
    return (
        assembly.amounts(table, interval.times, channel.hours)
        if channel.hours
        else assembly.instants(table, interval.times)
    )


def _read_table(catalogue: Path, series: dict[str, pd.DataFrame], interval: Interval, hours: int) -> pd.DataFrame:
    """The catalogue's rows of some series that the frames of a part may need."""
    parameters = sorted({int(number) for rows in series.values() for number in rows["paramId"]})
    since, until = interval.times[0] - np.timedelta64(hours, "h"), interval.times[-1]
    within = [("valid", ">=", pd.Timestamp(since)), ("valid", "<=", pd.Timestamp(until))]
    return pq.read_table(catalogue, filters=[("paramId", "in", parameters), *within]).to_pandas()


def _at_surface(inventory: pd.DataFrame, parameter: int) -> pd.DataFrame:
    return inventory[(inventory["paramId"] == parameter) & (inventory["typeOfLevel"] == "surface")]


def _earliest(catalogue: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The first message of a series."""
    first = rows.iloc[0]
    at = [("paramId", "=", int(first["paramId"])), ("valid", "=", first["first"])]
    return messages_of(pq.read_table(catalogue, filters=at).to_pandas(), rows).head(1)


def _check_times(series: dict[str, pd.DataFrame], interval: Interval) -> None:
    for name, rows in series.items():
        if rows["last"].max() < interval.times[0] or rows["first"].min() > interval.times[-1]:
            raise UserError(
                f"the GRIB files have {_cover({name: rows})}, but part {interval.name} runs from "
                f"{to_minute(interval.times[0])} to {to_minute(interval.times[-1])}; add files to "
                "download.grib.files, or change the periods"
            )


def _cover(series: dict[str, pd.DataFrame]) -> str:
    return ", ".join(f"{name} from {rows['first'].min()} to {rows['last'].max()}" for name, rows in series.items())
