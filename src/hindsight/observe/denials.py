"""Propose stations and periods for denial: drifts, steps, dead sensors and reports that are often rejected.

The departures of a station from the estimate by others, before its bias is subtracted, have a median for each month.
At a good station this median hardly changes. Months in which it differs from the usual one are proposed if the
cumulative sum of the differences (Page 1954) is larger than chance and the departures' expected spread explain.
Nothing is denied by this step: look through the file that it writes, and name it as `denied_file` of a network.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hindsight.fields import store, usage
from hindsight.fields.usage import CODES
from hindsight.settings import RealReports
from hindsight.settings.quality import Quality

COLUMNS = ["station", "channel", "start", "end", "reason", "size", "reports"]
READ = ["time", "station", "channel", "value", "error", "bias", "quality", "departure"]
READ += ["from_others", "from_others_spread"]
DAYS = 30  # of a month
USUAL_SHARE = 0.4  # of the months, which show the usual level
FEWEST = 10  # least number of reports of a month that is judged
UNRELIABLE = 0.3  # share of rejected reports above which a month is unreliable
ABRUPT = 0.6  # share of a change that happens from one month to the next if it is a step and not a drift
UNCERTAIN = 0.35  # share of the expected spread of a departure that is left in the median of a month
UNLIKELY = 0.7  # share of that spread which the largest change has to exceed
EXCESS = 4.0  # least sum, over months of one sign, of the excess over one standard deviation


def run(settings: RealReports, *, screened: list[Path], denials: Path) -> None:
    """Propose stations and periods for denial, with reasons, from the screened reports of all years."""
    table = pd.concat([pd.read_parquet(path, columns=READ) for path in screened], ignore_index=True)
    proposed = propose(table, settings.quality)
    store.replace(denials, lambda partial: proposed.to_csv(partial, index=False, float_format="%.4g"))
    print(f"{len(proposed)} period(s) of {proposed['station'].nunique()} station(s) are proposed for denial")
    if len(proposed):
        print(proposed.to_string(index=False, float_format=lambda value: f"{value:.3g}"), file=sys.stdout)


def propose(table: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """Periods proposed for denial, the columns of `COLUMNS`.

    `size` is in the channel's units. Of a drift or a step it is the largest difference of a monthly median from the
    usual one, of departures from the other series (a series is a station's channel) with the bias in them; of a dead
    sensor the median of these departures; of unreliable months the median of the departures from all other reports.

    Args:
        table: screened reports of all years.
        quality: settings: `drift_errors`, `dead_days`.
    """
    judged = table[table["quality"].isin([0, CODES[usage.NEIGHBOURS], CODES[usage.BACKGROUND]])]
    rows = []
    for (station, channel), part in judged.sort_values("time", kind="stable").groupby(["station", "channel"]):
        found = [*_changes(part, quality), *_unreliable(part), *_dead(part, quality)]
        rows += [{"station": station, "channel": channel, **row} for row in found]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["station", "channel", "start"], ignore_index=True)


def by_month(part: pd.DataFrame) -> pd.DataFrame:
    """The months of one station.

    Columns: first and last time, reports, median departures from the other series (`before_bias`: with the bias in
    them), their expected spread, the median departure from all other reports (`departure`), and the share of rejected
    reports (`far`).
    """
    days = part["time"].to_numpy("datetime64[ns]").astype("int64") / 86400e9
    own = part.assign(
        block=np.floor(days / DAYS).astype(int),
        whole=part["from_others"] + part["bias"],
        far=part["quality"] != 0,
    )
    groups = own.groupby("block")
    return pd.DataFrame(
        {
            "first": groups["time"].min(),
            "last": groups["time"].max(),
            "reports": groups.size(),
            "before_bias": groups["whole"].median(),
            "judged": groups["whole"].count(),
            "spread": groups["from_others_spread"].median(),
            "far": groups["far"].mean(),
            "departure": groups["departure"].median(),
        }
    )


def _changes(part: pd.DataFrame, quality: Quality) -> Iterator[dict]:
    """Drifts and steps: months whose median departure differs from the usual one."""
    months = by_month(part)
    months = months[months["judged"] >= FEWEST]
    if len(months) < 3:
        return
    change = (months["before_bias"] - usual_level(months["before_bias"].to_numpy())).to_numpy()
    scatter = 1.4826 * np.median(np.abs(np.diff(change))) / np.sqrt(2)  # from month to month, which no drift enlarges
    ratio = change / np.maximum(scatter, UNCERTAIN * months["spread"].to_numpy())
    least = max(quality.drift_errors * part["error"].median(), UNLIKELY * months["spread"].median())
    for first, last in sorted((*_excursions(ratio), *_excursions(-ratio))):
        most = float(change[first : last + 1][np.abs(change[first : last + 1]).argmax()])
        if abs(most) < least:
            continue
        before = change[first - 1] if first else change[first]
        abrupt = first > 0 and abs(change[first] - before) >= ABRUPT * abs(most)
        kind = "step" if abrupt else "drift" if first else "differs since the beginning"
        yield {
            "start": months["first"].iloc[first],
            "end": months["last"].iloc[last],
            "reason": f"{kind}: its departure from all other series is up to {most:.3g} off the usual one",
            "size": most,
            "reports": int(months["reports"].iloc[first : last + 1].sum()),
        }


def _excursions(ratio: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of months above one standard deviation whose excess sums to more than `EXCESS`."""
    for first, last in _runs(ratio > 1):
        if (ratio[first : last + 1] - 1).sum() > EXCESS:
            yield first, last


def usual_level(values: np.ndarray) -> float:
    """The usual level: the mean of the shortest interval that holds `USUAL_SHARE` of the values.

    A drift over the later half of the record does not move it, as it would move the median (the shorth; Andrews et al.
    1972).
    """
    ordered, count = np.sort(values), max(2, round(USUAL_SHARE * len(values)))
    width = ordered[count - 1 :] - ordered[: len(ordered) - count + 1]
    first = int(width.argmin())
    return float(ordered[first : first + count].mean())


def _unreliable(part: pd.DataFrame) -> Iterator[dict]:
    """Months in which many reports are far from their neighbours or from the climatology."""
    months = by_month(part)
    for first, last in _runs(((months["far"] > UNRELIABLE) & (months["reports"] >= FEWEST)).to_numpy()):
        stretch = months.iloc[first : last + 1]
        share = float((stretch["far"] * stretch["reports"]).sum() / stretch["reports"].sum())
        yield {
            "start": stretch["first"].iloc[0],
            "end": stretch["last"].iloc[-1],
            "reason": f"unreliable: {share:.0%} of the reports are rejected",
            "size": float(stretch["departure"].median()),
            "reports": int(stretch["reports"].sum()),
        }


def _dead(part: pd.DataFrame, quality: Quality) -> Iterator[dict]:
    """Stretches in which the reported value stays the same."""
    reported = (part["value"] + part["bias"]).round(3).to_numpy()
    times = part["time"].to_numpy("datetime64[ns]")
    edges = np.flatnonzero(np.diff(reported, prepend=np.nan) != 0)
    for first, after in zip(edges, [*edges[1:], len(reported)]):
        days = (times[after - 1] - times[first]) / np.timedelta64(1, "D")
        if days >= quality.dead_days and after - first >= 5:
            yield {
                "start": pd.Timestamp(times[first]),
                "end": pd.Timestamp(times[after - 1]),
                "reason": f"dead: the same value for {days:.0f} days",
                "size": float(part["from_others"].iloc[first:after].median()),
                "reports": int(after - first),
            }


def _runs(flagged: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last index of each run of true values; one false value between two true ones belongs to the run."""
    flagged = flagged.copy()
    flagged[1:-1] |= flagged[:-2] & flagged[2:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flagged, [False]]).astype(int)))
    yield from zip(edges[::2], edges[1::2] - 1)
