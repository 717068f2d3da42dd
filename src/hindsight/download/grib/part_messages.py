"""The messages that a part is made of: for each channel and frame, out of the catalogue."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from hindsight.download import assembly
from hindsight.download.grib import catalogue as catalogues
from hindsight.download.grib.series import messages_of, of_channels
from hindsight.errors import UserError
from hindsight.fields.intervals import Interval
from hindsight.settings.lexicon import Channel

STATIC = {129: "geopotential_at_surface", 172: "land_sea_mask"}  # by parameter, at the surface


@dataclass(frozen=True)
class Picked:
    """The messages that a part is made of."""

    table: pd.DataFrame
    about: dict[str, pd.Series]  # of each channel, a row of the inventory
    sums: dict[str, list[assembly.Sum]]  # of each channel, frame by frame
    static: dict[str, int]  # rows of what stands still
    sample: int  # any row of the source, should there be none for the part

    @property
    def used(self) -> list[int]:
        """Rows that frames are made of."""
        return sorted({row for sums in self.sums.values() for one in sums for row, _ in one})

    @property
    def leading(self) -> int:
        """The row whose grid is the part's."""
        return next(iter(self.used), self.sample)

    @property
    def digest(self) -> str:
        """Of the bytes of all messages that are decoded, and of what is made of them."""
        content = self.table["checksum"].to_dict()
        made = {name: [[(content[row], sign) for row, sign in one] for one in sums] for name, sums in self.sums.items()}
        still = {name: content[row] for name, row in self.static.items()}
        return hashlib.sha256(repr((made, still)).encode()).hexdigest()


def pick(channels: list[Channel], cut: Interval, member: int | None, catalogue: Path) -> Picked:
    """Find the messages that the frames of a part are made of.

    Args:
        channels: none of them derived.
        cut: the part.
        member: of the ensemble; none: the deterministic one, or else the control.
        catalogue: of the files.

    Raises:
        UserError: if a channel is not in the files, or not at the time of the part.
    """
    inventory = catalogues.inventory(catalogue)
    series = of_channels(inventory, channels, member)
    _in_time(series, cut)
    table = _moving(catalogue, series, cut, max(channel.hours or 0 for channel in channels))
    sums = {channel.name: _sums(messages_of(table, series[channel.name]), channel, cut) for channel in channels}
    static = {name: rows for number, name in STATIC.items() if len(rows := _at_surface(inventory, number))}
    extra = [_earliest(catalogue, rows) for rows in (series[channels[0].name], *static.values())]
    rows = iter(range(len(table), len(table) + len(extra)))
    sample = next(rows)
    about = {name: rows.iloc[0] for name, rows in series.items()}
    return Picked(pd.concat([table, *extra], ignore_index=True), about, sums, dict(zip(static, rows)), sample)


def _sums(table: pd.DataFrame, channel: Channel, cut: Interval) -> list[assembly.Sum]:
    return assembly.amounts(table, cut.times, channel.hours) if channel.hours else assembly.instants(table, cut.times)


def _moving(catalogue: Path, series: dict[str, pd.DataFrame], cut: Interval, hours: int) -> pd.DataFrame:
    """The catalogue's rows of some series, as far as the frames of a part can need them."""
    parameters = sorted({int(number) for rows in series.values() for number in rows["paramId"]})
    since, until = cut.times[0] - np.timedelta64(hours, "h"), cut.times[-1]
    within = [("valid", ">=", pd.Timestamp(since)), ("valid", "<=", pd.Timestamp(until))]
    return pq.read_table(catalogue, filters=[("paramId", "in", parameters), *within]).to_pandas()


def _at_surface(inventory: pd.DataFrame, parameter: int) -> pd.DataFrame:
    return inventory[(inventory["paramId"] == parameter) & (inventory["typeOfLevel"] == "surface")]


def _earliest(catalogue: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The first message of a series."""
    about = rows.iloc[0]
    at = [("paramId", "=", int(about["paramId"])), ("valid", "=", about["first"])]
    return messages_of(pq.read_table(catalogue, filters=at).to_pandas(), rows).head(1)


def _in_time(series: dict[str, pd.DataFrame], cut: Interval) -> None:
    for name, rows in series.items():
        if rows["last"].max() < cut.times[0] or rows["first"].min() > cut.times[-1]:
            raise UserError(
                f"the GRIB files have {_cover({name: rows})}, and part {cut.name} begins at "
                f"{cut.times[0].astype('datetime64[m]')}; add files to download.grib.files, or change the periods"
            )


def _cover(series: dict[str, pd.DataFrame]) -> str:
    return ", ".join(f"{name} from {rows['first'].min()} to {rows['last'].max()}" for name, rows in series.items())
