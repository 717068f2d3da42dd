"""Observations for the page of an archive: what the feedback says at the places with most rows, frame by frame.

A place is a station at one position; moving platforms have many with few rows each. Two passes are made over the
tables of feedback, one table in memory at a time: one counts, one takes the rows of the chosen places.
"""

import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from hindsight.archive.packing import pack, round_step
from hindsight.errors import UserError
from hindsight.fields import intervals
from hindsight.fields.usage import BY_CODE
from hindsight.settings.lexicon import CHANNELS, inputs
from hindsight.settings.units import readable_units

PLACE = ["station", "latitude", "longitude"]
READ = [*PLACE, "time", "channel", "code", "obsvalue", "biascorr", "obs_error", "an_depar"]
MOST = 200_000  # series in memory while they are counted; half of them, those with fewest rows, are then forgotten
FINE = 0.1  # step of observed values, as a share of the observation error
Key = tuple[str, float, float, str]  # station, latitude, longitude, observed channel


@dataclass
class Tally:
    """Of rows with a place: how many by channel and code and by series, and each channel's observation error."""

    codes: Counter = field(default_factory=Counter)
    series: Counter = field(default_factory=Counter)
    errors: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: list[Path]) -> "Tally":
        """Count the rows of all tables."""
        tally = cls()
        for table in map(read, tables):
            tally._add(table)
        return tally

    def _add(self, table: pd.DataFrame) -> None:
        self.codes.update(table.groupby(["channel", "code"]).size().to_dict())
        self.series.update(table.groupby([*PLACE, "channel"]).size().to_dict())
        if len(self.series) > MOST:
            self.series = Counter(dict(self.series.most_common(MOST // 2)))
        errors = table[table["obs_error"] > 0].groupby("channel")["obs_error"].median()
        self.errors = errors.to_dict() | self.errors

    def chosen(self, most: int) -> list[Key]:
        """The series of the places with most rows, at most `most`; ties in a random order that is always the same."""
        rows: Counter = Counter()
        for (*place, _), count in self.series.items():
            rows[tuple(place)] += count
        order = {place: number for number, place in enumerate(sorted(rows, key=lambda one: (-rows[one], _hash(one))))}
        return sorted(self.series, key=lambda key: (order[key[:3]], key[3]))[:most]

    @property
    def rows(self) -> int:
        """All rows with a place."""
        return self.codes.total()


def _hash(place: tuple) -> int:
    return zlib.crc32(repr(place).encode())


def read(path: Path) -> pd.DataFrame:
    """The columns of a table of feedback that a page shows.

    Raises:
        UserError: if the table cannot be read.
    """
    try:
        table = pq.read_table(path, columns=READ).to_pandas()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the feedback {path} ({error}); run snakemake --forcerun observations") from None
    return table[np.isfinite(table[["latitude", "longitude"]].to_numpy(float)).all(1)]


@dataclass(frozen=True)
class Frames:
    """The frames of a page: every `stride`-th of `count` frames from a time on, every `step_hours`."""

    start: np.datetime64
    step_hours: float
    count: int
    stride: int

    def __len__(self) -> int:
        return -(-self.count // self.stride)

    def number(self, times: pd.Series) -> np.ndarray:
        """The number of the frame of each time, (N,); negative where it is none of them."""
        step = self.stride * intervals.time_step(self.step_hours)
        since = times.to_numpy("datetime64[ns]") - self.start
        number = since // step
        return np.where((since % step == np.timedelta64(0)) & (number < len(self)), number, -1)


def at_places(tables: list[Path], channels: list[str], frames: Frames, most: int) -> dict[str, object]:
    """The observations of a page, as a dictionary for JSON.

    Args:
        tables: of feedback.
        channels: of the archive.
        frames: of the page.
        most: number of values at most, a value per frame and series.

    Returns:
        `places` (name, latitude, longitude), `series` (number of the place, number of the observed channel), `channels`
        (what is observed), `reasons` (what the codes mean), and packed: `code` (series, frames), and one after the
        other for the codes that are not missing `value` (observed minus bias) and `departure` (from the analysis mean),
        in the channel's step. `rows` counts rows with a place, those shown, and the places of the series counted.
    """
    tally = Tally.of(tables)
    keys = tally.chosen(most // len(frames))
    observed = [_observed(name, channels, tally) for name in sorted({name for name, _ in tally.codes})]
    names = [one["name"] for one in observed]
    steps = np.array([observed[names.index(key[3])]["step"] for key in keys])
    code, value, departure = _filled(tables, keys, frames, steps)
    there, places = ~np.isnan(code), list(dict.fromkeys(key[:3] for key in keys))
    at = {place: number for number, place in enumerate(places)}
    return {
        "places": [[name, round(north, 4), round(east, 4)] for name, north, east in places],
        "series": [[at[key[:3]], names.index(key[3])] for key in keys],
        "channels": observed,
        "reasons": {code: BY_CODE[code] for code in sorted({code for _, code in tally.codes})},
        "code": pack(code, 1.0),
        "value": pack(value[there][:, None], 1.0),
        "departure": pack(departure[there][:, None], 1.0),
        "rows": {"all": tally.rows, "shown": int(there.sum()), "places": len({key[:3] for key in tally.series})},
    }


def _observed(name: str, channels: list[str], tally: Tally) -> dict[str, object]:
    """An observed channel: its units, the channels that it is computed from, its step, and its rows by code."""
    needed = inputs(name, channels)
    known = CHANNELS.get(name) or (CHANNELS[needed[0]] if needed else None)
    return {
        "name": name,
        "units": readable_units(known.units) if known else "",
        "of": list(needed),
        "step": round_step(FINE * tally.errors.get(name, 1.0)),
        "codes": {str(code): rows for (one, code), rows in sorted(tally.codes.items()) if one == name},
    }


def _filled(
    tables: list[Path], keys: list[Key], frames: Frames, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code, value and departure by series and frame, (S, T); NaN where there is none. Of several rows the best one."""
    code, value, departure = (np.full((len(keys), len(frames)), np.nan) for _ in range(3))
    for table in map(read, tables) if keys else ():
        rows, series, frame = _located(table, keys, frames)
        code[series, frame] = rows["code"]
        value[series, frame] = (rows["obsvalue"] - rows["biascorr"].fillna(0.0)) / steps[series]
        departure[series, frame] = rows["an_depar"] / steps[series]
    return code, value, departure


def _located(table: pd.DataFrame, keys: list[Key], frames: Frames) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The rows of chosen series at the frames, with the numbers of their series and frame."""
    index = pd.MultiIndex.from_tuples(keys)
    series = index.get_indexer(pd.MultiIndex.from_frame(table[[*PLACE, "channel"]]))
    frame = frames.number(table["time"])
    rows = table.assign(series=series, frame=frame)[(series >= 0) & (frame >= 0)]
    rows = rows.sort_values("code", kind="stable").drop_duplicates(["series", "frame"])
    return rows, rows["series"].to_numpy(), rows["frame"].to_numpy()
